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
    """A refund as its payment holds it. Times are UTC, RFC 3339 with microseconds."""

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
            raise ValueError("status is none that a refund can have")


class DisputeRecord(Struct, frozen=True, omit_defaults=True):
    """A customer's objection at the bank, as its payment holds it. ``status`` and ``reason`` are the gateway's words.

    ``sequence`` orders what the gateway says of it: what is not greater was known already.
    """

    amount_minor: Minor
    status: str
    reason: str
    # Stored as "told", under which older payments hold it too.
    sequence: int = field(name="told")
    updated_at: str
    closed: bool = False


class Payment(Struct, frozen=True, omit_defaults=True):
    """A payment as the table has it. Times are UTC, RFC 3339 with microseconds.

    ``payment_method`` and ``fingerprint`` are empty where who reads has no need of them. ``trace`` names the trace of
    the request, since the table's stream carries no trace header; it is empty where there was none. ``next_action`` is
    what the gateway waits for the customer to do, in its word; once the payment is final it says nothing.
    ``restored_at`` says when the item was put back from a backup; it is empty where it never was. What happened after
    the backup is not in it.
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
        """What has been given back."""
        return self._sum(Status.PROCESSED)

    @property
    def refundable(self) -> Money:
        """What is neither given back nor about to be."""
        return Money(self.amount_minor - self._sum(Status.PROCESSED, *OPEN).minor, self.currency)

    def _sum(self, *states: Status) -> Money:
        return Money(sum(each.amount_minor for each in self.refunds.values() if each.status in states), self.currency)

    @property
    def open_refunds(self) -> list[str]:
        """The refunds of which the gateway has not said its last word."""
        return [refund_id for refund_id, refund in self.refunds.items() if refund.status in OPEN]

    def status_of(self, refund_id: str | None) -> Status | None:
        """Return the status of the charge, or of one of its refunds; None if it has no such refund."""
        if refund_id is None:
            return self.status
        return self.refunds[refund_id].status if refund_id in self.refunds else None

    @property
    def is_open(self) -> bool:
        """Whether there is a charge or a refund of which the gateway has not said its last word."""
        return self.status in OPEN or bool(self.open_refunds)


class GatewayResult(Struct, frozen=True):
    """What a gateway said of a charge or a refund: its own reference, or why it refused.

    ``next_action`` is what it waits for the customer to do, and ``ask_at`` when to ask it again.
    """

    gateway_reference: str | None = None
    failure_code: str | None = None
    next_action: str | None = None
    ask_at: datetime | None = None
