"""Queries: open payments, and payments by customer, by gateway reference or by day."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from payments.domain.clock import timestamp
from payments.domain.payment import Payment
from payments.runtime.calls import available
from payments.table.items import (
    CHARGED_SHARDS,
    CUSTOMER_SHARDS,
    OPEN_SHARDS,
    customer_key,
)
from payments.table.store import read_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


class TokenError(ValueError):
    """A ``next_token`` that is not ours, or that belongs to another list."""


class Page(Struct, frozen=True):
    """A page of payments, newest first, and the token of the next one."""

    payments: list[Payment]
    next_token: str | None


class _Index:
    """An index that holds only keys: it finds the payments' ids."""

    def __init__(self, client: Any, table: str, index: str) -> None:  # noqa: ANN401 - botocore's
        self._query = {"TableName": table, "IndexName": index}
        self._client = client

    def _ids(self, condition: str, **values: str) -> Iterator[str]:
        query = self._query | {
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {f":{name}": {"S": value} for name, value in values.items()},
        }
        return (item["transaction_id"]["S"] for item in _pages(self._client, query))


class OpenIndex(_Index):
    """The index of the payments that are not final, or that have a refund that is not final."""

    def until(self, moment: datetime) -> Iterator[str]:
        """Yield the ids of the payments that have been open since ``moment`` or longer, by shard, oldest first."""
        for shard in range(OPEN_SHARDS):
            yield from self._ids(
                "open_shard = :shard AND open_from <= :moment", shard=str(shard), moment=timestamp(moment)
            )


class GatewayIndex(_Index):
    """The index that finds a payment by the gateway's reference to its charge."""

    def find(self, reference: str) -> str | None:
        """Return the id of the payment whose charge has this reference; None if it is unknown."""
        return next(self._ids("gateway_reference = :reference", reference=reference), None)


class ChargedIndex(_Index):
    """The index of the payments by the day on which they were charged, in UTC."""

    def on(self, day: str) -> Iterator[str]:
        """Yield the ids of the payments that were charged on a day."""
        for shard in range(CHARGED_SHARDS):
            yield from self._ids("charged_on = :key", key=f"{day}#{shard}")


class CustomerIndex:
    """The index of a customer's payments, newest first. ``secret`` seals the tokens of its pages."""

    def __init__(self, client: Any, table: str, index: str, secret: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._table = table
        self._index = index
        self._secret = secret.encode()

    def page(
        self, customer_id: str, limit: int, next_token: str | None, fits: Callable[[Payment], bool] = lambda _: True
    ) -> Page:
        """Return a page of a customer's payments. Raises TokenError if ``next_token`` does not belong to this list.

        ``fits`` says whether one more payment fits on the page. The first payment is always included, so that each page
        makes progress; the next page starts with the first payment that did not fit.
        """
        after = None if next_token is None else self._read_token(next_token, customer_id)

        def of_shard(shard: int) -> list[tuple[str, str]]:
            return list(islice(self._keys(customer_key(customer_id, shard), after, limit + 1), limit + 1))

        with ThreadPoolExecutor(CUSTOMER_SHARDS) as pool:
            shards = list(pool.map(of_shard, range(CUSTOMER_SHARDS)))
        keys = sorted((key for shard in shards for key in shard), reverse=True)
        found = self._get_all([transaction_id for _, transaction_id in keys[:limit]])
        shown: list[Payment] = []
        done = 0
        for _, transaction_id in keys[:limit]:
            payment = found.get(transaction_id)
            # A payment that was deleted a moment ago can still be in the index.
            if payment is not None:
                if not fits(payment) and shown:
                    break
                shown.append(payment)
            done += 1
        return Page(shown, self._write_token(customer_id, *keys[done - 1]) if len(keys) > done else None)

    def _keys(self, key: str, after: tuple[str, str] | None, limit: int) -> Iterator[tuple[str, str]]:
        """Yield the time and the id of each payment under one key of the index, newest first."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": self._index,
            "KeyConditionExpression": "customer_shard = :key",
            "ExpressionAttributeValues": {":key": {"S": key}},
            "ScanIndexForward": False,
            # One more shows whether the last one shares its microsecond with the next.
            "Limit": limit + 1,
        }
        if after is not None:
            query["KeyConditionExpression"] += " AND created_at <= :after"
            query["ExpressionAttributeValues"][":after"] = {"S": after[0]}
        tied: list[tuple[str, str]] = []
        for item in _pages(self._client, query):
            found = (item["created_at"]["S"], item["transaction_id"]["S"])
            # An index does not order payments that were accepted in the same microsecond.
            if tied and tied[0][0] != found[0]:
                yield from sorted(tied, reverse=True)
                tied = []
            if after is None or found < after:
                tied.append(found)
        yield from sorted(tied, reverse=True)

    def _get_all(self, ids: list[str]) -> dict[str, Payment]:
        batch = read_batch(self._client, self._table, ids)
        return {transaction_id: payment for transaction_id in ids if (payment := batch.get(transaction_id))}

    def _seal(self, position: bytes, customer_id: str) -> bytes:
        return hmac.digest(self._secret, customer_id.encode() + b"\0" + position, hashlib.sha256)[:_SEAL]

    def _write_token(self, customer_id: str, *position: str) -> str:
        written = msgspec.json.encode(position)
        return base64.urlsafe_b64encode(self._seal(written, customer_id) + written).decode().rstrip("=")

    def _read_token(self, token: str, customer_id: str) -> tuple[str, str]:
        try:
            decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise TokenError from error
        seal, position = decoded[:_SEAL], decoded[_SEAL:]
        if not hmac.compare_digest(seal, self._seal(position, customer_id)):
            raise TokenError
        return msgspec.json.decode(position, type=tuple[str, str])


# The seal's size in bytes: 128 bits.
_SEAL = 16


def _pages(client: Any, query: dict[str, Any]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - botocore's
    """Yield a query's items; each page is read only when it is needed."""
    while True:
        with available():
            found = client.query(**query)
        yield from found["Items"]
        if "LastEvaluatedKey" not in found:
            return
        query = query | {"ExclusiveStartKey": found["LastEvaluatedKey"]}
