"""The payments table: the truth, whose stream is the outbox."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from payments.aws import UnavailableError, available
from payments.model import (
    CHARGED_SHARDS,
    CUSTOMER_SHARDS,
    OPEN_SHARDS,
    DisputeRecord,
    Payment,
    RefundRecord,
    charged_key,
    customer_key,
    from_item,
    open_key,
    timestamp,
    to_attribute,
    to_item,
)
from payments.transitions import OPEN, TRANSITIONS, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

_CONDITION_FAILED = "ConditionalCheckFailedException"
# How often an update is tried that others were faster than, and how often a read that came back in part.
_TRIES = 10
_PAUSE_SECONDS = 0.05
# A payment that was sent on its way again is looked at after twice as long each time.
FIRST_REDRIVE = timedelta(minutes=15)
SLOWEST_REDRIVE = timedelta(hours=6)


class TokenError(ValueError):
    """A ``next_token`` that is none of ours, or that belongs to another list."""


class Word(Struct, frozen=True):
    """What the gateway has said of a charge or a refund: its own name of it, or why it was refused.

    ``next_action`` is what it waits for the customer to do, and ``ask_at`` when to ask it again.
    """

    gateway_reference: str | None = None
    failure_code: str | None = None
    next_action: str | None = None
    ask_at: datetime | None = None


SILENCE = Word()


class Batch(Struct, frozen=True):
    """Payments that were read together: the items that are there, and why any id could not be read."""

    items: dict[str, dict[str, Any]]
    unread: dict[str, str]

    def get(self, transaction_id: str) -> Payment | None:
        """Return a payment of the batch, or None where the table has none.

        Raises UnavailableError where it could not be read, and PoisonError where the item is no payment.
        """
        if transaction_id in self.unread:
            raise UnavailableError(self.unread[transaction_id])
        item = self.items.get(transaction_id)
        return None if item is None else from_item(item)


class Page(Struct, frozen=True):
    """A page of payments, newest first, and the token of the next one."""

    payments: list[Payment]
    next_token: str | None


class Table:
    """The payments table behind a DynamoDB client."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._name = name

    def accept(self, payment: Payment) -> Payment:
        """Write a payment unless its id is taken, and return the payment that has the id now.

        One conditional put decides between new, repeat and mismatch: the caller compares fingerprints. Raises
        UnavailableError where DynamoDB did not answer; the put may have happened, and a repeat finds out.
        """
        try:
            with available():
                self._client.put_item(
                    TableName=self._name,
                    Item=to_item(payment),
                    ConditionExpression="attribute_not_exists(transaction_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != _CONDITION_FAILED:
                raise
            # The stubs do not know of the item that ReturnValuesOnConditionCheckFailure adds.
            return from_item(cast("dict[str, Any]", error.response)["Item"])
        return payment

    def get(self, transaction_id: str) -> Payment | None:
        """Return a payment as it is now, or None."""
        with available():
            found = self._client.get_item(
                TableName=self._name, Key={"transaction_id": {"S": transaction_id}}, ConsistentRead=True
            )
        return from_item(found["Item"]) if "Item" in found else None

    def get_batch(self, transaction_ids: Iterable[str]) -> Batch:
        """Read payments as they are now, up to 100, in one call; what DynamoDB leaves out is asked for again."""
        return _get_batch(self._client, self._name, transaction_ids)

    def record(
        self,
        transaction_id: str,
        event: str,
        at: datetime,
        word: Word = SILENCE,
    ) -> bool:
        """Make one transition of a payment; say whether it was made.

        False means that another was faster, and nothing changed.
        """
        transition = TRANSITIONS[event]
        update = _Update(at).set(status=transition.reaches).only_from(transition.leaves)
        update.set(
            gateway_reference=word.gateway_reference, failure_code=word.failure_code, next_action=word.next_action
        )
        if word.ask_at is not None:
            update.open(transaction_id, timestamp(word.ask_at))
        if transition.reaches not in OPEN:
            update.close()
        if transition.reaches is Status.PROCESSED:
            update.set(charged_on=charged_key(transaction_id, at))
        return self._write(transaction_id, update)

    def add_refund(self, payment: Payment, refund_id: str, refund: RefundRecord) -> bool:
        """Add a refund to a payment that is still as it was read; say whether it was added."""
        update = _Update(refund.created_at).version(payment).set_in("refunds", refund_id, msgspec.to_builtins(refund))
        if not payment.open_refunds:
            update.open(payment.transaction_id, refund.created_at)
        return self._write(payment.transaction_id, update)

    def record_refund(
        self,
        transaction_id: str,
        refund_id: str,
        event: str,
        at: datetime,
        word: Word = SILENCE,
    ) -> bool:
        """Make one transition of a refund, and the one of its payment that follows; say whether they were made.

        False means that another was faster, and nothing changed. Raises UnavailableError where the payment changes
        too fast to be written.
        """
        transition = TRANSITIONS[event]
        for _ in range(_TRIES):
            payment = self.get(transaction_id)
            refund = payment.refunds.get(refund_id) if payment else None
            if payment is None or refund is None or refund.status not in transition.leaves:
                return False
            changed = msgspec.structs.replace(
                refund,
                status=transition.reaches,
                updated_at=timestamp(at),
                gateway_reference=word.gateway_reference,
                failure_code=word.failure_code,
            )
            update = _Update(at).version(payment).set_in("refunds", refund_id, msgspec.to_builtins(changed))
            if word.ask_at is not None:
                update.open(transaction_id, timestamp(word.ask_at))
            if transition.reaches is Status.PROCESSED:
                left = payment.amount_minor - payment.refunded.minor - refund.amount_minor
                follows = TRANSITIONS["refund_part" if left else "refund_rest"]
                update.set(status=follows.reaches).only_from(follows.leaves)
            if transition.reaches not in OPEN and payment.open_refunds == [refund_id]:
                update.close()
            if self._write(transaction_id, update):
                return True
        raise UnavailableError("the payment changes too fast")

    def record_dispute(self, transaction_id: str, dispute_id: str, dispute: DisputeRecord, at: datetime) -> bool:
        """Write down what the gateway has told of a dispute; say whether it was news.

        Raises UnavailableError where the payment changes too fast to be written.
        """
        for _ in range(_TRIES):
            payment = self.get(transaction_id)
            if payment is None:
                return False
            known = payment.disputes.get(dispute_id)
            if known is not None and known.told >= dispute.told:
                return False
            # The whole map: payments from before there were disputes have none to set an entry in.
            disputes = msgspec.to_builtins(payment.disputes | {dispute_id: dispute})
            if self._write(transaction_id, _Update(at).version(payment).set(disputes=disputes)):
                return True
        raise UnavailableError("the payment changes too fast")

    def redrive(self, payment: Payment, at: datetime) -> bool:
        """Send a payment that is not final on its way again, through the stream; say whether it was sent.

        It changes no state: the relay takes a greater ``redrives`` for news. False means that the payment is final, or
        has changed since it was read.
        """
        if not payment.is_open:
            return False
        wait = min(FIRST_REDRIVE * 2 ** min(payment.redrives, 10), SLOWEST_REDRIVE)
        update = _Update(at).version(payment).set(redrives=payment.redrives + 1)
        update.open(payment.transaction_id, timestamp(at + wait))
        return self._write(payment.transaction_id, update)

    def close(self, payment: Payment) -> bool:
        """Take a final payment out of the open index; say whether it was in there, and is final still.

        An earlier version could leave one there. Nothing of the payment changes, so its version does not either.
        """
        if payment.is_open:
            return False
        request = {
            "UpdateExpression": "REMOVE open_shard, open_from",
            "ConditionExpression": "#version = :version AND attribute_exists(open_shard)",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":version": {"N": str(payment.version)}},
        }
        return self._update(payment.transaction_id, request)

    def _write(self, transaction_id: str, update: _Update) -> bool:
        return self._update(transaction_id, update.request())

    def _update(self, transaction_id: str, request: dict[str, Any]) -> bool:
        try:
            with available():
                self._client.update_item(TableName=self._name, Key={"transaction_id": {"S": transaction_id}}, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] != _CONDITION_FAILED:
                raise
            return False
        return True


