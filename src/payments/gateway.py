"""The port to a payment gateway, and the outcomes that it tells apart."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from payments.aws import UnavailableError
from payments.money import Money  # noqa: TC001 - msgspec reads the annotations


class NoSuchReferenceError(UnavailableError):
    """The gateway answers that it knows nothing by its own name that we have of something. Who asks cannot go on."""


class Approved(Struct, frozen=True):
    """The gateway has charged, or given back; ``reference`` is its own name of that."""

    reference: str


class Declined(Struct, frozen=True):
    """The gateway has refused, and can move no money under this key any more; ``code`` says why, in a stable word.

    A gateway whose customers may try again after a refusal cancels the charge first, and says this only when the
    cancellation is sure.
    """

    code: str


class Pending(Struct, frozen=True):
    """The gateway has begun, and can still move money: a bank takes days, or the customer must act first.

    Whatever exists at the gateway and is not final is pending, whatever the gateway calls its state.
    ``next_action`` names what the customer must do, in the gateway's word; empty where there is nothing to do but wait.
    """

    reference: str
    next_action: str = ""


class Unknown(Struct, frozen=True):
    """The call may or may not have taken effect: a time-out, a reset, a server's error. Never a failure."""

    reason: str


class NotSent(Struct, frozen=True):
    """The call certainly did not reach the gateway."""

    reason: str


class RateLimited(Struct, frozen=True):
    """The gateway wants to be asked later; nothing has happened."""


class Booked(Struct, frozen=True):
    """A charge or a refund in the gateway's books: its names, what it was called by us, and what was moved.

    ``charge_reference`` is the name of the charge, of a refund too. ``named`` is what we sent along to know it by.
    ``money`` is None where the books have an amount that no payment can be of.
    """

    refund: bool
    reference: str
    charge_reference: str
    named: dict[str, str]
    money: Money | None
    status: str
    created: int


Outcome = Approved | Declined | Pending | Unknown | NotSent | RateLimited


class Charge(Struct, frozen=True):
    """What the gateway is asked for. ``key`` is the idempotency key: one key, one charge.

    ``reference`` is the gateway's own name of the charge, where an earlier call has told it.
    """

    key: str
    money: Money
    payment_method: str
    transaction_id: str
    reference: str | None = None


class Refund(Struct, frozen=True):
    """What the gateway is asked to give back, of the charge that it calls ``charge_reference``.

    ``reference`` is its own name of the refund, where an earlier call has told it.
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

        Raises UnavailableError where the gateway does not answer: the charge may or may not have happened.
        """

    def refund(self, refund: Refund) -> Outcome:
        """Give back once for each key; a repeat gets the first call's answer.

        Raises UnavailableError where the gateway does not answer: the refund may or may not have happened.
        """

    def lookup(self, request: Charge | Refund) -> Approved | Declined | Pending | None:
        """Return what became of a charge or a refund, or None where the gateway surely has none.

        After None, a charge is made. With a ``reference``, the gateway has one: the answer is never None. Raises
        UnavailableError where the gateway does not answer.
        """


def idempotency_key(transaction_id: str, refund_id: str | None = None) -> str:
    """Return the key of a payment's charge, or of a refund: the same for every attempt, on every machine."""
    # No id holds a dot, so no two can be confused.
    return f"payment-{transaction_id}" if refund_id is None else f"refund-{transaction_id}.{refund_id}"
