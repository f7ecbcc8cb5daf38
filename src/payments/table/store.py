"""Reads and conditional writes of single payments. The table is the source of truth; its stream is the outbox."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from payments.domain.clock import timestamp
from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import OPEN, REFUND_TRANSITIONS, TRANSITIONS, Status
from payments.domain.payment import GatewayResult
from payments.runtime.calls import available
from payments.table.items import (
    charged_key,
    from_item,
    open_key,
    to_attribute,
    to_item,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from payments.domain.lifecycle import Transition
    from payments.domain.payment import DisputeRecord, Payment, RefundRecord


_CONDITION_FAILED = "ConditionalCheckFailedException"

# The most tries of an update when other writes are first, and of a read that is only partly answered.
_TRIES = 10

_PAUSE_SECONDS = 0.05

# The reconciler leaves a redriven payment alone for a while; the wait doubles each time.
FIRST_REDRIVE = timedelta(minutes=15)

SLOWEST_REDRIVE = timedelta(hours=6)


class Batch(Struct, frozen=True):
    """Payments that were read together: the items found, and the reason for each id that could not be read."""

    items: dict[str, dict[str, Any]]
    unread: dict[str, str]

    def get(self, transaction_id: str) -> Payment | None:
        """Return a payment of the batch, or None if the table does not have it.

        Raises UnavailableError if it could not be read, and PoisonError if the item is not a payment.
        """
        if transaction_id in self.unread:
            raise UnavailableError(self.unread[transaction_id])
        item = self.items.get(transaction_id)
        return None if item is None else from_item(item)


class Table:
    """The payments table behind a DynamoDB client."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._name = name

    def accept(self, payment: Payment) -> Payment:
        """Write a payment unless its id is taken, and return the payment that has the id now.

        One conditional put decides; the caller compares fingerprints to tell a repeat from a mismatch. Raises
        UnavailableError if DynamoDB did not answer; the put may have happened, and a repeat finds out.
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
        """Read up to 100 payments as they are now, in one call; those that DynamoDB leaves out are requested again."""
        return read_batch(self._client, self._name, transaction_ids)

    def record(
        self,
        transaction_id: str,
        event: str,
        at: datetime,
        result: GatewayResult | None = None,
    ) -> bool:
        """Record one transition of a payment; return whether it was recorded.

        False means that another transition was first, and nothing changed.
        """
        transition, result = TRANSITIONS[event], result or GatewayResult()
        update = _Update(at).set(status=transition.reaches).only_from(transition.leaves)
        update.set(
            gateway_reference=result.gateway_reference, failure_code=result.failure_code, next_action=result.next_action
        )
        if result.ask_at is not None:
            update.open(transaction_id, timestamp(result.ask_at))
        if transition.reaches not in OPEN:
            update.close()
        if transition.reaches is Status.PROCESSED:
            update.set(charged_on=charged_key(transaction_id, at))
        return self._write(transaction_id, update)

    def add_refund(self, payment: Payment, refund_id: str, refund: RefundRecord) -> bool:
        """Add a refund to a payment that has not changed since it was read; return whether it was added."""
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
        result: GatewayResult | None = None,
    ) -> bool:
        """Record one transition of a refund, and the one of its payment that follows, in one write.

        Return whether it was recorded: False means that another transition was first, and nothing changed. Raises
        UnavailableError if the payment changes too fast to be written.
        """
        transition, result = REFUND_TRANSITIONS[event], result or GatewayResult()
        for _ in range(_TRIES):
            payment = self.get(transaction_id)
            refund = payment.refunds.get(refund_id) if payment else None
            if payment is None or refund is None or refund.status not in transition.leaves:
                return False
            changed = msgspec.structs.replace(
                refund,
                status=transition.reaches,
                updated_at=timestamp(at),
                gateway_reference=result.gateway_reference or refund.gateway_reference,
                failure_code=result.failure_code,
            )
            update = _Update(at).version(payment).set_in("refunds", refund_id, msgspec.to_builtins(changed))
            if result.ask_at is not None:
                update.open(transaction_id, timestamp(result.ask_at))
            follows = _of_payment(payment, refund, transition)
            if follows is not None:
                update.set(status=follows.reaches).only_from(follows.leaves)
            if transition.reaches not in OPEN and payment.open_refunds == [refund_id]:
                update.close()
            if self._write(transaction_id, update):
                return True
        raise UnavailableError("the payment changes too fast")

    def record_dispute(self, transaction_id: str, dispute_id: str, dispute: DisputeRecord, at: datetime) -> bool:
        """Record the gateway's report on a dispute; return whether it was new.

        Raises UnavailableError if the payment changes too fast to be written.
        """
        for _ in range(_TRIES):
            payment = self.get(transaction_id)
            if payment is None:
                return False
            known = payment.disputes.get(dispute_id)
            if known is not None and known.sequence >= dispute.sequence:
                return False
            # The whole map, since older payments have no map to set an entry in.
            disputes = msgspec.to_builtins(payment.disputes | {dispute_id: dispute})
            if self._write(transaction_id, _Update(at).version(payment).set(disputes=disputes)):
                return True
        raise UnavailableError("the payment changes too fast")

    def redrive(self, payment: Payment, at: datetime) -> bool:
        """Send an open payment through the stream again; return whether it was sent.

        It changes no state: the relay sends a payment whose ``redrives`` has grown. False means that the payment is
        final, or has changed since it was read.
        """
        if not payment.is_open:
            return False
        wait = min(FIRST_REDRIVE * 2 ** min(payment.redrives, 10), SLOWEST_REDRIVE)
        update = _Update(at).version(payment).set(redrives=payment.redrives + 1)
        update.open(payment.transaction_id, timestamp(at + wait))
        return self._write(payment.transaction_id, update)

    def close(self, payment: Payment) -> bool:
        """Remove a final payment from the open index; return whether it was in it and is still final.

        An earlier version of this code could leave one in it. The payment itself does not change, so its version stays.
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


def _of_payment(payment: Payment, refund: RefundRecord, transition: Transition) -> Transition | None:
    """Return what the transition of a refund does to its payment, or None if it moves no money."""
    if transition.reaches is Status.PROCESSED:
        refunded = payment.refunded.minor + refund.amount_minor
        return TRANSITIONS["refund_part" if refunded < payment.amount_minor else "refund_rest"]
    if Status.PROCESSED in transition.leaves:
        refunded = payment.refunded.minor - refund.amount_minor
        return TRANSITIONS["revert_part" if refunded else "revert_all"]
    return None


class _Update:
    """A builder for one conditional update of a payment: what it sets and removes, and on what condition."""

    def __init__(self, at: datetime | str) -> None:
        self._names = {"#version": "version"}
        self._values = {":one": {"N": "1"}}
        self._sets = ["#version = #version + :one"]
        self._removes: list[str] = []
        # An update without this condition would create an item.
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


def read_batch(client: Any, table: str, transaction_ids: Iterable[str]) -> Batch:  # noqa: ANN401 - botocore's
    """Read payments as they are now, up to 100; what DynamoDB leaves out is requested again."""
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
