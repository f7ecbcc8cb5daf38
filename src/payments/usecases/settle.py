"""Record a gateway's answers in the table, from any source."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from payments.domain.clock import since
from payments.domain.errors import NotStoredError
from payments.domain.lifecycle import Status
from payments.domain.payment import GatewayResult
from payments.gateways.port import (
    Approved,
    Declined,
    Pending,
)
from payments.runtime.telemetry import logger, measure, measure_failure, measure_money, measure_seconds

if TYPE_CHECKING:
    from datetime import datetime

    from payments.domain.payment import Payment
    from payments.usecases.ports import Clock, Payments


# Gateways keep an idempotency key for a day; one hour of that is a margin for differing clocks and slow calls. So until
# then, a gateway has at most one charge of a payment.
BLIND_CHARGE_WINDOW = timedelta(hours=23)

# A payment that waits for a bank or the customer is looked up again after as long as it has already been open.
SOONEST_QUESTION = timedelta(minutes=15)

LATEST_QUESTION = timedelta(hours=6)


class Settling:
    """Records a gateway's answers in the table, from any source."""

    def __init__(self, payments: Payments, clock: Clock) -> None:
        self._payments = payments
        self._clock = clock

    def settle(self, payment: Payment, refund_id: str | None, outcome: Approved | Declined | Pending) -> None:
        """Record a gateway's final answer, or that it has not given one yet.

        Raises UnavailableError if the table does not answer.
        """
        match outcome:
            case Approved(reference):
                self._record(payment, refund_id, "approve", GatewayResult(gateway_reference=reference))
            case Declined(code, reference):
                result = GatewayResult(gateway_reference=reference, failure_code=code)
                self._record(payment, refund_id, "decline", result)
            case Pending(reference, next_action):
                at = self._clock()
                wait = min(max(age(payment, refund_id, at), SOONEST_QUESTION), LATEST_QUESTION)
                result = GatewayResult(gateway_reference=reference, next_action=next_action, ask_at=at + wait)
                self._record(payment, refund_id, "wait", result)

    def _record(self, payment: Payment, refund_id: str | None, event: str, result: GatewayResult) -> None:
        at = self._clock()
        if self._write(payment.transaction_id, refund_id, event, result, at):
            _measure(payment, refund_id, event, result, at)
        elif event != "wait":
            self._check(payment.transaction_id, refund_id, event, result)

    def _write(
        self, transaction_id: str, refund_id: str | None, event: str, result: GatewayResult, at: datetime
    ) -> bool:
        if refund_id is None:
            recorded = self._payments.record(transaction_id, event, at, result)
        else:
            recorded = self._payments.record_refund(transaction_id, refund_id, event, at, result)
        logger.info(
            "recorded" if recorded else "already recorded",
            transaction_id=transaction_id,
            refund_id=refund_id,
            event=event,
        )
        return recorded

    def _check(self, transaction_id: str, refund_id: str | None, event: str, result: GatewayResult) -> None:
        """Compare a final answer that changed nothing with the one that the table holds.

        A refund may fail after it succeeded, but never succeed after it failed. So for one and the same refund, a
        failure reverts the success, and a success that arrives after the failure is late. Any other difference raises
        the alarm.
        """
        stored = self._payments.get(transaction_id)
        if stored is None:
            raise NotStoredError("the payment is not in the table")
        held = stored.refunds.get(refund_id, stored) if refund_id else stored
        failed, declined = held.failure_code is not None, event != "approve"
        same = held.gateway_reference is not None and held.gateway_reference == result.gateway_reference
        if refund_id and same and declined and not failed:
            self._record(stored, refund_id, "revert", result)
        elif failed != declined and refund_id and same:
            logger.info("late", transaction_id=transaction_id, refund_id=refund_id, event=event)
        elif failed != declined or not (failed or same):
            measure("Contradicted")
            logger.error(
                "the gateway contradicts the table", transaction_id=transaction_id, refund_id=refund_id, event=event
            )


def age(payment: Payment, refund_id: str | None, at: datetime) -> timedelta:
    """Return how long before ``at`` a charge or a refund was accepted."""
    return since(payment.created_at if refund_id is None else payment.refunds[refund_id].created_at, at)


def _measure(payment: Payment, refund_id: str | None, event: str, result: GatewayResult, at: datetime) -> None:
    """Measure a transition that was recorded: each but ``wait`` is recorded once, so nothing is counted twice."""
    # Clocks differ: a payment of a moment ago may seem to lie ahead.
    seconds = max(age(payment, refund_id, at).total_seconds(), 0.0)
    match event, refund_id:
        case "wait", None:
            # It is no news if it was unknown already.
            if payment.status is Status.VALIDATED:
                measure("Pending")
        case "wait", str():
            if payment.refunds[refund_id].status is Status.VALIDATED:
                measure("RefundPending")
        case "approve", None:
            measure("Processed")
            measure_money("MoneyProcessed", payment.amount_minor, payment.currency)
            measure_seconds("SecondsToFinal", seconds)
        case "approve", str():
            measure("Refunded")
            measure_money("MoneyRefunded", payment.refunds[refund_id].amount_minor, payment.currency)
            measure_seconds("RefundSecondsToFinal", seconds)
        case _, None:
            measure_failure("Failed", result.failure_code)
            measure_seconds("SecondsToFinal", seconds)
        case "revert", _:
            measure_failure("RefundFailed", result.failure_code)
        case _:
            measure_failure("RefundFailed", result.failure_code)
            measure_seconds("RefundSecondsToFinal", seconds)
