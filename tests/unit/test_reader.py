from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from payments.handlers import reader
from tests.unit.conftest import Context, api_event, payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.store import Table

LIST = "/customers/{customer_id}/payments"


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    reader.wired.cache_clear()  # type: ignore[attr-defined]
    yield
    reader.wired.cache_clear()  # type: ignore[attr-defined]


def ask(**event: Any) -> tuple[int, dict[str, Any]]:
    answer = reader.handler(api_event(**event), Context())  # type: ignore[arg-type]
    return answer["statusCode"], json.loads(answer["body"])


def listed(query: dict[str, str] | None = None, customer: str = "ada") -> tuple[int, dict[str, Any]]:
    return ask(resource=LIST, path={"customer_id": customer}, query=query)


def test_one(table: Table) -> None:
    table.accept(payment(description="Two books"))
    assert ask(resource="/payments/{transaction_id}", path={"transaction_id": "order-1"}) == (
        200,
        {
            "transaction_id": "order-1",
            "customer_id": "ada",
            "amount": "12.50",
            "currency": "EUR",
            "status": "validated",
            "version": 1,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "description": "Two books",
        },
    )


def test_unknown() -> None:
    status, body = ask(resource="/payments/{transaction_id}", path={"transaction_id": "none"})
    assert (status, body["type"]) == (404, "/problems/not-found")


def test_pages_newest_first(table: Table) -> None:
    for number in range(7):
        table.accept(payment(transaction_id=f"o{number}", created_at=f"2026-01-0{number + 1}T00:00:00.000000Z"))
    table.accept(payment(transaction_id="other", customer_id="bob"))
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    pages = 0
    while True:
        status, body = listed(query)
        assert status == 200
        pages += 1
        seen += [one["transaction_id"] for one in body["payments"]]
        if "next_token" not in body:
            break
        query["next_token"] = body["next_token"]
    assert seen == ["o6", "o5", "o4", "o3", "o2", "o1", "o0"]
    assert pages == 3


def test_nobody_has_no_payments() -> None:
    assert listed(customer="nobody") == (200, {"payments": []})


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "9999999999"])
def test_a_wrong_limit_is_named(limit: str) -> None:
    status, body = listed({"limit": limit})
    assert (status, body["errors"][0]["pointer"]) == (400, "/limit")


FOREIGN = base64.urlsafe_b64encode(json.dumps(["bob", "2026", "o1"]).encode()).decode().rstrip("=")


@pytest.mark.parametrize("token", ["x", "\u00e9", "e30", FOREIGN])
def test_a_wrong_token_is_named(token: str) -> None:
    status, body = listed({"next_token": token})
    assert (status, body["errors"][0]["pointer"]) == (400, "/next_token")
