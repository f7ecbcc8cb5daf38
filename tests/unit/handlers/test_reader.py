from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.api.requests import MAX_METADATA, MAX_TEXT
from payments.domain.commands import MAX_REFUNDS
from payments.domain.lifecycle import Status
from payments.domain.payment import Payment, RefundRecord
from payments.handlers import reader
from payments.table.indexes import CustomerIndex
from payments.table.items import to_item
from tests.support.aws import INDEX, TABLE, Context, api_event, cold, payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.table.store import Table

LIST = "/customers/{customer_id}/payments"
OLD_TOKEN = "58V3V-UfOy4OgrztcQFaF1siMjAyNi0wMS0wMVQwMDowMDowMC4wMDAwMDBaIiwibzIiXQ"


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    with cold(reader.wired):
        yield


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


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=st.lists(st.integers(0, 3), max_size=12), limit=st.integers(1, 5))
def test_pages_hold_every_payment_once_newest_first(table: Table, moments: list[int], limit: int) -> None:
    """They are spread over the index, and some were accepted in the same microsecond."""
    customer = f"c-{uuid.uuid4()}"
    stored = []
    for number, second in enumerate(moments):
        one = payment(
            transaction_id=f"{customer[:20]}-{number}",
            customer_id=customer,
            created_at=f"2026-01-01T00:00:0{second}.000000Z",
        )
        stored.append((one.created_at, one.transaction_id))
        table.accept(one)
    seen: list[str] = []
    query: dict[str, str] = {"limit": str(limit)}
    for _ in range(len(moments) + 1):
        _, body = listed(query, customer)
        assert len(body["payments"]) <= limit
        seen += [one["transaction_id"] for one in body["payments"]]
        if "next_token" not in body:
            break
        query["next_token"] = body["next_token"]
    assert seen == [name for _, name in sorted(stored, reverse=True)]


WIDE = "\U0001f4b3"
LAMBDA_TAKES = 6 * 1024 * 1024


class Stored:
    """Answers as DynamoDB does, from items created beforehand: moto takes half a minute for items this large."""

    def __init__(self, payments: list[Payment]) -> None:
        self.items = {one.transaction_id: to_item(one) for one in payments}

    def query(self, **query: Any) -> dict[str, Any]:
        wanted = query["ExpressionAttributeValues"]
        return {"Items": [item for item in self.items.values() if item["customer_shard"] == wanted[":key"]]}

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - botocore's
        ((table, request),) = RequestItems.items()
        return {"Responses": {table: [self.items[key["transaction_id"]["S"]] for key in request["Keys"]]}}


def test_a_page_of_large_payments_fits_into_an_answer_and_skips_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = "2026-01-02T00:00:00.000000Z"
    refund = RefundRecord(
        *(1, Status.FAILED, moment, moment, "f" * 64), WIDE * MAX_TEXT, "g" * 64, "insufficient_funds"
    )
    large = payment(
        description=WIDE * MAX_TEXT,
        metadata={f"{WIDE * 38}{number:02}": WIDE * MAX_TEXT for number in range(MAX_METADATA)},
        refunds={f"{number:r>64}": refund for number in range(MAX_REFUNDS)},
    )
    names = [f"{number:t>64}" for number in range(100)]
    client = Stored([msgspec.structs.replace(large, transaction_id=name) for name in names])
    index = CustomerIndex(client, TABLE, INDEX, "seal")
    monkeypatch.setattr(reader, "wired", lambda: (None, index))
    seen: list[str] = []
    query: dict[str, str] = {"limit": "100"}
    for _ in names:
        event = api_event(resource=LIST, path={"customer_id": "ada"}, query=query)
        answer = reader.handler(event, Context())  # type: ignore[arg-type]
        # As Lambda's runtime sends it.
        assert len(json.dumps(answer)) <= LAMBDA_TAKES
        page = json.loads(answer["body"])
        assert page["payments"]
        seen += [one["transaction_id"] for one in page["payments"]]
        if "next_token" not in page:
            break
        query["next_token"] = page["next_token"]
    assert seen == sorted(names, reverse=True)


def test_a_page_has_a_payment_however_large(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_PAGE", 1)
    for number in range(2):
        table.accept(payment(transaction_id=f"o{number}"))
    _, page = listed()
    assert [one["transaction_id"] for one in page["payments"]] == ["o1"]
    _, page = listed({"next_token": page["next_token"]})
    assert ([one["transaction_id"] for one in page["payments"]], "next_token" in page) == (["o0"], False)


def test_a_token_of_before_pages_had_a_size_is_read(table: Table) -> None:
    """Written by the reader of 2026-11-23, for the seal of these tests."""
    for number in range(3):
        table.accept(payment(transaction_id=f"o{number}"))
    status, page = listed({"limit": "2", "next_token": OLD_TOKEN})
    assert status == 200
    assert [one["transaction_id"] for one in page["payments"]] == ["o1", "o0"]


def test_a_refund() -> None:
    status, body = ask(
        resource="/payments/{transaction_id}/refunds/{refund_id}", path={"transaction_id": "order-1", "refund_id": "r"}
    )
    assert (status, body["type"]) == (404, "/problems/not-found")


def test_every_wrong_parameter_is_named() -> None:
    status, body = listed({"limit": "0"}, "a b")
    assert (status, [error["pointer"] for error in body["errors"]]) == (400, ["/customer_id", "/limit"])


def test_nobody_has_no_payments() -> None:
    assert listed(customer="nobody") == (200, {"payments": []})


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "9999999999"])
def test_a_wrong_limit_is_named(limit: str) -> None:
    status, body = listed({"limit": limit})
    assert (status, body["errors"][0]["pointer"]) == (400, "/limit")


def token_of(table: Table, customer: str) -> str:
    for number in range(2):
        table.accept(payment(transaction_id=f"{customer}-{number}", customer_id=customer))
    token = listed({"limit": "1"}, customer)[1]["next_token"]
    assert isinstance(token, str)
    return token


def test_a_token_is_of_one_list_and_any_change_shows(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(table, "ada")
    assert listed({"next_token": token})[0] == 200
    assert listed({"next_token": token_of(table, "bob")})[0] == 400
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        bent = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        status, body = listed({"next_token": bent})
        assert (status, body["errors"][0]["pointer"]) == (400, "/next_token")
    monkeypatch.setenv("PAGE_TOKEN_SEAL", "another")
    reader.wired.cache_clear()  # type: ignore[attr-defined]
    assert listed({"next_token": token})[0] == 400


@pytest.mark.parametrize("token", ["x", "\u00e9", "e30", "A" * 40, ""])
def test_a_wrong_token_is_named(token: str) -> None:
    status, body = listed({"next_token": token})
    assert (status, body["errors"][0]["pointer"]) == (400, "/next_token")
