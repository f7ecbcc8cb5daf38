"""Charge a payment once, or give back a refund once, and record what became of it.

A message may come twice, late, or after the payment is final, and anyone who may send to the queue can forge one. So it
only names a payment, and what the table says is done. The gateway's idempotency key makes a second call harmless, and
the conditional update a second record. A gateway forgets its keys in time: then it is asked before it is called.
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
    Pending,
    RateLimited,
    Refund,
    Unknown,
    idempotency_key,
)
from payments.model import PoisonError, since
from payments.money import Money
from payments.store import SILENCE, Word
from payments.telemetry import logger, measure, measure_failure, measure_money, measure_seconds
from payments.transitions import OPEN, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from payments.model import Payment
    from payments.store import Batch, Table

# Gateways keep an idempotency key for a day; an hour of that is left for clocks that differ and calls that take long.
BLIND_CHARGE_WINDOW = timedelta(hours=23)
# A gateway that waits for a bank or for the customer is asked again later each time: after as long as it has taken.
SOONEST_QUESTION = timedelta(minutes=15)
LATEST_QUESTION = timedelta(hours=6)


class RetryError(Exception):
    """The payment is not final: the message must come again, or go to the dead-letter queue."""


class NotStoredError(PoisonError):
    """A message names a payment or a refund that the table does not have: nobody has accepted it."""


def request_of(payment: Payment, refund_id: str | None) -> Charge | Refund:
    """Return what the gateway is asked for; raises PoisonError where the payment does not say enough."""
    key = idempotency_key(payment.transaction_id, refund_id)
    if refund_id is None:
        if not payment.payment_method:
            raise PoisonError("the payment has no payment method")
        return Charge(key, payment.money, payment.payment_method, payment.transaction_id, payment.gateway_reference)
    if not payment.gateway_reference:
        raise PoisonError("the payment has no charge to give back")
    refund = payment.refunds[refund_id]
    money = Money(refund.amount_minor, payment.currency)
    return Refund(key, money, payment.gateway_reference, payment.transaction_id, refund_id, refund.gateway_reference)


class Settling:
    """Records in the table what a gateway has said, whoever brings it."""

    def __init__(self, table: Table, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._clock = clock

    def settle(self, payment: Payment, refund_id: str | None, outcome: Approved | Declined | Pending) -> None:
        """Record the gateway's last word, or that it has yet to say one.

        Raises UnavailableError where the table does not answer.
        """
        match outcome:
            case Approved(reference):
                self._record(payment, refund_id, "approve", Word(gateway_reference=reference))
            case Declined(code):
                self._record(payment, refund_id, "decline", Word(failure_code=code))
            case Pending(reference, next_action):
                at = self._clock()
                wait = min(max(age(payment, refund_id, at), SOONEST_QUESTION), LATEST_QUESTION)
                word = Word(gateway_reference=reference, next_action=next_action, ask_at=at + wait)
                self._record(payment, refund_id, "wait", word)

    def _record(self, payment: Payment, refund_id: str | None, event: str, word: Word) -> None:
        at = self._clock()
        if self._write(payment.transaction_id, refund_id, event, word, at):
            _measure(payment, refund_id, event, word, at)
        elif event != "wait":
            self._check(payment.transaction_id, refund_id, event, word)

    def _write(self, transaction_id: str, refund_id: str | None, event: str, word: Word, at: datetime) -> bool:
        if refund_id is None:
            made = self._table.record(transaction_id, event, at, word)
        else:
            made = self._table.record_refund(transaction_id, refund_id, event, at, word)
        logger.info(
            "recorded" if made else "already recorded", transaction_id=transaction_id, refund_id=refund_id, event=event
        )
        return made

    def _check(self, transaction_id: str, refund_id: str | None, event: str, word: Word) -> None:
        """Raise the alarm where the table holds another last word than the gateway's, or another charge."""
        stored = self._table.get(transaction_id)
        if stored is None:
            raise NotStoredError("the payment is not in the table")
        held = stored.refunds.get(refund_id, stored) if refund_id else stored
        failed = held.failure_code is not None
        if failed != (event == "decline") or (not failed and held.gateway_reference != word.gateway_reference):
            measure("Contradicted")
            logger.error(
                "the gateway contradicts the table", transaction_id=transaction_id, refund_id=refund_id, event=event
            )


