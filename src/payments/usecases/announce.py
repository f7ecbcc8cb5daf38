"""Announce an outcome as a CloudEvent (CloudEvents 1.0, structured JSON)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.domain.lifecycle import OPEN
from payments.domain.money import Money
from payments.runtime.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments.domain.message import Message
    from payments.domain.payment import Payment
    from payments.usecases.ports import Publisher


def cloud_event(message: Message, source: str) -> dict[str, Any]:
    """Return a message's CloudEvent."""
    payment = message.payment
    data = _payment(payment)
    if message.refund_id is not None:
        data["refund"] = _refund(payment, message.refund_id)
    if message.dispute_id is not None:
        data["dispute"] = _dispute(payment, message.dispute_id)
    return {
        "specversion": "1.0",
        "id": _event_id(message),
        "source": source,
        "type": message.event,
        "subject": payment.transaction_id,
        "time": payment.updated_at,
        "datacontenttype": "application/json",
        "data": data,
    }


def _payment(payment: Payment) -> dict[str, Any]:
    return _without_none(
        transaction_id=payment.transaction_id,
        customer_id=payment.customer_id,
        amount=str(payment.money),
        currency=payment.currency,
        status=payment.status,
        version=payment.version,
        created_at=payment.created_at,
        gateway_reference=payment.gateway_reference,
        failure_code=payment.failure_code,
        next_action=(payment.next_action or None) if payment.status in OPEN else None,
        metadata=payment.metadata,
        amount_refunded=str(payment.refunded) if payment.refunded.minor else None,
    )


def _refund(payment: Payment, refund_id: str) -> dict[str, Any]:
    refund = payment.refunds[refund_id]
    return _without_none(
        refund_id=refund_id,
        amount=str(Money(refund.amount_minor, payment.currency)),
        status=refund.status,
        created_at=refund.created_at,
        reason=refund.reason,
        gateway_reference=refund.gateway_reference,
        failure_code=refund.failure_code,
    )


def _dispute(payment: Payment, dispute_id: str) -> dict[str, Any]:
    dispute = payment.disputes[dispute_id]
    return {
        "dispute_id": dispute_id,
        "amount": str(Money(dispute.amount_minor, payment.currency)),
        "status": dispute.status,
        "reason": dispute.reason,
    }


def _without_none(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON can hold
    return {name: value for name, value in values.items() if value is not None}


def _event_id(message: Message) -> str:
    """Return an announcement's id: every repeat has the same id, and no other announcement has it.

    It consists of the payment's id and version. If a version has several announcements, the subject of each follows.
    """
    version = f"{message.payment.transaction_id}.{message.payment.version}"
    if message.one_of_several and message.refund_id is not None:
        return f"{version}-refund-{message.refund_id}"
    if message.one_of_several and message.dispute_id is not None:
        return f"{version}-dispute-{message.dispute_id}"
    return version


def attributes(message: Message) -> dict[str, str]:
    """Return the attributes that subscribers can filter by."""
    return {"event_type": message.event, "currency": message.payment.currency, "status": message.payment.status}


class Announcer:
    """Announces messages; ``source`` is the CloudEvents' source."""

    def __init__(self, publisher: Publisher, source: str) -> None:
        self._publisher = publisher
        self._source = source

    def announce(self, messages: dict[str, Message], *, in_time: Callable[[], bool]) -> dict[str, str]:
        """Publish messages, keyed by names that the caller chose, and return why any was not published."""
        events: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        failures: dict[str, str] = {}
        for name, message in messages.items():
            try:
                events[name] = cloud_event(message, self._source), attributes(message)
            except Exception as error:  # noqa: BLE001
                # The message is retried, and finally goes to the dead-letter queue. Its neighbours continue.
                logger.error("the event could not be written", error=type(error).__name__, **message.log_fields())
                failures[name] = type(error).__name__
        return failures | self._publisher.publish(events, in_time=in_time)
