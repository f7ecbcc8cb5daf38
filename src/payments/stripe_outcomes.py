"""What Stripe's objects say of a charge or a refund, as the API and its events write them.

A member may be missing: each is read as one that may be.
"""

from __future__ import annotations

import re
from typing import Any

from payments.gateway import Approved, Declined, Outcome, Pending, Unknown

_CODE = re.compile(r"[a-z0-9_]{1,64}")


def charged(intent: dict[str, Any]) -> Outcome:
    """Return what a PaymentIntent says of its charge."""
    name, failed = intent["id"], intent.get("last_payment_error")
    match intent.get("status"):
        case "succeeded":
            return Approved(name)
        case "requires_action":
            return Pending(name, word((intent.get("next_action") or {}).get("type"), "requires_action"))
        case "processing":
            return Pending(name)
        case "requires_payment_method" if failed:
            return declined(failed.get("code"), failed.get("decline_code"))
        case "canceled":
            return Declined(word(intent.get("cancellation_reason"), "canceled"))
        case status:
            # Made, and never confirmed: nothing has been charged.
            return Unknown(f"the PaymentIntent {name} is {word(status, 'in a state that is not known')}")


def given_back(refund: dict[str, Any]) -> Approved | Declined | Pending:
    """Return what a refund says of itself."""
    match refund.get("status"):
        case "succeeded":
            return Approved(refund["id"])
        case "failed":
            return Declined(word(refund.get("failure_reason"), "refund_failed"))
        case "canceled":
            return Declined("refund_canceled")
        case _:
            return Pending(refund["id"])


def declined(code: str | None, decline_code: str | None) -> Declined:
    """Return a card error by its most exact word (https://docs.stripe.com/declines/codes)."""
    return Declined(word(decline_code if code in {None, "card_declined"} else code, "card_declined"))


def word(code: str | None, default: str) -> str:
    """Return a code of Stripe's, where it is one: it ends in the table, in logs and in announcements."""
    return code if code is not None and _CODE.fullmatch(code.lower()) else default
