"""The port to a payment gateway, and the outcomes that it tells apart."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from payments.money import Money  # noqa: TC001 - msgspec reads the annotations


class Approved(Struct, frozen=True):
    """The gateway has charged; ``reference`` is its own name of the charge."""

    reference: str


class Declined(Struct, frozen=True):
    """The gateway has refused, for good; ``code`` says why, in a stable word."""

    code: str


class Unknown(Struct, frozen=True):
    """The call may or may not have charged: a time-out, a reset, a server's error. Never a failure."""

    reason: str


class NotSent(Struct, frozen=True):
    """The call certainly did not reach the gateway."""

    reason: str


class RateLimited(Struct, frozen=True):
    """The gateway wants to be asked later; it has not charged."""


Outcome = Approved | Declined | Unknown | NotSent | RateLimited


class Charge(Struct, frozen=True):
    """What the gateway is asked for. ``key`` is the idempotency key: one key, one charge."""

    key: str
    money: Money
    payment_method: str
    transaction_id: str


class Gateway(Protocol):
    """A payment gateway that honours idempotency keys."""

    def charge(self, charge: Charge) -> Outcome:
        """Charge once for each key; a repeat gets the first call's answer.

        Raises UnavailableError where the gateway does not answer: the charge may or may not have happened.
        """

    def lookup(self, charge: Charge) -> Approved | Declined | None:
        """Return what became of a charge, or None where the gateway knows of none.

        Raises UnavailableError where the gateway does not answer.
        """


def idempotency_key(transaction_id: str) -> str:
    """Return the key of a payment's charge: the same one for every attempt, on every machine."""
    return f"payment-{transaction_id}"
