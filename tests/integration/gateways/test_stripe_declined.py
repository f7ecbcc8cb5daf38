"""payments stripe cancel-declined: what an earlier version left payable at Stripe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from ops import target
from ops.client import Api
from payments.domain.clock import now
from payments.domain.payment import GatewayResult
from payments.gateways.port import Charge, Pending
from payments.table.store import Table
from payments.usecases.charge import request_of
from tests.support.aws import TABLE, payment
from tests.support.commands import Ran, runner
from tests.support.stack import FakeStack
from tests.support.stripe import Vault, gateway_to
from tests.support.stripe_server import KEY, FakeStripe, StripeAnswer

Run = Callable[..., Ran]
NAMES = [f"order-{number}" for number in range(5)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    with FakeStripe() as served:
        monkeypatch.setenv("STRIPE_ADDRESS", served.address)
        yield served


@pytest.fixture
def cancel(dynamodb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    stack = FakeStack(clients={"dynamodb": dynamodb, "secretsmanager": Vault(KEY)})
    names = {"key": "payment-stripe-key-test", "webhook": "payment-stripe-webhook-test"}
    stack.outputs |= {"dynamodb_table_name": TABLE, "gateway": {"name": "stripe", "secret_names": names}}
    api = MagicMock(spec=Api)
    monkeypatch.setattr(target, "resolve", lambda env: target.Target(env, stack, api))  # type: ignore[arg-type]
    run = runner(monkeypatch, capsys)
    return lambda *options: run("stripe", "cancel-declined", "--env", "dev", "--json", "--rate", "20", *options)


def declined_before(fake: FakeStripe, table: Table, name: str, *, known: bool = True) -> str:
    """Decline a payment as an earlier version did, which canceled nothing; return the PaymentIntent that it left."""
    accepted = payment(transaction_id=name, payment_method="pm_fake_requires_action")
    table.accept(accepted)
    request = request_of(accepted, None)
    assert isinstance(request, Charge)
    made = gateway_to(fake).charge(request)
    assert isinstance(made, Pending)
    if known:
        table.record(name, "wait", now(), GatewayResult(gateway_reference=made.reference))
    fake.finish(made.reference, "failed", "insufficient_funds")
    table.record(name, "decline", now(), GatewayResult(failure_code="insufficient_funds"))
    return made.reference


def states(fake: FakeStripe) -> set[str]:
    return {intent["status"] for intent in fake.intents.values()}


def test_a_payable_intent_is_only_reported_unless_apply_is_given(fake: FakeStripe, table: Table, cancel: Run) -> None:
    left = {name: declined_before(fake, table, name, known=name != "order-1") for name in NAMES}
    table.accept(payment(transaction_id="open"))
    reported = cancel()
    assert (reported.status, reported.json["counts"]) == (3, {"can still be paid": 5})
    assert {one["transaction_id"]: one["detail"] for one in reported.json["payments"]} == left
    assert states(fake) == {"requires_payment_method"}
    done = cancel("--apply", "--yes")
    assert (done.status, done.json["counts"], states(fake)) == (0, {"canceled": 5}, {"canceled"})
    with pytest.raises(StripeAnswer, match="400"):
        fake.finish(left["order-0"], "succeeded")
    # Again, and nothing is left.
    again = cancel("--apply", "--yes")
    assert (again.status, again.json["counts"], again.json["payments"]) == (0, {"nothing left to pay": 5}, [])
    assert all(found.status == "failed" for name in NAMES if (found := table.get(name)))


def test_it_is_canceled_in_any_open_state(fake: FakeStripe, table: Table, cancel: Run) -> None:
    """The customer has chosen another card, and has not confirmed it."""
    fake.finish(declined_before(fake, table, "order-0"), "requires_confirmation")
    assert cancel("--apply", "--yes").json["counts"] == {"canceled": 1}
    assert states(fake) == {"canceled"}


def test_a_charge_that_was_paid_after_all_is_left_to_a_person(fake: FakeStripe, table: Table, cancel: Run) -> None:
    paid = declined_before(fake, table, "order-0")
    fake.finish(paid, "succeeded")
    # A second PaymentIntent must not be paid too.
    fake.intents["pi_beside"] = fake.intents[paid] | {"id": "pi_beside", "status": "requires_payment_method"}
    came = cancel("--apply", "--yes")
    assert came.status == 3
    assert fake.intents["pi_beside"]["status"] == "canceled"
    assert came.json["payments"] == [
        {"transaction_id": "order-0", "verdict": "paid: refund it at Stripe", "detail": paid}
    ]
    found = table.get("order-0")
    assert found
    assert found.status == "failed"


def test_one_that_is_at_the_bank_is_reported_and_left(fake: FakeStripe, table: Table, cancel: Run) -> None:
    waiting = declined_before(fake, table, "order-0")
    fake.intents[waiting]["status"] = "processing"
    came = cancel("--apply", "--yes")
    assert (came.status, came.json["counts"]) == (3, {"still with the bank, or not canceled": 1})


def test_a_stopped_run_continues_where_it_was(fake: FakeStripe, table: Table, cancel: Run) -> None:
    for name in NAMES:
        declined_before(fake, table, name)
    everyone = [one["transaction_id"] for one in cancel().json["payments"]]
    fake.calls.clear()
    rest = cancel("--after", everyone[1], "--apply", "--yes")
    assert [one["transaction_id"] for one in rest.json["payments"]] == everyone[2:]
    assert rest.json["after"] == everyone[-1]
    assert sorted(intent["status"] for intent in fake.intents.values()).count("canceled") == 3


def test_an_interrupted_run_says_how_to_continue(
    fake: FakeStripe, table: Table, cancel: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES[:3]:
        declined_before(fake, table, name)
    monkeypatch.setattr(time, "sleep", MagicMock(side_effect=[None, KeyboardInterrupt]))
    came = cancel("--apply", "--yes")
    assert came.status == 130
    assert f"To continue: --after {came.json['payments'][1]['transaction_id']}" in came.err
    assert came.json["counts"] == {"canceled": 2}


def test_a_question_without_an_answer_holds_up_no_other(fake: FakeStripe, table: Table, cancel: Run) -> None:
    for name in NAMES[:3]:
        declined_before(fake, table, name)
    fake.fail_next = ["500_before"]
    came = cancel("--apply", "--yes")
    assert (came.status, came.json["counts"]) == (3, {"not answered": 1, "canceled": 2})
    assert cancel("--apply", "--yes").json["counts"] == {"canceled": 1, "nothing left to pay": 2}


def test_no_more_are_asked_about_than_the_rate_allows(
    fake: FakeStripe, table: Table, cancel: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        declined_before(fake, table, name)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    cancel("--rate", "4")
    assert slept == [0.25] * 5


def test_without_a_terminal_or_yes_nothing_is_canceled(fake: FakeStripe, table: Table, cancel: Run) -> None:
    declined_before(fake, table, "order-0")
    assert cancel("--apply").status == 1
    assert states(fake) == {"requires_payment_method"}
