"""Refunds on the running stack: the same path as a payment, with the same promises; and the reconciler."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ops.payment import until_final
from payments.domain.clock import now
from payments.domain.lifecycle import OPEN
from payments.gateways.port import Charge, idempotency_key
from payments.gateways.simulator import Simulator
from tests.support.deployed import SOON, a_payment, assert_problem, ledger, stored, stranded, unique

if TYPE_CHECKING:
    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack

pytestmark = pytest.mark.e2e


@pytest.fixture
def charged(api: Api) -> str:
    """A charged payment of 12.50 EUR."""
    return charge(api)


def charge(api: Api, **changes: Any) -> str:
    payment = a_payment(amount="12.50", currency="EUR", **changes)
    assert api.post(payment).status_code == 202
    assert until_final(api, payment["transaction_id"], SOON)["status"] == "processed"
    return str(payment["transaction_id"])


def refund_ended(api: Api, transaction_id: str, refund_id: str, seconds: float = SOON) -> dict[str, Any]:
    """Wait until a refund is final, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = api.request("GET", f"/payments/{transaction_id}/refunds/{refund_id}")
        assert answer.status_code == 200, answer.text
        refund: dict[str, Any] = answer.json()
        if refund["status"] not in OPEN:
            return refund
        assert time.monotonic() < deadline, refund
        time.sleep(0.2)


def test_a_part_and_then_the_rest(api: Api, stack: Stack, inbox: Inbox, charged: str) -> None:
    answer = api.refund(charged, {"refund_id": "part", "amount": "5.00", "reason": "One came back"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/payments/{charged}/refunds/part"
    assert answer.json()["status"] == "validated"
    part = refund_ended(api, charged, "part")
    assert (part["status"], part["amount"], part["reason"]) == ("processed", "5.00", "One came back")
    payment = api.get(charged).json()
    assert (payment["status"], payment["amount_refunded"]) == ("partially_refunded", "5.00")

    assert api.refund(charged, {"refund_id": "rest"}).json()["amount"] == "7.50"
    refund_ended(api, charged, "rest")
    payment = api.get(charged).json()
    assert (payment["status"], payment["amount_refunded"]) == ("refunded", "12.50")
    assert_problem(api.refund(charged, {"refund_id": "more"}), 409, "not-refundable")

    entry = ledger(stack, charged)
    assert entry is not None
    assert entry["refunded_minor"] == {"N": "1250"}
    for name, amount in (("part", "5.00"), ("rest", "7.50")):
        event = inbox.wait(
            lambda event: event["subject"] == charged and event["data"].get("refund", {}).get("refund_id") == name,  # noqa: B023
            SOON,
        )
        assert event is not None
        assert event["type"] == "payment.refunded"
        assert event["data"]["refund"]["amount"] == amount


def test_the_same_refund_again_is_made_once(api: Api, stack: Stack, charged: str) -> None:
    refund = {"refund_id": "r", "amount": "5.00"}
    first = api.refund(charged, refund, {"Idempotency-Key": "r"})
    refund_ended(api, charged, "r")
    again = api.refund(charged, refund)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_problem(api.refund(charged, refund | {"amount": "5.01"}), 422, "idempotency-mismatch")
    entry = ledger(stack, charged, "r")
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}


def test_many_refunds_at_once_never_exceed_the_charge(api: Api, stack: Stack, charged: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: api.refund(charged, {"refund_id": f"r{n}", "amount": "5.00"}), range(8)))
    made = [answer.json()["refund_id"] for answer in answers if answer.status_code == 202]
    # Two fit. A client whose turn did not come in time gets a 503, and its repeated request then does not fit.
    assert len(made) == 2
    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    for refund_id in made:
        assert refund_ended(api, charged, refund_id)["status"] == "processed"
    entry = ledger(stack, charged)
    assert entry is not None
    assert entry["refunded_minor"] == {"N": "1000"}


def test_a_refund_whose_answer_was_lost_is_made_once(api: Api, stack: Stack) -> None:
    transaction_id = charge(api, payment_method="pm_sim_refund_timeout_after_charge")
    api.refund(transaction_id, {"refund_id": "r"})
    assert refund_ended(api, transaction_id, "r", 90)["status"] == "processed"
    entry = ledger(stack, transaction_id)
    assert entry is not None
    assert entry["refunded_minor"] == {"N": "1250"}
    tried = ledger(stack, transaction_id, "r")
    assert tried is not None
    assert tried["attempts"] == {"N": "2"}


def test_a_refund_that_is_declined_leaves_the_payment_refundable(api: Api, inbox: Inbox) -> None:
    transaction_id = charge(api, payment_method="pm_sim_refund_declined_expired_card")
    api.refund(transaction_id, {"refund_id": "r"})
    refund = refund_ended(api, transaction_id, "r")
    assert (refund["status"], refund["failure_code"]) == ("failed", "expired_card")
    payment = api.get(transaction_id).json()
    assert (payment["status"], "amount_refunded" in payment) == ("processed", False)
    event = inbox.wait(lambda one: one["subject"] == transaction_id and one["type"] == "payment.refund_failed", SOON)
    assert event is not None
    assert api.refund(transaction_id, {"refund_id": "r2", "amount": "12.50"}).status_code == 202


def test_a_refund_that_is_not_possible_is_refused(api: Api) -> None:
    assert_problem(api.refund(unique("test"), {"refund_id": "r"}), 404, "not-found")
    declined = a_payment(payment_method="pm_sim_declined_stolen_card")
    api.post(declined)
    until_final(api, declined["transaction_id"], SOON)
    assert_problem(api.refund(declined["transaction_id"], {"refund_id": "r"}), 409, "not-refundable")
    assert_problem(api.refund(declined["transaction_id"], {"amount": "x"}), 400, "invalid-request")


def reconcile(stack: Stack, event: dict[str, Any]) -> dict[str, int]:
    answer = stack.functions.invoke(
        FunctionName=stack.outputs["reconciler_function_name"], Qualifier="live", Payload=json.dumps(event).encode()
    )
    counts: dict[str, int] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, counts
    return counts


def test_the_reconciler_records_what_the_gateway_knows(api: Api, stack: Stack, inbox: Inbox) -> None:
    payment = stranded(stack)
    gateway = Simulator(stack.dynamodb, stack.outputs["simulator_ledger_table_name"], now)
    key = idempotency_key(payment.transaction_id)
    gateway.charge(Charge(key, payment.money, payment.payment_method, payment.transaction_id))
    assert reconcile(stack, {"transaction_ids": [payment.transaction_id]}) == {"settled": 1}
    assert api.get(payment.transaction_id).json()["status"] == "processed"
    entry = ledger(stack, payment.transaction_id)
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}
    assert inbox.wait(lambda event: event["subject"] == payment.transaction_id, SOON)


def test_the_reconciler_finds_what_is_stranded_and_sends_it_on(api: Api, stack: Stack) -> None:
    """It goes from the sparse index through the outbox to the processor, and is charged once."""
    payment = stranded(stack)
    assert reconcile(stack, {})["redriven"] >= 1
    assert until_final(api, payment.transaction_id, SOON)["status"] == "processed"
    entry = ledger(stack, payment.transaction_id)
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}
    item = stored(stack, payment.transaction_id)
    assert item is not None
    assert "open_shard" not in item


def test_a_wrong_event_names_what_is_wrong(stack: Stack) -> None:
    answer = stack.functions.invoke(
        FunctionName=stack.outputs["reconciler_function_name"], Qualifier="live", Payload=b'{"older_than_seconds": -1}'
    )
    assert answer["FunctionError"] == "Unhandled"
