"""The port to a payment gateway: the outcomes of a call, the entries of its books, and its own reports."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from payments.domain.errors import UnavailableError
from payments.domain.ids import TRANSACTION_ID
from payments.domain.money import Money


class NoSuchReferenceError(UnavailableError):
    """The gateway does not know a reference that it gave us. The caller cannot continue."""


class ReportError(Exception):
    """A gateway's report makes no sense. The message repeats nothing of it."""


class Approved(Struct, frozen=True):
    """The gateway has charged or refunded; ``reference`` is its own id of the charge or refund."""

    reference: str


class Declined(Struct, frozen=True):
    """The gateway has refused and can no longer move money under this key; ``code`` is the reason, a stable term.

    A gateway whose customers may try again after a refusal cancels the charge first, and returns this only when the
    cancellation is certain. ``reference`` is the gateway's id of a refund that failed, if it has created one.
    """

    code: str
    reference: str | None = None


class Pending(Struct, frozen=True):
    """The gateway has started, and can still move money: a bank takes days, or the customer must act first.

    Everything that exists at the gateway and is not final is pending, under any name that the gateway has for it.
    ``next_action`` is the action that the customer must take, in the gateway's term; empty if they only have to wait.
    """

    reference: str
    next_action: str = ""


class Unknown(Struct, frozen=True):
    """The call may or may not have taken effect: a time-out, a reset, a server error. Never a failure."""

    reason: str


class NotSent(Struct, frozen=True):
    """The call certainly did not reach the gateway."""

    reason: str


class RateLimited(Struct, frozen=True):
    """The gateway wants the call to be repeated later; nothing has happened."""


class Booked(Struct, frozen=True):
    """A charge or a refund in the gateway's books.

    ``reference`` is the gateway's id of it, and ``charge_reference`` is its id of the charge, also for a refund.
    ``metadata`` is what we sent with the request to identify it. ``money`` is None for an amount that no payment has.
    """

    refund: bool
    reference: str
    charge_reference: str
    metadata: dict[str, str]
    money: Money | None
    status: str
    created: int


class _OutcomeReported(Struct, frozen=True):
    """The common fields of reports of a charge and of a refund; Booked explains them."""

    event_id: str
    reference: str
    metadata: dict[str, str]
    money: Money | None
    outcome: Approved | Declined | Pending


class ChargeReported(_OutcomeReported, frozen=True):
    """The gateway reports the outcome of a charge."""


class RefundReported(_OutcomeReported, frozen=True):
    """The gateway reports the outcome of a refund. It has no metadata of ours if someone made it at the gateway."""


class DisputeReported(Struct, frozen=True):
    """The gateway reports that a customer disputes a charge, or that the dispute is ``closed``.

    ``charge_reference`` is empty if the report names no charge. ``created`` is when the
    gateway wrote the report, on its own clock, in seconds since 1970.
    """

    event_id: str
    dispute_id: str
    charge_reference: str
    money: Money | None
    status: str
    reason: str
    created: int
    closed: bool


Report = ChargeReported | RefundReported | DisputeReported

Outcome = Approved | Declined | Pending | Unknown | NotSent | RateLimited


class Charge(Struct, frozen=True):
    """A charge for the gateway to make. ``key`` is the idempotency key: one key, one charge.

    ``reference`` is the gateway's own id of the charge, if an earlier call has returned it.
    """

    key: str
    money: Money
    payment_method: str
    transaction_id: str
    reference: str | None = None


class Refund(Struct, frozen=True):
    """A refund for the gateway to make, of the charge whose id there is ``charge_reference``.

    ``reference`` is the gateway's own id of the refund, if an earlier call has returned it.
    """

    key: str
    money: Money
    charge_reference: str
    transaction_id: str
    refund_id: str
    reference: str | None = None


class Gateway(Protocol):
    """A payment gateway that honours idempotency keys."""

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key; a repeat gets the first call's answer.

        Raises UnavailableError if the gateway does not answer: the charge may or may not have happened.
        """

    def refund(self, refund: Refund) -> Outcome:
        """Refund once for each key; a repeat gets the first call's answer.

        Raises UnavailableError if the gateway does not answer: the refund may or may not have happened.
        """

    def lookup(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return the outcome of a charge or a refund, or None if the gateway certainly has none.

        After None, a charge is made. With a ``reference``, the gateway has one, so the answer is never None. Raises
        UnavailableError if the gateway does not answer.
        """


def idempotency_key(transaction_id: str, refund_id: str | None = None) -> str:
    """Return the key of a payment's charge, or of a refund: the same for every attempt on every machine."""
    # No id contains a dot, so two keys are never confused.
    return f"payment-{transaction_id}" if refund_id is None else f"refund-{transaction_id}.{refund_id}"


def metadata_of(request: Charge | Refund, scope: str) -> dict[str, str]:
    """Return the metadata that identifies a request's charge or refund at the gateway; ``scope`` names the stack."""
    metadata = {"transaction_id": request.transaction_id, "environment": scope}
    return metadata | ({"refund_id": request.refund_id} if isinstance(request, Refund) else {})


def transaction_of(metadata: dict[str, str], scope: str) -> str | None:
    """Return the payment that metadata names; None if it is not one of this stack."""
    transaction_id = metadata.get("transaction_id", "")
    ours = metadata.get("environment") == scope and TRANSACTION_ID.fullmatch(transaction_id)
    return transaction_id if ours else None
