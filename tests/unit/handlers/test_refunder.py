"""Refunds are accepted once, and never exceed the charge."""

from __future__ import annotations

import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.domain.commands import MAX_REFUNDS
from payments.domain.lifecycle import Status
from payments.domain.payment import RefundRecord
from payments.handlers import refunder
from tests.support.aws import Context, api_event, cold, item, payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.table.store import Table

RESOURCE = "/payments/{transaction_id}/refunds"


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    with cold(refunder.wired):
        yield


@pytest.fixture
def charged(table: Table) -> None:
    table.accept(payment(status="processed", version=2, gateway_reference="charge"))


def ask(body: Any, transaction_id: str = "order-1", **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    event = api_event(body, resource=RESOURCE, path={"transaction_id": transaction_id}, headers=headers)
    answer = refunder.handler(event, Context())  # type: ignore[arg-type]
    return answer["statusCode"], answer["headers"], json.loads(answer["body"])


@pytest.mark.usefixtures("charged")
def test_a_part_is_accepted(dynamodb: Any, table: Table) -> None:
    status, headers, body = ask({"refund_id": "r1", "amount": "2.50", "reason": "One came back"})
    assert status == 202
    assert headers["Location"] == "/payments/order-1/refunds/r1"
    assert "Idempotent-Replayed" not in headers
    created = body.pop("created_at")
    assert body == {
        "message": "Refund validated",
        "transaction_id": "order-1",
        "refund_id": "r1",
        "status": "validated",
        "amount": "2.50",
        "currency": "EUR",
    }
    stored = table.get("order-1")
    assert stored
    assert (stored.status, stored.version, stored.refundable.minor) == ("processed", 3, 1000)
    assert stored.refunds["r1"].created_at == created
    assert item(dynamodb)["open_from"] == {"S": created}


@pytest.mark.usefixtures("charged")
def test_no_amount_means_the_remainder() -> None:
    assert ask({"refund_id": "r1", "amount": 10})[2]["amount"] == "10.00"
    assert ask({"refund_id": "r2"})[2]["amount"] == "2.50"
    status, _, body = ask({"refund_id": "r3"})
    assert (status, body["type"]) == (409, "/problems/refund-exceeds-payment")


@pytest.mark.usefixtures("charged")
@pytest.mark.parametrize("first", [{"refund_id": "r1", "amount": "2.50"}, {"refund_id": "r1"}])
def test_the_same_again_gets_the_same_answer_and_writes_nothing(dynamodb: Any, first: dict[str, Any]) -> None:
    answer = ask(first)
    before = item(dynamodb)
    again = ask(first | ({"amount": 2.5, "currency": "EUR"} if "amount" in first else {}))
    assert (again[0], again[2]) == (202, answer[2])
    assert again[1]["Idempotent-Replayed"] == "true"
    assert item(dynamodb) == before


@pytest.mark.usefixtures("charged")
@pytest.mark.parametrize("change", [{"amount": "2.51"}, {"amount": None}, {"reason": "x"}])
def test_another_body_under_the_same_id(dynamodb: Any, change: dict[str, Any]) -> None:
    first = {"refund_id": "r1", "amount": "2.50"}
    ask(first)
    before = item(dynamodb)
    status, _, body = ask({name: value for name, value in (first | change).items() if value is not None})
    assert (status, body["type"]) == (422, "/problems/idempotency-mismatch")
    assert item(dynamodb) == before


@pytest.mark.parametrize("status", sorted(set(Status) - {"processed", "partially_refunded"}))
def test_only_a_charged_payment_is_refunded(table: Table, dynamodb: Any, status: str) -> None:
    table.accept(payment(status=status))
    before = item(dynamodb)
    code, _, body = ask({"refund_id": "r1"})
    assert (code, body["type"]) == (409, "/problems/not-refundable")
    assert item(dynamodb) == before


def test_no_payment() -> None:
    status, _, body = ask({"refund_id": "r1"}, "nobody")
    assert (status, body["type"]) == (404, "/problems/not-found")
    assert ask({"refund_id": "r1"}, "4242424242424242 x")[0] == 404


@pytest.mark.usefixtures("charged")
@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/refund_id"]),
        ({"refund_id": "a/b", "amount": True, "reason": "", "x": 1}, ["/amount", "/reason", "/refund_id", "/x"]),
        ({"refund_id": "r1", "amount": "0.001"}, ["/amount"]),
        ({"refund_id": "r1", "currency": "USD"}, ["/currency"]),
        ({"refund_id": "r1", "reason": "4242 4242 4242 4242"}, ["/reason"]),
    ],
)
def test_every_wrong_field_is_named(dynamodb: Any, body: dict[str, Any], pointers: list[str]) -> None:
    before = item(dynamodb)
    status, _, problem = ask(body)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (400, pointers)
    assert item(dynamodb) == before


