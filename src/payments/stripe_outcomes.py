"""What Stripe's objects say of a charge or a refund, as the API and its events write them.

A member may be missing: each is read as one that may be.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from payments.gateway import Approved, Declined, Pending

_CODE = re.compile(r"[a-z0-9_]{1,64}")

# No amount of Stripe's is near that; the table could not hold one that is far above.
Amount = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class _Error(Struct, frozen=True):
    code: str | None = None
    decline_code: str | None = None


class _NextAction(Struct, frozen=True):
    type: str | None = None


class _Moved(Struct, frozen=True):
    """What a charge and a refund have in common."""

    id: str
    amount: Amount | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None
    status: str | None = None


class Intent(_Moved, frozen=True):
    """A PaymentIntent, as far as it is read."""

    cancellation_reason: str | None = None
    last_payment_error: _Error | None = None
    next_action: _NextAction | None = None


class RefundObject(_Moved, frozen=True):
    """A refund, as far as it is read."""

    failure_reason: str | None = None


def charged(intent: Intent) -> Approved | Declined | Pending:
    """Return what a PaymentIntent says of its charge.

    Only ``succeeded`` and ``canceled`` are final. Whatever else it is called, the customer can still bring it to a
    charge, after a decline too (https://docs.stripe.com/payments/paymentintents/lifecycle).
    """
    match intent.status:
        case "succeeded":
            return Approved(intent.id)
        case "canceled":
            return _error(intent) or Declined(word(intent.cancellation_reason, "canceled"))
        case "requires_action":
            action = intent.next_action or _NextAction()
            return Pending(intent.id, word(action.type, "requires_action"))
        case _:
            return Pending(intent.id)


def refused(intent: Intent) -> Declined | None:
    """Return why a PaymentIntent has charged nothing until now; None where it was not refused, or is final."""
    return _error(intent) if intent.status == "requires_payment_method" else None


def given_back(refund: RefundObject) -> Approved | Declined | Pending:
    """Return what a refund says of itself."""
    match refund.status:
        case "succeeded":
            return Approved(refund.id)
        case "failed":
            return Declined(word(refund.failure_reason, "refund_failed"))
        case "canceled":
            return Declined("refund_canceled")
        case _:
            return Pending(refund.id)


def declined(code: str | None, decline_code: str | None) -> Declined:
    """Return a card error by its most exact word (https://docs.stripe.com/declines/codes)."""
    return Declined(word(decline_code if code in {None, "card_declined"} else code, "card_declined"))


def word(code: str | None, default: str) -> str:
    """Return a code of Stripe's, where it is one: it ends in the table, in logs and in announcements."""
    return code if code is not None and _CODE.fullmatch(code.lower()) else default


def _error(intent: Intent) -> Declined | None:
    failed = intent.last_payment_error
    return declined(failed.code, failed.decline_code) if failed else None
