"""Charge a payment once, and record what became of it.

A message may come twice, late, or after the payment is final. The gateway's idempotency key makes a second call
harmless; the conditional update makes a second record harmless; and a message that is not surely the first one is
checked against the table before the gateway is called, since a gateway forgets its keys in time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from payments.aws import UnavailableError
from payments.gateway import (
    Approved,
    Charge,
    Declined,
    Gateway,
    NotSent,
    Outcome,
    RateLimited,
    Unknown,
    idempotency_key,
)
from payments.telemetry import logger, measure
from payments.transitions import FINAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from payments.model import Payment
    from payments.store import Table

# Gateways keep an idempotency key for a day; an hour of that is left for clocks that differ and calls that take long.
BLIND_CHARGE_WINDOW = timedelta(hours=23)
FRESH = timedelta(minutes=1)


class RetryError(Exception):
    """The payment is not final: the message must come again, or go to the dead-letter queue."""


class Charging:
    """Charges payments through a gateway and records the outcomes in the table."""

    def __init__(self, table: Table, gateway: Gateway, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._gateway = gateway
        self._clock = clock

    def work(self, payment: Payment, *, deliveries: int, last: bool) -> None:
        """Bring a payment to its end.

        ``deliveries`` counts this one; ``last`` says that the next failure sends the message to the dead-letter queue:
        the payment is then marked unknown. Raises RetryError, or UnavailableError where the table does not answer: the
        message must come again.
        """
        charge = Charge(
            idempotency_key(payment.transaction_id), payment.money, payment.payment_method, payment.transaction_id
        )
        age = payment.age(self._clock())
        if deliveries > 1 or age > FRESH:
            stored = self._table.get(payment.transaction_id)
            if stored is None:
                raise RetryError("the payment is not in the table")
            if stored.status in FINAL:
                logger.info("nothing left to charge", transaction_id=payment.transaction_id)
                return
        match self._ask(charge, blind=age < BLIND_CHARGE_WINDOW):
            case Approved(reference):
                self._record(payment, "approve", gateway_reference=reference)
            case Declined(code):
                self._record(payment, "decline", failure_code=code)
            case Unknown(reason) | NotSent(reason):
                self._unresolved(payment, reason, last=last)
            case RateLimited():
                self._unresolved(payment, "the gateway wants to be asked later", last=last)

    def _ask(self, charge: Charge, *, blind: bool) -> Outcome:
        """Charge, or learn of an earlier charge first where the gateway may have forgotten the key."""
        try:
            return (None if blind else self._gateway.lookup(charge)) or self._gateway.charge(charge)
        except UnavailableError as error:
            return Unknown(str(error))

    def _unresolved(self, payment: Payment, reason: str, *, last: bool) -> None:
        logger.warning("no answer from the gateway", transaction_id=payment.transaction_id, reason=reason, last=last)
        if last:
            self._record(payment, "lose")
        raise RetryError(reason)

    def _record(
        self, payment: Payment, event: str, *, gateway_reference: str | None = None, failure_code: str | None = None
    ) -> None:
        made = self._table.record(
            payment.transaction_id,
            event,
            self._clock(),
            gateway_reference=gateway_reference,
            failure_code=failure_code,
        )
        if made:
            measure({"approve": "Processed", "decline": "Failed", "lose": "Unknown"}[event])
        logger.info("recorded" if made else "already recorded", transaction_id=payment.transaction_id, event=event)
