"""One payment's whole story, from the functions' logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from local.story import Step, steps
from tests.e2e.support import SOON, a_payment

if TYPE_CHECKING:
    from ops.client import Api
    from ops.stack import Stack

pytestmark = pytest.mark.e2e


def test_a_payments_story_is_told_by_the_functions_logs(api: Api, stack: Stack) -> None:
    payment = a_payment()
    assert api.post(payment).status_code == 202
    deadline = time.monotonic() + SOON
    told: list[Step] = []
    while time.monotonic() < deadline and "announced" not in {step.message for step in told}:
        time.sleep(1)
        told = steps(stack.logs, "local", payment["transaction_id"])
    assert [(step.function, step.message, step.more.get("event")) for step in told] == [
        ("validator", "accepted", None),
        ("relay", "relayed", "payment.validated"),
        ("processor", "recorded", "approve"),
        ("relay", "relayed", "payment.processed"),
        ("notifier", "announced", "payment.processed"),
    ]
    assert all(step.more["function_request_id"] for step in told)
