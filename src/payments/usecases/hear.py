"""Apply a gateway's own reports to the table: a pending charge has ended, or someone did something at the gateway.

A report may come twice, late, or before an older one. So it is a hint: an outcome that is final settles the payment,
and any other makes the processor ask the gateway what is true now. A repeat changes nothing, and no report reopens a
final payment. Our clock is not compared with the gateway's to find out which report came first, so the ids of reports
need not be kept. The report of a dispute names no payment: the payment is found by the charge.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from payments.domain.clock import timestamp
from payments.domain.errors import UnavailableError
from payments.domain.ids import REFUND_ID
from payments.domain.lifecycle import OPEN, Status
from payments.domain.money import Money
from payments.domain.payment import DisputeRecord
from payments.gateways.port import (
    Approved,
    ChargeReported,
    Declined,
    DisputeReported,
    Pending,
    RefundReported,
    ReportError,
    transaction_of,
)
from payments.runtime.telemetry import logger, measure
from payments.usecases.settle import BLIND_CHARGE_WINDOW, age

if TYPE_CHECKING:
    from payments.domain.payment import Payment, RefundRecord
    from payments.gateways.port import Report
    from payments.usecases.ports import Clock, Payments, PaymentsByCharge
    from payments.usecases.settle import Settling


# How long a dispute may wait until its charge is recorded. Until then our answer makes the gateway report it again:
# Stripe does so for three days, a few times in the first hour (https://docs.stripe.com/webhooks#retries).
DISPUTE_PATIENCE = timedelta(hours=1)

# The ids under which the table can keep a dispute.
_DISPUTE_ID = re.compile(r"[A-Za-z0-9_]{1,64}")


class Hearing:
    """Applies a gateway's reports to the payments of one stack, which ``scope`` names; ``clock`` returns the time."""

    def __init__(
        self,
        payments: Payments,
        charges: PaymentsByCharge,
        settling: Settling,
        scope: str,
        clock: Clock,
    ) -> None:
        self._payments = payments
        self._charges = charges
        self._settling = settling
        self._scope = scope
        self._clock = clock

    def hear(self, report: Report | None) -> str:
        """Apply a report, and return the result in a few words. None is a report that is not about payments.

        Raises ReportError if the report makes no sense, and UnavailableError if it must be sent again: the table does
        not answer, or does not hold the charge yet.
        """
        match report:
            case ChargeReported():
                return self._charge(report)
            case RefundReported():
                return self._refund(report)
            case DisputeReported():
                return self._dispute(report)
            case None:
                return "not about a payment"

    def _charge(self, report: ChargeReported) -> str:
        transaction_id = transaction_of(report.metadata, self._scope)
        if transaction_id is None:
            return "not ours"
        payment = self._payments.get(transaction_id)
        if payment is None:
            return _unknown(transaction_id)
        contradiction = _contradiction(payment, payment, report)
        if contradiction:
            return _contradicted(payment, contradiction)
        if isinstance(report.outcome, Approved):
            if payment.gateway_reference in {None, report.reference}:
                self._settling.settle(payment, None, report.outcome)
                return "settled"
            # Another charge of the payment was faster than the one that it waits for, which must now be canceled.
            return self._ask_again(payment)
        return self._hint(payment, report)

    def _hint(self, payment: Payment, report: ChargeReported) -> str:
        """Handle a report that is not final, or that may be about another charge than the payment's."""
        if payment.status not in OPEN:
            return "late"
        if payment.status is Status.VALIDATED:
            # The processor is charging it, or will repeat the call with the same key: the answer to that call counts.
            return "in progress"
        if payment.gateway_reference not in {None, report.reference}:
            return "another charge's"
        outcome = report.outcome
        named = payment.gateway_reference == report.reference
        if isinstance(outcome, Declined) and named and self._has_no_other(payment):
            # The gateway will no longer charge under this reference.
            self._settling.settle(payment, None, outcome)
            return "settled"
        if isinstance(outcome, Pending) and outcome.next_action and outcome.next_action == payment.next_action:
            return "late"
        return self._ask_again(payment)

    def _has_no_other(self, payment: Payment) -> bool:
        """Return whether the gateway certainly has no charge of the payment but the one that it names.

        An older charge may exist if the gateway's key expired and its search was late. The customer could still pay it.
        """
        return age(payment, None, self._clock()) < BLIND_CHARGE_WINDOW and not payment.restored_at

    def _ask_again(self, payment: Payment) -> str:
        """Have the processor ask the gateway for the current state, and cancel a charge that must no longer happen."""
        if not self._payments.redrive(payment, self._clock()):
            raise UnavailableError("the payment has changed meanwhile")
        return "asked"

    def _refund(self, report: RefundReported) -> str:
        transaction_id, refund_id = transaction_of(report.metadata, self._scope), report.metadata.get("refund_id", "")
        if transaction_id is None:
            # Someone made it at the gateway: the payment does not have it, and could be refunded a second time.
            measure("ForeignRefund")
            logger.warning("a refund that was not requested here", event_id=report.event_id)
            return "not ours"
        payment = self._payments.get(transaction_id)
        refund = payment.refunds.get(refund_id) if payment and REFUND_ID.fullmatch(refund_id) else None
        if payment is None or refund is None:
            return _unknown(transaction_id)
        contradiction = _contradiction(payment, refund, report)
        if contradiction:
            return _contradicted(payment, contradiction)
        if refund.gateway_reference not in {None, report.reference}:
            return "another refund's"
        if isinstance(report.outcome, Pending) and refund.gateway_reference == report.reference:
            return "late"
        self._settling.settle(payment, refund_id, report.outcome)
        return "settled"

    def _dispute(self, report: DisputeReported) -> str:
        reference = report.charge_reference
        transaction_id = self._charges.find(reference) if reference else None
        payment = self._payments.get(transaction_id) if transaction_id else None
        if payment is None:
            return self._stray_dispute(report)
        disputed = report.money
        if disputed is None:
            raise ReportError("no payment can have the disputed amount")
        if not _DISPUTE_ID.fullmatch(report.dispute_id) or disputed.currency != payment.currency or disputed.minor < 1:
            return _contradicted(payment, "the gateway reports another amount")
        at = self._clock()
        dispute = DisputeRecord(
            amount_minor=disputed.minor,
            status=report.status,
            reason=report.reason,
            # A dispute can be opened and closed in the same second.
            sequence=2 * report.created + report.closed,
            updated_at=timestamp(at),
            closed=report.closed,
        )
        # The relay counts it from the table's stream, since the answer to this write may be lost.
        recorded = self._payments.record_dispute(payment.transaction_id, report.dispute_id, dispute, at)
        return "noted" if recorded else "late"

    def _stray_dispute(self, report: DisputeReported) -> str:
        """Handle a dispute of a charge that no payment has: another stack's, made by hand, or not recorded yet."""
        reference = report.charge_reference
        if reference and self._clock().timestamp() - report.created < DISPUTE_PATIENCE.total_seconds():
            raise UnavailableError("no payment has the disputed charge yet")
        # The money is withdrawn, and no payment says so.
        measure("Contradicted")
        logger.warning(
            "a dispute of a charge that was not made here", event_id=report.event_id, gateway_reference=reference
        )
        return "not ours"


def _unknown(transaction_id: str) -> str:
    logger.error("the gateway reports a charge or refund that is not in the table", transaction_id=transaction_id)
    return "unknown"


def _contradiction(
    payment: Payment, recorded: Payment | RefundRecord, report: ChargeReported | RefundReported
) -> str | None:
    """Return how a report contradicts the record of a payment, or of its refund; None if it does not."""
    if report.money != Money(recorded.amount_minor, payment.currency):
        return "the gateway reports another amount"
    other = recorded.gateway_reference not in {None, report.reference}
    if isinstance(report.outcome, Approved) and other and recorded.status not in OPEN:
        return "the gateway has moved the money twice"
    return None


def _contradicted(payment: Payment, reason: str) -> str:
    measure("Contradicted")
    logger.error(reason, transaction_id=payment.transaction_id)
    return "contradicted"
