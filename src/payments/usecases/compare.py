"""Compare a day of a gateway's books with the table, both ways, and name each difference.

Each entry of the books is looked up in the table. A payment that was charged that day by the table, and is not in that
day's books, is looked up at the gateway: around midnight the two may disagree about the day. Nothing is corrected here:
a person decides what to do about a difference.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from payments.domain.errors import PoisonError, UnavailableError
from payments.domain.ids import REFUND_ID
from payments.domain.lifecycle import OPEN, Status
from payments.domain.money import Money
from payments.gateways.port import Approved, NoSuchReferenceError, transaction_of
from payments.runtime.calls import CONCURRENCY
from payments.runtime.telemetry import logger
from payments.usecases.charge import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from payments.domain.payment import Payment
    from payments.gateways.port import Booked, Charge, Declined, Pending, Refund
    from payments.usecases.ports import Clock, Payments, PaymentsByCharge, PaymentsByDay


# A charge of a moment ago may not be recorded yet: the reconciler asks after a quarter of an hour.
_IN_PROGRESS = timedelta(hours=1)

_CHARGED = frozenset({Status.PROCESSED, Status.PARTIALLY_REFUNDED, Status.REFUNDED})

# How many entries are compared between two checks of the time.
_CHUNK = 200


class DifferenceKind(StrEnum):
    """The kinds of differences."""

    AMOUNT = "amount"
    CHARGED_TWICE = "charged_twice"
    NOT_AT_GATEWAY = "not_at_gateway"
    NOT_IN_TABLE = "not_in_table"
    REFUND_BY_HAND = "refund_by_hand"
    STATUS = "status"


class Difference(Struct, frozen=True, omit_defaults=True):
    """A difference; ``at_gateway`` is the value in the books, and ``in_table`` that in the table, if any."""

    kind: DifferenceKind
    transaction_id: str
    refund_id: str | None = None
    gateway_reference: str | None = None
    at_gateway: str | None = None
    in_table: str | None = None

    def fields(self) -> dict[str, str]:
        """Return the fields that have a value."""
        fields: dict[str, str] = msgspec.to_builtins(self)
        return fields

    def event(self, source: str, day: date, at: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return its CloudEvent, whose id is the same each time the day is compared, and its message attributes."""
        parts = (day.isoformat(), self.kind, self.transaction_id, self.refund_id or self.gateway_reference or "")
        event = {
            "specversion": "1.0",
            "id": "difference." + ".".join(filter(None, parts)),
            "source": source,
            "type": "gateway.difference",
            "subject": self.transaction_id,
            "time": at,
            "datacontenttype": "application/json",
            "data": {"day": day.isoformat()} | self.fields(),
        }
        return event, {"event_type": "gateway.difference", "kind": self.kind}


