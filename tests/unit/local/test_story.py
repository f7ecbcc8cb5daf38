from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from local.story import steps

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES: dict[str, list[tuple[int, Any]]] = {
    "/aws/lambda/payment-relay-local": [
        (
            2,
            {
                "timestamp": "2",
                "service": "relay",
                "message": "relayed",
                "transaction_id": "a",
                "event": "payment.validated",
            },
        ),
        (
            3,
            {
                "timestamp": "3",
                "service": "relay",
                "message": "relayed",
                "transaction_id": "ab",
                "event": "payment.validated",
            },
        ),
        (2, "START a"),
    ],
    "/aws/lambda/payment-validator-local": [
        (
            1,
            {
                "timestamp": "1",
                "service": "validator",
                "message": "accepted",
                "transaction_id": "a",
                "refund_id": None,
                "location": "x",
            },
        ),
    ],
    "/aws/lambda/payment-validator-other": [
        (1, {"timestamp": "1", "service": "validator", "message": "accepted", "transaction_id": "a"}),
    ],
}


class Logs:
    """A CloudWatch Logs that finds every line."""

    def get_paginator(self, operation: str) -> Logs:
        self.operation = operation
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        if self.operation == "describe_log_groups":
            yield {"logGroups": [{"logGroupName": name} for name in LINES]}
            return
        assert asked["filterPattern"] == '"a"'
        for at, line in LINES[asked["logGroupName"]]:
            message = line if isinstance(line, str) else json.dumps(line)
            yield {"events": [{"timestamp": at, "message": message}]}


def test_a_story_is_that_payments_alone_of_that_stack_in_order() -> None:
    told = steps(Logs(), "local", "a")
    assert [(step.function, step.message, step.more) for step in told] == [
        ("validator", "accepted", {}),
        ("relay", "relayed", {"event": "payment.validated"}),
    ]
    assert "event=payment.validated" in str(told[1])
