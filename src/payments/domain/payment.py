"""A payment with its refunds and disputes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from payments.domain.currencies import EXPONENTS
from payments.domain.ids import Id
from payments.domain.lifecycle import OPEN, REFUND_STATES, Status
from payments.domain.money import Money

Minor = Annotated[int, Meta(ge=1)]


class RefundRecord(Struct, frozen=True, omit_defaults=True):
    """A refund as stored in its payment. Times are UTC, RFC 3339 with microseconds."""

    amount_minor: Minor
    status: Status
    created_at: str
    updated_at: str
    fingerprint: str
    reason: str | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None
    trace: str = ""

    def __post_init__(self) -> None:
        if self.status not in REFUND_STATES:
            raise ValueError("status is not one that a refund can have")


class DisputeRecord(Struct, frozen=True, omit_defaults=True):
    """A customer's dispute at the bank, as stored in its payment. ``status`` and ``reason`` are the gateway's terms.

    ``sequence`` orders the gateway's reports on it: a report whose sequence is not greater is old news.
    """

    amount_minor: Minor
    status: str
    reason: str
    # Stored as "told", the name that older payments use.
    sequence: int = field(name="told")
    updated_at: str
    closed: bool = False


class Payment(Struct, frozen=True, omit_defaults=True):
    """A payment as the table holds it. Times are UTC, RFC 3339 with microseconds.

    ``payment_method`` and ``fingerprint`` are empty when the reader does not need them. ``trace`` is the trace of the
    request, since the table's stream carries no trace header; it is empty if the request had none. ``next_action`` is
    the action that the gateway expects from the customer, in its own term; it has no meaning once the payment is final.
    ``restored_at`` is when the item was put back from a backup, and empty if it never was. An item that was put back
    lacks everything that happened after the backup.
    """

    transaction_id: Id
    customer_id: str
    amount_minor: Minor
    currency: str
    status: Status
    version: int
    created_at: str
    updated_at: str
    payment_method: str = ""
    fingerprint: str = ""
    description: str | None = None
    metadata: dict[str, str] | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None
    refunds: dict[Id, RefundRecord] = {}
    redrives: int = 0
    trace: str = ""
    next_action: str = ""
    disputes: dict[str, DisputeRecord] = {}
    restored_at: str = ""

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise ValueError("currency is not the code of an ISO 4217 currency")

    @property
    def money(self) -> Money:
        """The amount."""
        return Money(self.amount_minor, self.currency)

    @property
    def refunded(self) -> Money:
        """The refunded amount."""
        return self._sum(Status.PROCESSED)

    @property
    def refundable(self) -> Money:
        """The amount that is neither refunded nor about to be."""
        return Money(self.amount_minor - self._sum(Status.PROCESSED, *OPEN).minor, self.currency)

    def _sum(self, *states: Status) -> Money:
        return Money(sum(each.amount_minor for each in self.refunds.values() if each.status in states), self.currency)

    @property
    def open_refunds(self) -> list[str]:
        """The refunds that the gateway has not answered finally."""
        return [refund_id for refund_id, refund in self.refunds.items() if refund.status in OPEN]

    def status_of(self, refund_id: str | None) -> Status | None:
        """Return the status of the charge, or of one of its refunds; None if it has no such refund."""
        if refund_id is None:
            return self.status
        return self.refunds[refund_id].status if refund_id in self.refunds else None

    @property
    def is_open(self) -> bool:
        """Whether the gateway has not answered finally on the charge or on a refund."""
        return self.status in OPEN or bool(self.open_refunds)


class GatewayResult(Struct, frozen=True):
    """A gateway's answer about a charge or a refund: its own reference, or why it refused.

    ``next_action`` is the action that it expects from the customer, and ``ask_at`` is when to ask it again.
    """

    gateway_reference: str | None = None
    failure_code: str | None = None
    next_action: str | None = None
    ask_at: datetime | None = None
