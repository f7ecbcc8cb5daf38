"""payments pay, refund, show and list."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ops import timeline
from ops.client import retrying
from ops.output import Output
from tests.support.commands import Run
from tests.support.stack import FakeStack, refused, said


@pytest.mark.usefixtures("account")
def test_money_does_not_move_in_an_account_unasked(payments: Run, account: MagicMock) -> None:
    account.post.side_effect = account.refund.side_effect = AssertionError("it was called")
    bare = payments("pay", "1", "EUR", "--env", "dev")
    assert bare.status == 2
    assert "--customer and --method" in bare.err
    for arguments in (
        ["pay", "1", "EUR", "--customer", "ada", "--method", "pm", "--env", "dev"],
        ["refund", "order-1", "--env", "dev"],
        ["reconcile", "--env", "dev"],
    ):
        unasked = payments(*arguments)
        assert (unasked.status, "Use --yes" in unasked.err) == (1, True)


_MOVES_MONEY = {
    "pay": ["pay", "1", "EUR", "--customer", "ada", "--method", "pm", "--env", "dev", "--yes"],
    "refund": ["refund", "order-1", "--amount", "5", "--env", "dev", "--yes"],
}


@pytest.mark.parametrize("command", _MOVES_MONEY)
@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"posted": requests.ReadTimeout}, 1),
        ({"posted": said(500, {"title": "Internal error"})}, 1),
        ({"posted": said(503, {"title": "Not now"}, {"Retry-After": "61"})}, 1),
        ({"posted": said(429, {"title": "Too many requests"}, {"Retry-After": "61"})}, 1),
        ({"posted": KeyboardInterrupt}, 130),
        ({"posted": said(202, {"status": "validated"}), "read": requests.ConnectionError}, 1),
        ({"posted": said(202, {"status": "validated"}), "read": said(502, {})}, 1),
        ({"posted": said(202, {"status": "validated"}), "read": KeyboardInterrupt}, 130),
    ],
)
def test_money_that_may_have_moved_names_the_id_to_repeat_it_with(
    payments: Run, account: MagicMock, command: str, answers: dict[str, Any], status: int
) -> None:
    account.post.side_effect = account.refund.side_effect = [answers["posted"]]
    account.request.side_effect = [answers.get("read")]
    lost = payments(*_MOVES_MONEY[command])
    assert lost.status == status
    assert re.search(r"Repeat the command with --id ops-[0-9a-f]{16}", lost.err)


def test_a_refusal_for_good_is_not_to_be_repeated(payments: Run, account: MagicMock) -> None:
    account.post.return_value = said(422, {"title": "Not supported"})
    refused = payments(*_MOVES_MONEY["pay"])
    assert (refused.status, "--id" in refused.err) == (1, False)


def test_a_call_that_the_api_cannot_serve_is_repeated_after_the_time_it_asks_for() -> None:
    answers = [said(503, {}, {"Retry-After": "3"}), said(429, {}), said(202, {})]
    waited: list[float] = []
    assert retrying(lambda: answers.pop(0), 60, waited.append).status_code == 202
    assert waited == [3, 1]
    assert retrying(lambda: said(503, {}, {"Retry-After": "61"}), 60, waited.append).status_code == 503
    assert retrying(lambda: said(400, {}), 60, waited.append).status_code == 400
    assert waited == [3, 1]


def test_a_payment_without_an_outcome_in_time_is_no_success(payments: Run, account: MagicMock) -> None:
    account.post.return_value = said(202, {"status": "validated"})
    account.request.return_value = said(200, {"status": "unknown"})
    late = payments("pay", "1", "EUR", "--customer", "a", "--method", "p", "--env", "dev", "--yes", "--timeout", "0")
    assert late.status == 3
    assert "is unknown" in late.out


def test_an_id_cannot_lead_to_another_path(payments: Run, account: MagicMock) -> None:
    account.request.return_value = said(404, {"title": "Not found"})
    payments("show", "../customers/ada", "--env", "dev")
    assert account.request.call_args.args == ("GET", "/payments/..%2Fcustomers%2Fada")


def test_a_story_is_in_order_and_about_this_payment_only(stack: FakeStack) -> None:
    pages = stack.client("logs").get_paginator.return_value.paginate

    def lines(logGroupName: str, filterPattern: str, **_rest: object) -> list[dict[str, Any]]:  # noqa: N803 - botocore's
        assert filterPattern == '"order-1"'
        if "notifier" in logGroupName:
            raise refused("ResourceNotFoundException")
        told = [
            {"message": "recorded", "transaction_id": "order-1", "event": "approve", "level": "INFO"},
            {"message": "recorded", "transaction_id": "order-11", "level": "INFO"},
        ]
        events = [{"timestamp": 1767225601000, "message": json.dumps(line)} for line in told]
        return [{"events": [*events, {"timestamp": 1, "message": "START RequestId"}]}]

    pages.side_effect = lines
    steps, unread = timeline.of_logs(stack, "order-1", "2026-01-01T00:00:00.000000Z")  # type: ignore[arg-type]
    assert unread == ["the log of notifier cannot be read: ResourceNotFoundException"]
    assert {(step.what, step.detail) for step in steps} == {("recorded", "event: approve")}
    assert len(steps) == 3
    view = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-01T00:00:02.000000Z"}
    known = timeline.of_payment(view | {"amount": "1.00", "currency": "EUR", "status": "failed", "failure_code": "x"})
    story = timeline.in_order(known + steps)
    assert [step.what for step in story] == ["validated", "recorded", "recorded", "recorded", "failed"]


def test_a_story_has_the_webhooks_deliveries(stack: FakeStack) -> None:
    stack.outputs["webhooks"] = {"shop": {"function_name": "payment-webhook-shop-dev"}}

    def lines(logGroupName: str, **_rest: object) -> list[dict[str, Any]]:  # noqa: N803 - botocore's
        line = {"message": "delivered", "status": 200, "webhook_id": "order-1.2", "transaction_id": "order-1"}
        events = [{"timestamp": 1767225601000, "message": json.dumps(line)}] if "webhook-shop" in logGroupName else []
        return [{"events": events}]

    stack.client("logs").get_paginator.return_value.paginate.side_effect = lines
    steps, unread = timeline.of_logs(stack, "order-1", "2026-01-01T00:00:00.000000Z")  # type: ignore[arg-type]
    assert unread == []
    assert [(step.where, step.what, step.detail) for step in steps] == [
        ("webhook-shop", "delivered", "status: 200, webhook_id: order-1.2")
    ]


@given(
    width=st.integers(10, 200),
    ids=st.lists(st.text("abcdef-0123456789", min_size=1, max_size=64), min_size=1, max_size=5),
    word=st.text("xyz ", max_size=60),
)
def test_a_table_never_cuts_an_id(width: int, ids: list[str], word: str) -> None:
    printed = io.StringIO()
    output = Output(console=Console(file=printed, force_terminal=True, width=width))
    output.table(("transaction_id", "detail", "customer_id", "status"), [(one, word, one, "processed") for one in ids])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).splitlines()
    assert "\u2026" not in printed.getvalue()
    for one in ids:
        assert any(line.startswith(one) and line.count(one) >= 2 for line in lines)
