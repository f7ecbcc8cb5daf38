"""Send a payment and follow it to its outcome and its announcement."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.client import Api
    from ops.inbox import Inbox

FINAL = frozenset({"processed", "failed"})
# What Stripe approves, and its fake: https://docs.stripe.com/testing.
STRIPE_METHOD = "pm_card_visa"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Milestone:
    """A point on a payment's way: seconds after it was posted, what happened, and what to know of it."""

    seconds: float
    what: str
    detail: str


def new_payment(**changes: object) -> dict[str, Any]:
    """Return a payment with an id of its own that the simulator approves."""
    return {
        "transaction_id": f"demo-{uuid.uuid4().hex[:12]}",
        "customer_id": "ada",
        "amount": "12.50",
        "currency": "EUR",
        "payment_method": "pm_sim_approved",
        **changes,
    }


def until_final(api: Api, transaction_id: str, seconds: float) -> dict[str, Any]:
    """Return a payment once its status is final.

    Raises LocalError where it is not in time, with what the payment is then.
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
    """Post a payment and yield each point on its way as it is reached.

    Raises LocalError where the payment is refused, or does not arrive in time.
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
        raise LocalError(f"{transaction_id} is {outcome['status']}, but was not announced within {seconds:.0f} s")
    yield Milestone(time.monotonic() - start, "announced", f"{event['type']}, event {event['id']}")
