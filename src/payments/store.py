"""The payments table: the truth, whose stream is the outbox."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from payments.aws import UnavailableError, available
from payments.model import Payment, from_item, timestamp, to_item
from payments.transitions import TRANSITIONS

if TYPE_CHECKING:
    from datetime import datetime

_CONDITION_FAILED = "ConditionalCheckFailedException"
_BATCH_TRIES = 5


class TokenError(ValueError):
    """A ``next_token`` that is none of ours, or that belongs to another list."""


class Page(Struct, frozen=True):
    """A page of payments, newest first, and the token of the next one."""

    payments: list[Payment]
    next_token: str | None


class Table:
    """The payments table behind a DynamoDB client."""

    def __init__(self, client: Any, name: str, customer_index: str | None = None) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._name = name
        self._customer_index = customer_index

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

    def record(
        self,
        transaction_id: str,
        event: str,
        at: datetime,
        *,
        gateway_reference: str | None = None,
        failure_code: str | None = None,
    ) -> bool:
        """Make one transition; say whether it was made. False means that another was faster, and nothing changed."""
        transition = TRANSITIONS[event]
        values = {
            ":to": {"S": transition.reaches},
            ":at": {"S": timestamp(at)},
            ":one": {"N": "1"},
            **{f":from{number}": {"S": state} for number, state in enumerate(sorted(transition.leaves))},
        }
        sets = ["#status = :to", "updated_at = :at", "version = version + :one"]
        for name, value in (("gateway_reference", gateway_reference), ("failure_code", failure_code)):
            if value is not None:
                sets.append(f"{name} = :{name}")
                values[f":{name}"] = {"S": value}
        leaves = ", ".join(key for key in values if key.startswith(":from"))
        try:
            with available():
                self._client.update_item(
                    TableName=self._name,
                    Key={"transaction_id": {"S": transaction_id}},
                    UpdateExpression="SET " + ", ".join(sets),
                    ConditionExpression=f"#status IN ({leaves})",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues=values,
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != _CONDITION_FAILED:
                raise
            return False
        return True

    def of_customer(self, customer_id: str, limit: int, next_token: str | None) -> Page:
        """Return a customer's payments, newest first. Raises TokenError where ``next_token`` is none of this list."""
        query: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": self._customer_index,
            "KeyConditionExpression": "customer_id = :customer",
            "ExpressionAttributeValues": {":customer": {"S": customer_id}},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if next_token is not None:
            query["ExclusiveStartKey"] = _read_token(next_token, customer_id)
        with available():
            found = self._client.query(**query)
        ids = [key["transaction_id"]["S"] for key in found["Items"]]
        payments = self._get_all(ids)
        last = found.get("LastEvaluatedKey")
        return Page(
            # A payment that was deleted a moment ago can still be in the index.
            [payments[transaction_id] for transaction_id in ids if transaction_id in payments],
            _write_token(last) if last else None,
        )

    def _get_all(self, ids: list[str]) -> dict[str, Payment]:
        found: dict[str, Payment] = {}
        wanted = [{"transaction_id": {"S": transaction_id}} for transaction_id in ids]
        for _ in range(_BATCH_TRIES):
            if not wanted:
                return found
            with available():
                answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": wanted}})
            for item in answer["Responses"].get(self._name, []):
                payment = from_item(item)
                found[payment.transaction_id] = payment
            wanted = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
        if wanted:
            raise UnavailableError("UnprocessedKeys")
        return found


_KEYS = ("customer_id", "created_at", "transaction_id")


def _write_token(key: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([key[name]["S"] for name in _KEYS])).decode().rstrip("=")


def _read_token(token: str, customer_id: str) -> dict[str, Any]:
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        values = msgspec.json.decode(decoded, type=tuple[str, str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise TokenError from error
    if values[0] != customer_id or not all(values):
        raise TokenError
    return {name: {"S": value} for name, value in zip(_KEYS, values, strict=True)}