class Charging(Settling):
    """Charges payments, and refunds them, through a gateway, and records the outcomes in the table."""

    def __init__(
        self, table: Table, gateway: Gateway, clock: Callable[[], datetime], *, restored: bool = False
    ) -> None:
        """``restored`` says that the whole table was restored from a backup."""
        super().__init__(table, clock)
        self._gateway = gateway
        self._restored = restored

    def read(self, transaction_ids: Iterable[str]) -> Batch:
        """Read the payments that a batch of messages names."""
        return self._table.get_batch(transaction_ids)

    def work(self, payment: Payment | None, refund_id: str | None = None, *, last: bool) -> None:
        """Bring a payment, as the table has it, or one of its refunds, to its end.

        ``last`` says that the next failure sends the message to the dead-letter queue: the payment is then marked
        unknown. Raises RetryError, or UnavailableError where the table does not answer: the message must come again;
        and NotStoredError where the table has no such payment, or no such refund of it.
        """
        if payment is None or (refund_id is not None and refund_id not in payment.refunds):
            raise NotStoredError("the table has no such payment, or no such refund of it")
        if (payment.status if refund_id is None else payment.refunds[refund_id].status) not in OPEN:
            logger.info("nothing left to do", transaction_id=payment.transaction_id, refund_id=refund_id)
            return
        request = request_of(payment, refund_id)
        match self._ask(request, blind=self._may_be_blind(payment, refund_id, request)):
            case Approved() | Declined() | Pending() as outcome:
                # What is pending needs no retry: the gateway tells, or is asked by the reconciler.
                self.settle(payment, refund_id, outcome)
            case Unknown(reason) | NotSent(reason):
                self._unresolved(payment, refund_id, reason, last=last)
            case RateLimited():
                self._unresolved(payment, refund_id, "the gateway wants to be asked later", last=last)

    def give_up(self, transaction_id: str, refund_id: str | None, reason: str) -> None:
        """Mark as unknown what cannot be worked on any more before its message goes to the dead-letter queue."""
        logger.warning("given up", transaction_id=transaction_id, refund_id=refund_id, reason=reason)
        if self._write(transaction_id, refund_id, "lose", SILENCE, self._clock()):
            measure("Unknown" if refund_id is None else "RefundUnknown")

    def lookup(self, payment: Payment, refund_id: str | None) -> Approved | Declined | Pending | None:
        """Ask the gateway what became of a charge or a refund. Raises UnavailableError where it does not answer."""
        return self._gateway.lookup(request_of(payment, refund_id))

    def _may_be_blind(self, payment: Payment, refund_id: str | None, request: Charge | Refund) -> bool:
        """Say whether the gateway need not be asked first: it knows the key still, if it was ever called with it.

        That goes by when the request was accepted. After a restore a lost request that its client repeats looks new,
        and the gateway may have forgotten its key long ago.
        """
        young = age(payment, refund_id, self._clock()) < BLIND_CHARGE_WINDOW
        return young and request.reference is None and not self._restored and not payment.restored_at

    def _ask(self, request: Charge | Refund, *, blind: bool) -> Outcome:
        """Charge, or learn of an earlier charge first where the gateway may have forgotten the key."""
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


def age(payment: Payment, refund_id: str | None, at: datetime) -> timedelta:
    """Return how long before ``at`` a charge or a refund was accepted."""
    return since(payment.created_at if refund_id is None else payment.refunds[refund_id].created_at, at)


def _measure(payment: Payment, refund_id: str | None, event: str, word: Word, at: datetime) -> None:
    """Measure a transition that was made: each but ``wait`` is made once, so nothing is counted twice."""
    # Clocks differ: what was accepted a moment ago may seem to lie ahead.
    seconds = max(age(payment, refund_id, at).total_seconds(), 0.0)
    match event, refund_id:
        case "wait", None:
            # The same again, where it was unknown already.
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
            measure_failure("Failed", word.failure_code)
            measure_seconds("SecondsToFinal", seconds)
        case _:
            measure_failure("RefundFailed", word.failure_code)
            measure_seconds("RefundSecondsToFinal", seconds)
