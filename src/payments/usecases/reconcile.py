"""Find payments that have been open for too long, ask the gateway, and settle or redrive them.

Nothing is guessed: the gateway's final answer is recorded. A payment that the gateway does not know goes through the
stream and the queue again, and is charged with the same idempotency key as before.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import OPEN, Status
from payments.gateways.port import Pending
from payments.runtime.calls import CONCURRENCY
from payments.runtime.telemetry import logger, measure_seconds
from payments.usecases.settle import age

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from payments.domain.payment import Payment
    from payments.gateways.port import Approved, Declined
    from payments.usecases.charge import Charging
    from payments.usecases.ports import Clock, Payments


# Bank debits take up to two weeks; a customer who has not acted by then will not act.
PATIENCE = timedelta(days=14)


class Reconciler:
    """Reconciles payments with the gateway; ``clock`` returns the time."""

    def __init__(self, payments: Payments, charging: Charging, clock: Clock) -> None:
        self._payments = payments
        self._charging = charging
        self._clock = clock
        self._ages: list[float] = []

    def run(
        self, transaction_ids: Iterable[str], *, in_time: Callable[[], bool], processed_refunds: bool = False
    ) -> Counter[str]:
        """Reconcile payments until ``in_time`` returns False, and count the results.

        ``processed_refunds`` asks the gateway about those too: a bank may have returned the money.

        The counts are ``settled`` and ``pending`` charges and refunds, and payments that were ``redriven``,
        ``closed`` (final, but still in the open index), ``unanswered``, ``failed``, ``missing`` (no such payment), or
        ``left`` because no time was left. The age of the oldest is measured, or zero if none was found: a run always
        says that it ran. A payment that is pending at the gateway counts there only when even a bank should have
        finished.
        """
        counts: Counter[str] = Counter()
        self._ages = [0.0]
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            one = partial(self._one, in_time=in_time, processed_refunds=processed_refunds)
            for counted in pool.map(one, transaction_ids):
                counts += counted
        measure_seconds("OldestOpenSeconds", max(self._ages))
        return counts

    def _one(self, transaction_id: str, *, in_time: Callable[[], bool], processed_refunds: bool) -> Counter[str]:
        if not in_time():
            return Counter(left=1)
        try:
            counts = self._reconcile(transaction_id, processed_refunds=processed_refunds)
        except UnavailableError as error:
            logger.warning("not reconciled", transaction_id=transaction_id, reason=str(error))
            counts = Counter(unanswered=1)
        except Exception as error:  # noqa: BLE001
            # An unreadable payment, or any other error, does not hold up the other payments.
            logger.error("not reconciled", transaction_id=transaction_id, reason=str(error))
            counts = Counter(failed=1)
        return counts

    def _reconcile(self, transaction_id: str, *, processed_refunds: bool) -> Counter[str]:
        payment = self._payments.get(transaction_id)
        counts: Counter[str] = Counter()
        if payment is None:
            return Counter(missing=1)
        if self._payments.close(payment):
            logger.warning("closed", transaction_id=transaction_id)
            counts["closed"] += 1
        parts: list[str | None] = [None] if payment.status in OPEN else [*payment.open_refunds]
        if processed_refunds:
            parts += [name for name, refund in payment.refunds.items() if refund.status is Status.PROCESSED]
        unknown = False
        for refund_id in parts:
            outcome = self._ask(payment, refund_id)
            if outcome is None:
                unknown = True
                continue
            self._charging.settle(payment, refund_id, outcome)
            result = "pending" if isinstance(outcome, Pending) else "settled"
            logger.info(result, transaction_id=transaction_id, refund_id=refund_id)
            counts[result] += 1
        if unknown:
            # Settling has changed the payment, and a charge that the gateway did not know may be settled by now.
            payment = (self._payments.get(transaction_id) or payment) if counts else payment
            if self._payments.redrive(payment, self._clock()):
                logger.info("redriven", transaction_id=transaction_id, redrives=payment.redrives + 1)
                counts["redriven"] += 1
        return counts

    def _ask(self, payment: Payment, refund_id: str | None) -> Approved | Declined | Pending | None:
        waited = age(payment, refund_id, self._clock())
        outcome = None
        try:
            outcome = self._charging.lookup(payment, refund_id)
        finally:
            still_open = (payment.status if refund_id is None else payment.refunds[refund_id].status) in OPEN
            if still_open and (not isinstance(outcome, Pending) or waited > PATIENCE):
                self._ages.append(waited.total_seconds())
        return outcome
