"""Outcomes that the gateway will know only later: a bank takes days, or the customer must act first."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.domain.clock import timestamp
from payments.domain.payment import Payment
from payments.gateways.port import Approved, Declined, Outcome, Pending
from payments.runtime.messages import decode_message, encode
from payments.table.indexes import OpenIndex
from payments.table.items import from_item, to_item
from payments.table.store import Table
from payments.usecases.announce import cloud_event
from payments.usecases.charge import Charging, request_of
from payments.usecases.reconcile import Reconciler
from tests.support.aws import OPEN_INDEX, TABLE, item, payment, state, stream_record
from tests.support.messages import messages_of
from tests.unit.handlers.test_processor import NOW, Scripted

ACT = Pending("pi_1", "use_stripe_sdk")
WAIT = Pending("pi_1")


def charge(table: Table, outcome: Outcome, at: datetime = NOW) -> None:
    Charging(table, Scripted(outcome), lambda: at).work(payment(), last=True)


def reconcile(table: Table, known: Any, at: datetime) -> Counter[str]:
    gateway = Scripted()
    gateway.known = known
    run = Reconciler(table, Charging(table, gateway, lambda: at), lambda: at)
    return run.run(["order-1"], in_time=lambda: True)


def due(dynamodb: Any, at: datetime) -> list[str]:
    return list(OpenIndex(dynamodb, TABLE, OPEN_INDEX).until(at))


def test_a_pending_charge_is_done_with_and_stays_open(table: Table, dynamodb: Any) -> None:
    table.accept(payment())
    charge(table, ACT)
    found = state(table)
    assert (found.status, found.gateway_reference, found.next_action) == ("unknown", "pi_1", "use_stripe_sdk")
    # Not before it may have changed, but not never.
    assert due(dynamodb, NOW + timedelta(minutes=14)) == []
    assert due(dynamodb, NOW + timedelta(minutes=15)) == ["order-1"]


@pytest.mark.parametrize(("known", "status"), [(Approved("pi_1"), "processed"), (Declined("card_declined"), "failed")])
def test_the_reconciler_learns_the_end(table: Table, dynamodb: Any, known: Any, status: str) -> None:
    table.accept(payment())
    charge(table, ACT)
    assert reconcile(table, known, NOW + timedelta(hours=1)) == Counter(settled=1)
    assert state(table).status == status
    assert due(dynamodb, NOW + timedelta(days=365)) == []
    (message,) = messages_of(stream_record(state(table), payment(status="unknown", next_action="use_stripe_sdk")))
    assert "next_action" not in cloud_event(message, "/test")["data"]


def test_a_pending_payment_is_looked_up_ever_less_often_and_never_redriven(table: Table, dynamodb: Any) -> None:
    table.accept(payment())
    charge(table, WAIT)
    last, asked = NOW, 0
    while (at := datetime.fromisoformat(item(dynamodb)["open_from"]["S"])) < NOW + timedelta(days=3):
        assert at > last
        assert due(dynamodb, at - timedelta(seconds=1)) == []
        assert due(dynamodb, at) == ["order-1"]
        assert reconcile(table, WAIT, at) == Counter(pending=1)
        last, asked = at, asked + 1
    assert 10 < asked < 20
    assert (state(table).status, state(table).redrives) == ("unknown", 0)


def test_what_the_customer_must_do_is_announced_once(table: Table) -> None:
    table.accept(payment())
    before = state(table)
    charge(table, ACT)
    first = state(table)
    (message,) = messages_of(stream_record(first, before))
    assert message.event == "payment.unknown"
    assert cloud_event(message, "/test")["data"]["next_action"] == "use_stripe_sdk"
    reconcile(table, ACT, NOW + timedelta(hours=1))
    again = state(table)
    assert again.version == first.version + 1
    assert messages_of(stream_record(again, first)) == []


def test_what_the_customer_must_do_is_announced_though_it_is_learnt_late(table: Table) -> None:
    table.accept(payment(status="unknown"))
    reconcile(table, ACT, NOW + timedelta(hours=1))
    (message,) = messages_of(stream_record(state(table), payment(status="unknown")))
    assert decode_message(encode(message)).payment.next_action == "use_stripe_sdk"


def test_a_customer_who_has_acted_need_not_act_again(table: Table) -> None:
    table.accept(payment())
    charge(table, ACT)
    reconcile(table, WAIT, NOW + timedelta(hours=1))
    assert state(table).next_action == ""


def test_a_final_payment_does_not_become_pending_again(table: Table) -> None:
    table.accept(payment(status="processed", gateway_reference="pi_1"))
    Charging(table, Scripted(), lambda: NOW).settle(payment(), None, ACT)
    assert (state(table).status, state(table).next_action) == ("processed", "")


def refunded(**changes: Any) -> Payment:
    refund = {
        "amount_minor": 500, "status": "validated", "created_at": timestamp(NOW), "updated_at": timestamp(NOW),
        "fingerprint": "f",
    }  # fmt: skip
    return payment(status="processed", gateway_reference="pi_1", refunds={"r": refund}, **changes)


def test_a_pending_refund_stays_open_too(table: Table, dynamodb: Any) -> None:
    accepted = from_item(to_item(refunded()))
    table.accept(accepted)
    Charging(table, Scripted(Pending("re_1")), lambda: NOW).work(accepted, "r", last=True)
    refund = state(table).refunds["r"]
    assert (refund.status, refund.gateway_reference) == ("unknown", "re_1")
    assert due(dynamodb, NOW + timedelta(minutes=15)) == ["order-1"]
    assert reconcile(table, Approved("re_1"), NOW + timedelta(hours=1)) == Counter(settled=1)
    assert state(table).status == "partially_refunded"


def test_an_earlier_reference_is_passed_to_the_gateway(table: Table) -> None:
    assert request_of(payment(gateway_reference="pi_1"), None).reference == "pi_1"


@pytest.mark.parametrize(("days", "counts"), [(13, False), (15, True)])
def test_a_bank_may_take_its_time_but_not_for_ever(
    table: Table, monkeypatch: pytest.MonkeyPatch, days: int, counts: bool
) -> None:
    measured: dict[str, float] = {}
    monkeypatch.setattr("payments.usecases.reconcile.measure_seconds", measured.__setitem__)
    table.accept(payment(status="unknown"))
    reconcile(table, WAIT, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days))
    assert (measured["OldestOpenSeconds"] > 0) is counts