@pytest.mark.usefixtures("charged")
def test_malformed_and_the_header() -> None:
    assert ask("{")[2]["type"] == "/problems/malformed-request"
    assert ask({"refund_id": "r1"}, **{"Idempotency-Key": "r2"})[0] == 400
    assert ask({"refund_id": "r1"}, **{"idempotency-key": "r1"})[0] == 202


@pytest.mark.usefixtures("charged")
def test_many_at_once_never_take_more_than_was_charged(table: Table) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask({"refund_id": f"r{number}", "amount": "5.00"}), range(8)))
    assert sorted(answer[0] for answer in answers) == [202, 202, 409, 409, 409, 409, 409, 409]
    stored = table.get("order-1")
    assert stored
    assert stored.refundable.minor == 250


@pytest.mark.usefixtures("charged")
def test_the_same_from_many_at_once_is_one_refund(table: Table) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask({"refund_id": "r", "amount": "5.00"}), range(8)))
    assert {answer[0] for answer in answers} == {202}
    assert len({json.dumps(answer[2]) for answer in answers}) == 1
    assert [answer[1].get("Idempotent-Replayed") for answer in answers].count(None) == 1


def test_a_payment_takes_so_many_refunds_and_no_more(table: Table) -> None:
    moment = "2026-01-02T00:00:00.000000Z"
    refunds = {f"r{n}": RefundRecord(1, Status.PROCESSED, moment, moment, "f") for n in range(MAX_REFUNDS)}
    table.accept(payment(status="partially_refunded", gateway_reference="charge", refunds=refunds))
    status, _, body = ask({"refund_id": "one-more"})
    assert (status, body["type"]) == (409, "/problems/not-refundable")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.one_of(st.none(), st.integers(1, 1300)), max_size=8))
def test_accepted_refunds_never_exceed_the_charge(table: Table, amounts: list[int | None]) -> None:
    name = f"order-{uuid.uuid4()}"
    table.accept(payment(transaction_id=name, status="processed", gateway_reference="charge"))
    left = 1250
    for place, amount in enumerate(amounts):
        body = {"refund_id": f"r{place}"} | ({} if amount is None else {"amount": f"{amount / 100:.2f}"})
        wanted = left if amount is None else amount
        fits = 0 < wanted <= left
        assert ask(body, name)[0] == (202 if fits else 409)
        left -= wanted if fits else 0
    stored = table.get(name)
    assert stored
    assert stored.refundable.minor == left


def test_a_busy_table(monkeypatch: pytest.MonkeyPatch, table: Table, log: io.StringIO) -> None:
    table.accept(payment(status="processed", gateway_reference="charge"))
    monkeypatch.setattr(type(table), "add_refund", lambda *_: False)
    status, headers, body = ask({"refund_id": "r1"})
    assert (status, body["type"], headers["Retry-After"]) == (503, "/problems/unavailable", "1")
    assert json.loads(log.getvalue())["transaction_id"] == "order-1"
