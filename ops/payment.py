"""A payment for an operator: make one, follow it to its announcement, and show it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local import LocalError
from payments.domain.errors import PoisonError
from payments.table.items import from_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack

FINAL = frozenset({"processed", "failed"})
# The payment methods to try a stack with, and the result of each. An approved one comes first.
SIMULATOR_METHODS = {
    "pm_sim_approved": "approved",
    "pm_sim_declined_insufficient_funds": "declined: insufficient funds",
    "pm_sim_timeout_after_charge": "answer lost after the charge",
    "pm_sim_timeout_before_charge": "lost before the charge",
    "pm_sim_rate_limited": "rate limited at first",
    "pm_sim_refund_declined_expired_card": "approved, its refund declined",
    "pm_sim_unavailable": "never answers",
}
# Stripe's own, for its test mode: https://docs.stripe.com/testing.
STRIPE_METHODS = {
    "pm_card_visa": "approved",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "declined: insufficient funds",
    "pm_card_chargeDeclinedExpiredCard": "declined: expired card",
    "pm_card_authenticationRequired": "declined: the customer must be there",
}
# By the gateway's name.
METHODS = {"simulator": SIMULATOR_METHODS, "stripe": STRIPE_METHODS}
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Milestone:
    """A payment's milestone: seconds after it was posted, what happened, and details."""

    seconds: float
    what: str
    detail: str


def methods_of(stack: Stack) -> dict[str, str]:
    """Return the payment methods to try this stack with, and the result of each; none if its gateway has none."""
    return METHODS.get(stack.gateway["name"], {})


def new_payment(**changes: object) -> dict[str, Any]:
    """Return a payment with a new id that the simulator approves."""
    return {
        "transaction_id": f"demo-{uuid.uuid4().hex[:12]}",
        "customer_id": "ada",
        "amount": "12.50",
        "currency": "EUR",
        "payment_method": next(iter(SIMULATOR_METHODS)),
        **changes,
    }


def until_final(api: Api, transaction_id: str, seconds: float) -> dict[str, Any]:
    """Return a payment once its status is final.

    Raises LocalError if it is late, with the payment's state.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = api.get(transaction_id)
        if answer.ok and answer.json()["status"] in FINAL:
            payment: dict[str, Any] = answer.json()
            return payment
        if time.monotonic() > deadline:
            said = f"{answer.status_code} {answer.text}"
            raise LocalError(f"{transaction_id} has no outcome after {seconds:.0f} s: {said}")
        time.sleep(_POLL_SECONDS)


def follow(api: Api, inbox: Inbox, payment: dict[str, Any], seconds: float = 60) -> Iterator[Milestone]:
    """Post a payment and yield each milestone as it is reached.

    Raises LocalError if the payment is refused, or is late.
    """
    start = time.monotonic()
    answer = api.post(payment)
    if answer.status_code != 202:  # noqa: PLR2004 - accepted
        raise LocalError(f"the payment was refused: {answer.status_code} {answer.text}")
    transaction_id = payment["transaction_id"]
    yield Milestone(time.monotonic() - start, answer.json()["status"], f"POST /payments answered {answer.status_code}")
    outcome = until_final(api, transaction_id, seconds)
    reason = outcome.get("failure_code") or outcome.get("gateway_reference") or ""
    yield Milestone(time.monotonic() - start, outcome["status"], f"GET /payments/{transaction_id} {reason}".strip())
    event = inbox.wait(lambda event: event["subject"] == transaction_id, seconds)
    if event is None:
        raise LocalError(f"{transaction_id} is {outcome['status']} but was not announced within {seconds:.0f} s")
    yield Milestone(time.monotonic() - start, "announced", f"{event['type']}, event {event['id']}")


def view_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields to show of a stream record; None if the record is not about a payment."""
    image = record["dynamodb"].get("NewImage")
    if image is None:
        return None
    try:
        payment = from_item(image)
    except PoisonError:
        return None
    view = {
        "transaction_id": payment.transaction_id,
        "customer_id": payment.customer_id,
        "amount": str(payment.money),
        "currency": payment.currency,
        "status": str(payment.status),
        "version": payment.version,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
        "gateway_reference": payment.gateway_reference,
        "failure_code": payment.failure_code,
        "amount_refunded": str(payment.refunded) if payment.refunded.minor else None,
        "open_refunds": payment.open_refunds or None,
    }
    return {name: value for name, value in view.items() if value is not None}