class _Update:
    """One conditional update of a payment, in the making: what it sets and removes, and on what condition."""

    def __init__(self, at: datetime | str) -> None:
        self._names = {"#version": "version"}
        self._values = {":one": {"N": "1"}}
        self._sets = ["#version = #version + :one"]
        self._removes: list[str] = []
        # A payment that is not there is not made.
        self._conditions = ["attribute_exists(transaction_id)"]
        self.set(updated_at=at if isinstance(at, str) else timestamp(at))

    def set(self, **attributes: Any) -> _Update:  # noqa: ANN401 - what an attribute can hold
        for name, value in attributes.items():
            if value is not None:
                self._names[f"#{name}"] = name
                self._values[f":{name}"] = to_attribute(value)
                self._sets.append(f"#{name} = :{name}")
        return self

    def set_in(self, attribute: str, key: str, value: Any) -> _Update:  # noqa: ANN401 - what an attribute can hold
        self._names |= {f"#{attribute}": attribute, "#key": key}
        self._values[":entry"] = to_attribute(value)
        self._sets.append(f"#{attribute}.#key = :entry")
        return self

    def only_from(self, states: frozenset[Status]) -> _Update:
        self._names["#status"] = "status"
        values = {f":from{number}": {"S": str(state)} for number, state in enumerate(sorted(states))}
        self._values |= values
        self._conditions.append(f"#status IN ({', '.join(values)})")
        return self

    def version(self, payment: Payment) -> _Update:
        self._values[":version"] = {"N": str(payment.version)}
        self._conditions.append("#version = :version")
        return self

    def open(self, transaction_id: str, moment: str) -> _Update:
        return self.set(open_shard=open_key(transaction_id), open_from=moment)

    def close(self) -> _Update:
        """Take the payment out of the open index."""
        self._removes += ["open_shard", "open_from"]
        return self

    def request(self) -> dict[str, Any]:
        removes = f" REMOVE {', '.join(self._removes)}" if self._removes else ""
        return {
            "UpdateExpression": f"SET {', '.join(self._sets)}{removes}",
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }


