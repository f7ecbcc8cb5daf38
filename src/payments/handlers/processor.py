"""Passes the queue of accepted payments and refunds to the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.domain.clock import now
from payments.domain.errors import NotStoredError, PoisonError, RetryError
from payments.domain.lifecycle import Status
from payments.gateways import registry
from payments.runtime import client, queue_batch, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.messages import decode_task
from payments.runtime.telemetry import logger
from payments.table.store import Table
from payments.usecases.charge import Charging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.domain.message import Task
    from payments.domain.payment import Payment
    from payments.runtime.queue_batch import Delivery

# Ample for a charge's few calls. One that takes longer, on a bad day, may be cut off: its message is delivered again,
# with the same key.
CHARGE_SECONDS = 3.0


@wire_once
def wired() -> tuple[Charging, int]:
    """Return the charging use case, and after how many deliveries a message is given up."""
    dynamodb = client.connect("dynamodb")
    table, gateway = Table(dynamodb, settings.text("TABLE_NAME")), registry.chosen(dynamodb)
    restored = settings.choice("RESTORED", ("false", "true")) == "true"
    return Charging(table, gateway, now, restored=restored), settings.count("MAX_RECEIVE_COUNT")


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Charge a batch and return the records that must be delivered again."""
    charging, most = wired()
    stored = charging.read(_named_in(event))

    def charge(delivery: Delivery) -> None:
        task = decode_task(delivery.body)
        last = is_last(delivery)
        again = False
        try:
            payment = stored.get(task.transaction_id)
            again = _has_its_letter(task, payment)
            charging.work(payment, task.refund_id, last=last)
        except NotStoredError as error:
            logger.error("not stored", **task.log_fields(), reason=str(error))
            raise
        except Exception as error:
            if last and not isinstance(error, RetryError):
                # An error that nobody foresaw: after the last delivery the payment is at least recorded as unknown.
                charging.give_up(task.transaction_id, task.refund_id, type(error).__name__)
            if not (last and again):
                raise
            logger.warning("no second dead letter", **task.log_fields(), error=type(error).__name__, reason=str(error))

    def skip(delivery: Delivery) -> bool:
        if not is_last(delivery):
            return False
        task, reason = decode_task(delivery.body), "no time was left"
        charging.give_up(task.transaction_id, task.refund_id, reason)
        again = _has_its_letter(task, stored.get(task.transaction_id))
        if again:
            logger.warning("no second dead letter", **task.log_fields(), reason=reason)
        return again

    def is_last(delivery: Delivery) -> bool:
        return delivery.receive_count >= most

    return queue_batch.work(event, context, queue_batch.Worker(charge, skip, _log_fields), seconds=CHARGE_SECONDS)


def _named_in(event: dict[str, Any]) -> Iterator[str]:
    """Yield the ids of the payments that a batch names; a record that cannot be read fails later, by itself."""
    for record in event["Records"]:
        fields = _log_fields(str(record.get("body")))
        if fields:
            yield fields["transaction_id"]


def _has_its_letter(task: Task, payment: Payment | None) -> bool:
    """Say whether the first message is a dead letter: the reconciler tries again by itself, so one is enough."""
    return task.redriven and payment is not None and payment.status_of(task.refund_id) == Status.UNKNOWN


def _log_fields(body: str) -> dict[str, Any]:
    try:
        return decode_task(body).log_fields()
    except PoisonError:
        return {}
