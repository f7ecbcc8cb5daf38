"""payments webhooks."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import MagicMock

from tests.support.commands import Run
from tests.support.stack import FakeStack


def test_an_endpoint_is_tried_by_the_way_of_announcements(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    stack.outputs["webhooks"] = {"shop": {"queue_url": "https://sqs/shop", "function_name": "payment-webhook-shop-dev"}}

    def lines(filterPattern: str, **_rest: object) -> list[dict[str, Any]]:  # noqa: N803 - botocore's
        line = {"message": "delivered", "webhook_id": filterPattern.strip('"'), "status": 204}
        return [{"events": [{"timestamp": 1, "message": text} for text in ("START", json.dumps(line))]}]

    pages = stack.client("logs").get_paginator.return_value.paginate
    pages.side_effect = lines
    tried = payments("webhooks", "test", "shop", "--env", "dev", "--yes", "--json")
    assert (tried.status, tried.json["delivered"], tried.json["status"]) == (0, True, 204)
    sent = stack.client("sqs").send_message.call_args.kwargs
    event = json.loads(sent["MessageBody"])
    assert (sent["QueueUrl"], event["type"], event["id"]) == (
        "https://sqs/shop",
        "payment.test",
        tried.json["webhook_id"],
    )
    pages.side_effect = lambda **_rest: []
    late = payments("webhooks", "test", "shop", "--env", "dev", "--yes", "--timeout", "0")
    assert late.status == 3
    assert "Delivery is retried" in late.out
    unknown = payments("webhooks", "test", "nope", "--env", "dev")
    assert unknown.status == 1
    assert "Known endpoints: shop." in unknown.err
