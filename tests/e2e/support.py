"""What the end-to-end tests share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ops.payment import new_payment
from payments.gateway import idempotency_key

if TYPE_CHECKING:
    import requests

    from ops.stack import Stack

SOON = 30.0


def unique(what: str) -> str:
    return f"{what}-{uuid.uuid4().hex[:12]}"


def a_payment(**changes: object) -> dict[str, Any]:
    return new_payment(transaction_id=unique("test"), customer_id=unique("customer"), **changes)


def ledger(stack: Stack, transaction_id: str, refund_id: str | None = None) -> dict[str, Any] | None:
    """Return the gateway's own entry of a payment, or of its refund."""
    table = stack.outputs["simulator_ledger_table_name"]
    key = {"idempotency_key": {"S": idempotency_key(transaction_id, refund_id)}}
    return stack.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def stored(stack: Stack, transaction_id: str) -> dict[str, Any] | None:
    table = stack.outputs["dynamodb_table_name"]
    key = {"transaction_id": {"S": transaction_id}}
    return stack.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def assert_problem(answer: requests.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem.keys() >= {"title", "detail", "instance"}
    return problem
