"""One payment's whole story, from the functions' logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from local.story import LogLine, steps
from tests.support.deployed import SOON, a_payment

if TYPE_CHECKING:
    from ops.client import Api
    from ops.stack import Stack

pytestmark = pytest.mark.e2e


def test_the_functions_logs_tell_a_payments_story(api: Api, stack: Stack) -> None:
    payment = a_payment()
    assert api.post(payment).status_code == 202
    deadline = time.monotonic() + SOON
    told: list[LogLine] = []
    while time.monotonic() < deadline and "announced" not in {step.message for step in told}:
        time.sleep(1)
        told = steps(stack.logs, "local", payment["transaction_id"])
    # A function logs a step after it is done, and the next function may log earlier: only both ends have a fixed place.
    found = [(step.function, step.message, step.more.get("event")) for step in told]
    assert found[0] == ("validator", "accepted", None)
    assert found[-1] == ("notifier", "announced", "payment.processed")
    assert sorted(found[1:-1]) == [
        ("processor", "recorded", "approve"),
        ("relay", "relayed", "payment.processed"),
        ("relay", "relayed", "payment.validated"),
    ]
    assert all(step.more["function_request_id"] for step in told)