class Books(Protocol):
    """A gateway whose books can be read."""

    def booked(self, since: datetime, until: datetime) -> Iterator[Booked]:
        """Yield the charges and refunds of a period. Raises UnavailableError if the gateway does not answer."""

    def read(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return the outcome of a charge, and change nothing.

        Raises UnavailableError if the gateway does not answer.
        """


class StoredPayments(NamedTuple):
    """The payments that are compared with the books, and the indexes that find them."""

    payments: Payments
    by_charge: PaymentsByCharge
    by_day: PaymentsByDay


class Comparison:
    """Compares for one stack, which ``scope`` names; ``clock`` returns the time."""

    def __init__(self, stored: StoredPayments, books: Books, *, scope: str, clock: Clock) -> None:
        self._stored = stored
        self._books = books
        self._scope = scope
        self._clock = clock
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()

    def run(self, day: date, *, in_time: Callable[[], bool]) -> None:
        """Compare a day, in UTC, into ``differences`` and ``counts``.

        The counts are ``compared``, ``unanswered`` and ``left``; the last two are 0 if the whole day was compared.
        Raises UnavailableError if the books or the index cannot be read.
        """
        since = datetime.combine(day, datetime.min.time(), UTC)
        seen: set[str] = set()

        def of_books(entry: Booked) -> Difference | None:
            if not entry.refund and entry.status == "succeeded":
                seen.add(entry.metadata.get("transaction_id", ""))
            return self._entry(entry)

        self._each(self._books.booked(since, since + timedelta(days=1)), of_books, in_time)
        self._each((one for one in self._stored.by_day.on(day.isoformat()) if one not in seen), self._absent, in_time)

    def _each(
        self, things: Iterable[Any], compare: Callable[[Any], Difference | None], in_time: Callable[[], bool]
    ) -> None:
        def one(thing: Any) -> tuple[Difference | None, bool]:  # noqa: ANN401 - an entry, or an id
            try:
                return compare(thing), True
            except (PoisonError, UnavailableError) as error:
                logger.warning("not compared", reason=str(error))
                return None, False

        left = iter(things)
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            while chunk := list(islice(left, _CHUNK)):
                if not in_time():
                    # Nobody has counted the rest.
                    self.counts["left"] += len(chunk)
                    return
                for difference, answered in pool.map(one, chunk):
                    self.counts["compared" if answered else "unanswered"] += 1
                    if difference is not None:
                        self.differences.append(difference)

    def _entry(self, entry: Booked) -> Difference | None:
        transaction_id = transaction_of(entry.metadata, self._scope)
        if transaction_id is None:
            return self._by_hand(entry) if entry.refund else None
        payment = self._stored.payments.get(transaction_id)
        if entry.refund:
            return self._refund(entry, payment, transaction_id)
        if payment is None:
            return _difference(DifferenceKind.NOT_IN_TABLE, transaction_id, entry)
        return self._charge(entry, payment)

    def _charge(self, entry: Booked, payment: Payment) -> Difference | None:
        here = payment.status in _CHARGED
        if payment.status in OPEN and self._in_progress(entry):
            return None
        if (entry.status == "succeeded") != here:
            # The payment names the attempt that was charged. This one failed.
            other = payment.gateway_reference not in {None, entry.reference}
            return (
                None
                if here and other
                else _difference(DifferenceKind.STATUS, payment.transaction_id, entry, payment.status)
            )
        if not here:
            return None
        if payment.gateway_reference != entry.reference:
            return _difference(DifferenceKind.CHARGED_TWICE, payment.transaction_id, entry, payment.gateway_reference)
        return _amount(entry, payment.money, payment.transaction_id)

    def _refund(self, entry: Booked, payment: Payment | None, transaction_id: str) -> Difference | None:
        refund_id = entry.metadata.get("refund_id", "")
        refund = payment.refunds.get(refund_id) if payment and REFUND_ID.fullmatch(refund_id) else None
        if payment is None or refund is None:
            return _difference(DifferenceKind.NOT_IN_TABLE, transaction_id, entry, refund_id=refund_id or None)
        if refund.status in OPEN and self._in_progress(entry):
            return None
        if (entry.status == "succeeded") != (refund.status is Status.PROCESSED):
            return _difference(DifferenceKind.STATUS, transaction_id, entry, refund.status, refund_id=refund_id)
        money = Money(refund.amount_minor, payment.currency)
        return _amount(entry, money, transaction_id, refund_id)

    def _by_hand(self, entry: Booked) -> Difference | None:
        """Find the payment of a refund that lacks our metadata: someone made it at the gateway."""
        transaction_id = self._stored.by_charge.find(entry.charge_reference)
        return _difference(DifferenceKind.REFUND_BY_HAND, transaction_id, entry) if transaction_id else None

    def _absent(self, transaction_id: str) -> Difference | None:
        payment = self._stored.payments.get(transaction_id)
        if payment is None or payment.status not in _CHARGED:
            return None
        try:
            outcome = self._books.read(request_of(payment, None))
        except NoSuchReferenceError:
            outcome = None
        if isinstance(outcome, Approved):
            return None
        at_gateway = type(outcome).__name__.lower() if outcome is not None else None
        return Difference(
            DifferenceKind.NOT_AT_GATEWAY,
            transaction_id,
            gateway_reference=payment.gateway_reference,
            at_gateway=at_gateway,
            in_table=payment.status,
        )

    def _in_progress(self, entry: Booked) -> bool:
        return self._clock().timestamp() - entry.created < _IN_PROGRESS.total_seconds()


def _difference(
    kind: DifferenceKind, transaction_id: str, entry: Booked, in_table: str | None = None, refund_id: str | None = None
) -> Difference:
    at_gateway = str(
        entry.status
        if kind is DifferenceKind.STATUS
        else f"{entry.money} {entry.money.currency}"
        if entry.money
        else "?"
    )
    return Difference(kind, transaction_id, refund_id, entry.reference, at_gateway, in_table)


def _amount(entry: Booked, money: Money, transaction_id: str, refund_id: str | None = None) -> Difference | None:
    if entry.money == money:
        return None
    return _difference(DifferenceKind.AMOUNT, transaction_id, entry, f"{money} {money.currency}", refund_id)
