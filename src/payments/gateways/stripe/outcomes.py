"""Reads the outcome of a charge or a refund from Stripe's objects, in its API's answers and in its events.

Every member except the id may be missing.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from payments.gateways.port import Approved, Declined, Pending

_CODE = re.compile(r"[a-z0-9_]{1,64}")

# Stripe's amounts are far below this limit; the table could not hold one far above it.
Amount = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class _PaymentError(Struct, frozen=True):
    code: str | None = None
    decline_code: str | None = None


class _NextAction(Struct, frozen=True):
    type: str | None = None


class _StripeObject(Struct, frozen=True):
    """The common fields of a PaymentIntent and a refund."""

    id: str
    amount: Amount | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None
    status: str | None = None


class Intent(_StripeObject, frozen=True):
    """The fields of a PaymentIntent that are read."""

    cancellation_reason: str | None = None
    last_payment_error: _PaymentError | None = None
    next_action: _NextAction | None = None


class RefundObject(_StripeObject, frozen=True):
    """The fields of a refund that are read."""

    failure_reason: str | None = None


def charge_outcome(intent: Intent) -> Approved | Declined | Pending:
    """Return the outcome of a PaymentIntent's charge.

    Only ``succeeded`` and ``canceled`` are final. In any other status, the customer can still complete the charge, even
    after a decline (https://docs.stripe.com/payments/paymentintents/lifecycle).
    """
    match intent.status:
        case "succeeded":
            return Approved(intent.id)
        case "canceled":
            return _payment_error(intent) or Declined(stable_code(intent.cancellation_reason, "canceled"))
        case "requires_action":
            action = intent.next_action or _NextAction()
            return Pending(intent.id, stable_code(action.type, "requires_action"))
        case _:
            return Pending(intent.id)


def refusal_of(intent: Intent) -> Declined | None:
    """Return why a PaymentIntent has charged nothing so far; None if it was not refused, or is final."""
    return _payment_error(intent) if intent.status == "requires_payment_method" else None


def refund_outcome(refund: RefundObject) -> Approved | Declined | Pending:
    """Return the outcome of a refund.

    ``failed`` and ``canceled`` are final. ``succeeded`` is not quite: the customer's bank may still return the money
    (https://docs.stripe.com/refunds#failed-refunds).
    """
    match refund.status:
        case "succeeded":
            return Approved(refund.id)
        case "failed":
            return Declined(stable_code(refund.failure_reason, "refund_failed"), refund.id)
        case "canceled":
            return Declined("refund_canceled", refund.id)
        case _:
            return Pending(refund.id)


def card_decline(code: str | None, decline_code: str | None) -> Declined:
    """Return a card error with its most exact code (https://docs.stripe.com/declines/codes)."""
    return Declined(stable_code(decline_code if code in {None, "card_declined"} else code, "card_declined"))


def stable_code(code: str | None, default: str) -> str:
    """Return Stripe's code if it has the form of a code: it appears in the table, in logs and in announcements."""
    return code if code is not None and _CODE.fullmatch(code.lower()) else default


def _payment_error(intent: Intent) -> Declined | None:
    failed = intent.last_payment_error
    return card_decline(failed.code, failed.decline_code) if failed else None
