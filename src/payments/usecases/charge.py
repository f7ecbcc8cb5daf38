"""Charge a payment once, or refund it once.

A message may arrive twice, late, or after the payment is final. The gateway's idempotency key makes a second call
harmless, and the conditional update makes a second record harmless. A gateway's keys expire, so a payment that may be
older than that is looked up at the gateway first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments.domain.errors import NotStoredError, PoisonError, RetryError, UnavailableError
from payments.domain.lifecycle import OPEN
from payments.domain.money import Money
from payments.domain.payment import GatewayResult
from payments.gateways.port import (
    Approved,
    Charge,
    Declined,
    Gateway,
    NotSent,
    Outcome,
    Pending,
    RateLimited,
    Refund,
    Unknown,
    idempotency_key,
)
from payments.runtime.telemetry import logger, measure
from payments.usecases.settle import BLIND_CHARGE_WINDOW, Settling, age

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payments.domain.payment import Payment
    from payments.usecases.ports import Clock, PaymentBatch, Payments


def request_of(payment: Payment, refund_id: str | None) -> Charge | Refund:
    """Return the request to the gateway; raises PoisonError if the payment does not say enough."""
    key = idempotency_key(payment.transaction_id, refund_id)
    if refund_id is None:
        if not payment.payment_method:
            raise PoisonError("the payment has no payment method")
        return Charge(key, payment.money, payment.payment_method, payment.transaction_id, payment.gateway_reference)
    if not payment.gateway_reference:
        raise PoisonError("the payment has no charge to refund")
    refund = payment.refunds[refund_id]
    money = Money(refund.amount_minor, payment.currency)
    return Refund(key, money, payment.gateway_reference, payment.transaction_id, refund_id, refund.gateway_reference)


class Charging(Settling):
    """Charges and refunds payments through a gateway, and records the outcomes in the table."""

    def __init__(self, payments: Payments, gateway: Gateway, clock: Clock, *, restored: bool = False) -> None:
        """``restored`` says that the whole table was restored from a backup."""
        super().__init__(payments, clock)
        self._gateway = gateway
        self._restored = restored

    def read(self, transaction_ids: Iterable[str]) -> PaymentBatch:
        """Read the payments that a batch of messages names."""
        return self._payments.get_batch(transaction_ids)

    def work(self, payment: Payment | None, refund_id: str | None = None, *, last: bool) -> None:
        """Charge a payment as the table has it, or make one of its refunds, and record the outcome.

        ``last`` says that the next failure sends the message to the dead-letter queue: the payment is then marked
        unknown. Raises RetryError, or UnavailableError if the table does not answer: the message must be delivered
        again; and NotStoredError if the table has no such payment, or no such refund of it.
        """
        status = payment and payment.status_of(refund_id)
        if payment is None or status is None:
            raise NotStoredError("the table has no such payment, or no such refund of it")
        if status not in OPEN:
            logger.info("nothing left to do", transaction_id=payment.transaction_id, refund_id=refund_id)
            return
        request = request_of(payment, refund_id)
        match self._ask(request, blind=self._may_be_blind(payment, refund_id, request)):
            case Approved() | Declined() | Pending() as outcome:
                # A pending charge needs no retry: the gateway reports, or the reconciler asks it.
                self.settle(payment, refund_id, outcome)
            case Unknown(reason) | NotSent(reason):
                self._unresolved(payment, refund_id, reason, last=last)
            case RateLimited():
                self._unresolved(payment, refund_id, "the gateway limits the rate of calls", last=last)

    def give_up(self, transaction_id: str, refund_id: str | None, reason: str) -> None:
        """Mark a payment or a refund as unknown before its message goes to the dead-letter queue."""
        logger.warning("given up", transaction_id=transaction_id, refund_id=refund_id, reason=reason)
        if self._write(transaction_id, refund_id, "lose", GatewayResult(), self._clock()):
            measure("Unknown" if refund_id is None else "RefundUnknown")

    def lookup(self, payment: Payment, refund_id: str | None) -> Approved | Declined | Pending | None:
        """Ask the gateway what became of a charge or a refund. Raises UnavailableError if it does not answer."""
        return self._gateway.lookup(request_of(payment, refund_id))

    def _may_be_blind(self, payment: Payment, refund_id: str | None, request: Charge | Refund) -> bool:
        """Return whether no lookup is needed first: if the gateway was ever called with the key, it still has it.

        The time of acceptance decides. After a restore, a lost request that its client repeats looks new, but its key
        at the gateway may have expired long ago.
        """
        young = age(payment, refund_id, self._clock()) < BLIND_CHARGE_WINDOW
        return young and request.reference is None and not self._restored and not payment.restored_at

    def _ask(self, request: Charge | Refund, *, blind: bool) -> Outcome:
        """Charge. If the gateway may have forgotten the key, look for an earlier charge first."""
        try:
            known = None if blind else self._gateway.lookup(request)
            if known is not None:
                return known
            return self._gateway.charge(request) if isinstance(request, Charge) else self._gateway.refund(request)
        except UnavailableError as error:
            return Unknown(str(error))

    def _unresolved(self, payment: Payment, refund_id: str | None, reason: str, *, last: bool) -> None:
        logger.warning(
            "no answer from the gateway",
            transaction_id=payment.transaction_id,
            refund_id=refund_id,
            reason=reason,
            last=last,
        )
        if last:
            self.give_up(payment.transaction_id, refund_id, reason)
        raise RetryError(reason)