class _Index:
    """An index that holds keys only: what it finds is the payments' ids."""

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
    """The index that holds the payments which are not final, and those with a refund that is not."""

    def until(self, moment: datetime) -> Iterator[str]:
        """Yield the ids of the payments that have been open since ``moment`` or longer, by shard, oldest first."""
        for shard in range(OPEN_SHARDS):
            yield from self._ids(
                "open_shard = :shard AND open_from <= :moment", shard=str(shard), moment=timestamp(moment)
            )


class GatewayIndex(_Index):
    """The index that finds a payment by the gateway's name of its charge."""

    def find(self, reference: str) -> str | None:
        """Return the id of the payment whose charge has this name; None where there is none."""
        return next(self._ids("gateway_reference = :reference", reference=reference), None)


class ChargedIndex(_Index):
    """The index of the payments that were charged on a day, in UTC."""

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
        """Return a page of a customer's payments. Raises TokenError where ``next_token`` is none of this list.

        ``fits`` says whether one more payment fits on the page. The first one always goes on it, so that each page is a
        step; the next page begins with what did not fit.
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
        """Yield when and as what the payments of one key of the index were accepted, newest first."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": self._index,
            "KeyConditionExpression": "customer_shard = :key",
            "ExpressionAttributeValues": {":key": {"S": key}},
            "ScanIndexForward": False,
            # One more tells whether the last one shares its microsecond.
            "Limit": limit + 1,
        }
        if after is not None:
            query["KeyConditionExpression"] += " AND created_at <= :after"
            query["ExpressionAttributeValues"][":after"] = {"S": after[0]}
        tied: list[tuple[str, str]] = []
        for item in _pages(self._client, query):
            found = (item["created_at"]["S"], item["transaction_id"]["S"])
            # An index leaves open how those are ordered that came in the same microsecond.
            if tied and tied[0][0] != found[0]:
                yield from sorted(tied, reverse=True)
                tied = []
            if after is None or found < after:
                tied.append(found)
        yield from sorted(tied, reverse=True)

    def _get_all(self, ids: list[str]) -> dict[str, Payment]:
        batch = _get_batch(self._client, self._table, ids)
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


# Bytes of the seal: 128 bits.
_SEAL = 16


def _get_batch(client: Any, table: str, transaction_ids: Iterable[str]) -> Batch:  # noqa: ANN401 - botocore's
    items: dict[str, dict[str, Any]] = {}
    # DynamoDB refuses a call that names a key twice.
    left = list(dict.fromkeys(transaction_ids))
    why = "UnprocessedKeys"
    for attempt in range(_TRIES):
        if not left:
            break
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        keys = [{"transaction_id": {"S": transaction_id}} for transaction_id in left]
        try:
            with available():
                answer = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
        except UnavailableError as error:
            why = str(error)
            break
        items |= {item["transaction_id"]["S"]: item for item in answer["Responses"].get(table, [])}
        unprocessed = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        left = [key["transaction_id"]["S"] for key in unprocessed]
    return Batch(items, dict.fromkeys(left, why))


def _pages(client: Any, query: dict[str, Any]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - botocore's
    """Yield a query's items, page after page, as they are asked for."""
    while True:
        with available():
            found = client.query(**query)
        yield from found["Items"]
        if "LastEvaluatedKey" not in found:
            return
        query = query | {"ExclusiveStartKey": found["LastEvaluatedKey"]}
