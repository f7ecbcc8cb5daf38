"""The reconciler finds payments that are not final, asks the gateway, and records or redrives; it never guesses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from payments.domain.clock import timestamp
from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import Status
from payments.domain.payment import GatewayResult, Payment, RefundRecord
from payments.gateways.port import Approved, Charge, Declined, Outcome, Pending, Refund
from payments.handlers import reconciler
from payments.runtime.handler import FunctionError
from payments.table.indexes import OpenIndex
from payments.table.items import open_key
from payments.usecases import reconcile
from payments.usecases.charge import Charging
from payments.usecases.reconcile import Reconciler
from tests.support.aws import OPEN_INDEX, TABLE, Context, cold, item, payment
from tests.support.messages import messages_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.table.store import Table

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
LONG = timedelta(minutes=30)


class Answering:
    """A gateway that only knows the outcomes of earlier charges and refunds."""

    def __init__(self, known: dict[str, Approved | Declined | None]) -> None:
        self.known = known

    def charge(self, charge: Charge) -> Outcome:
        raise AssertionError("the reconciler must not charge")

    def refund(self, refund: Refund) -> Outcome:
        raise AssertionError("the reconciler must not refund")

    def lookup(self, request: Charge | Refund) -> Approved | Declined | None:
        if request.transaction_id not in self.known:
            raise UnavailableError("no answer")
        return self.known[request.transaction_id]


def run(dynamodb: Any, table: Table, known: dict[str, Any], **event: Any) -> dict[str, int]:
    charging = Charging(table, Answering(known), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(
        OpenIndex(dynamodb, TABLE, OPEN_INDEX).until(NOW - timedelta(minutes=15)), in_time=lambda: True
    )
    return dict(counts)


@pytest.mark.parametrize("status", ["validated", "unknown"])
@pytest.mark.parametrize(("known", "reached"), [(Approved("ref"), "processed"), (Declined("stolen_card"), "failed")])
def test_what_the_gateway_knows_is_recorded(dynamodb: Any, table: Table, status: str, known: Any, reached: str) -> None:
    table.accept(payment(status=status))
    assert run(dynamodb, table, {"order-1": known}) == {"settled": 1}
    stored = table.get("order-1")
    assert stored
    assert stored.status == reached
    assert "open_shard" not in item(dynamodb)
    assert run(dynamodb, table, {}) == {}


def test_what_it_does_not_know_goes_through_the_outbox_again(dynamodb: Any, table: Table) -> None:
    table.accept(payment(status="unknown"))
    before = item(dynamodb)
    assert run(dynamodb, table, {"order-1": None}) == {"redriven": 1}
    after = item(dynamodb)
    assert after["status"] == {"S": "unknown"}
    images = {"OldImage": before, "NewImage": after}
    (message,) = messages_of({"eventName": "MODIFY", "dynamodb": images})
    assert (message.event, message.payment.payment_method) == ("payment.validated", "pm_sim_approved")
    assert run(dynamodb, table, {"order-1": None}) == {}, "it is left alone for a while before the next lookup"


def test_a_silent_gateway_changes_nothing(dynamodb: Any, table: Table) -> None:
    table.accept(payment(status="unknown"))
    before = item(dynamodb)
    assert run(dynamodb, table, {}) == {"unanswered": 1}
    assert item(dynamodb) == before


def test_the_young_and_the_final_are_left_alone(dynamodb: Any, table: Table) -> None:
    young = timestamp(NOW - timedelta(minutes=14))
    table.accept(payment(transaction_id="young", created_at=young))
    for status in ("processed", "failed", "partially_refunded", "refunded"):
        table.accept(payment(transaction_id=status, status=status))
    assert run(dynamodb, table, {}) == {}


@pytest.mark.parametrize("named", [True, False])
def test_a_processed_refund_is_asked_about_where_its_payment_is_named(
    table: Table, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """It is not open, so its age says nothing of how long payments stay open."""
    ages: list[float] = []
    monkeypatch.setattr(reconcile, "measure_seconds", lambda _, seconds: ages.append(seconds))
    moment = "2026-01-01T00:00:01.000000Z"
    refund = RefundRecord(250, Status.PROCESSED, moment, moment, "f", gateway_reference="re_1")
    table.accept(payment(status="partially_refunded", gateway_reference="charge", refunds={"r1": refund}))
    charging = Charging(table, Answering({"order-1": Declined("sent_back", "re_1")}), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(["order-1"], in_time=lambda: True, processed_refunds=named)
    assert (dict(counts), ages) == ({"settled": 1} if named else {}, [0.0])
    found = table.get("order-1")
    assert found
    assert found.status == ("processed" if named else "partially_refunded")


def test_an_open_refund_is_settled_too(dynamodb: Any, table: Table) -> None:
    moment = "2026-01-01T00:00:01.000000Z"
    charged = payment(status="processed", gateway_reference="charge")
    table.accept(charged)
    table.add_refund(charged, "r1", RefundRecord(250, Status.VALIDATED, moment, moment, "f"))
    assert run(dynamodb, table, {"order-1": None}) == {"redriven": 1}
    with_refund = table.get("order-1")
    assert with_refund
    before = item(dynamodb)
    assert table.redrive(with_refund, NOW)
    (message,) = messages_of({"eventName": "MODIFY", "dynamodb": {"OldImage": before, "NewImage": item(dynamodb)}})
    assert (message.event, message.refund_id) == ("refund.validated", "r1")
    charging = Charging(table, Answering({"order-1": Approved("back")}), lambda: NOW)
    assert dict(Reconciler(table, charging, lambda: NOW).run(["order-1"], in_time=lambda: True)) == {"settled": 1}
    stored = table.get("order-1")
    assert stored
    assert (stored.status, stored.refunds["r1"].gateway_reference) == ("partially_refunded", "back")
    assert "open_shard" not in item(dynamodb)


@pytest.mark.parametrize(
    ("attribute", "value", "outcome", "came"),
    [
        # An unreadable item, and an unforeseen error.
        ("currency", "XXX", Approved("r"), "settled"),
        ("created_at", "yesterday", Pending("r"), "pending"),
    ],
)
def test_one_payment_that_fails_does_not_hold_up_the_others(
    dynamodb: Any, table: Table, attribute: str, value: str, outcome: Approved | Pending, came: str
) -> None:
    for name in ("a", "bad", "z"):
        table.accept(payment(transaction_id=name, status="unknown"))
    dynamodb.update_item(
        TableName=TABLE,
        Key={"transaction_id": {"S": "bad"}},
        UpdateExpression=f"SET {attribute} = :none",
        ExpressionAttributeValues={":none": {"S": value}},
    )
    known = dict.fromkeys(("a", "bad", "z"), outcome)
    assert run(dynamodb, table, known) == {came: 2, "failed": 1}


def two_refunds(table: Table) -> Payment:
    """A charged payment with two refunds that are not final."""
    moment = "2026-01-01T00:00:01.000000Z"
    table.accept(payment(status="processed", gateway_reference="charge"))
    for refund_id in ("r1", "r2"):
        stored = table.get("order-1")
        assert stored
        assert table.add_refund(stored, refund_id, RefundRecord(250, Status.VALIDATED, moment, moment, "f"))
    stored = table.get("order-1")
    assert stored
    return stored


def test_one_refund_is_settled_and_the_other_is_redriven_at_once(dynamodb: Any, table: Table) -> None:
    class KnowingOne(Answering):
        def lookup(self, request: Charge | Refund) -> Approved | None:
            assert isinstance(request, Refund)
            return Approved("back-1") if request.refund_id == "r1" else None

    two_refunds(table)
    charging = Charging(table, KnowingOne({}), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(["order-1"], in_time=lambda: True)
    assert dict(counts) == {"settled": 1, "redriven": 1}
    assert item(dynamodb)["redrives"] == {"N": "1"}
    assert "open_shard" in item(dynamodb)


def test_a_payment_that_became_final_meanwhile_is_not_redriven(dynamodb: Any, table: Table) -> None:
    """It settles one of two refunds and does not find the other, which the processor settles at that moment."""

    class Overtaken(Answering):
        def lookup(self, request: Charge | Refund) -> Approved | None:
            assert isinstance(request, Refund)
            if request.refund_id == "r1":
                return Approved("back-1")
            table.record_refund("order-1", "r2", "approve", NOW, GatewayResult(gateway_reference="back-2"))
            return None

    two_refunds(table)
    charging = Charging(table, Overtaken({}), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(["order-1"], in_time=lambda: True)
    assert dict(counts) == {"settled": 1}
    assert "open_shard" not in item(dynamodb)
    assert item(dynamodb)["redrives"] == {"N": "0"}


def test_a_final_payment_cannot_be_redriven(dynamodb: Any, table: Table) -> None:
    table.accept(payment(status="processed"))
    stored = table.get("order-1")
    assert stored
    before = item(dynamodb)
    assert not table.redrive(stored, NOW)
    assert item(dynamodb) == before


def leaked(dynamodb: Any, table: Table, **changes: Any) -> None:
    """A payment with any status in the open index, where an earlier version left some."""
    table.accept(payment(**changes))
    dynamodb.update_item(
        TableName=TABLE,
        Key={"transaction_id": {"S": "order-1"}},
        UpdateExpression="SET open_shard = :shard, open_from = :moment",
        ExpressionAttributeValues={":shard": {"S": open_key("order-1")}, ":moment": {"S": timestamp(NOW - LONG)}},
    )


@pytest.mark.parametrize("status", ["processed", "failed", "partially_refunded", "refunded"])
def test_a_final_payment_is_removed_from_the_open_index(dynamodb: Any, table: Table, status: str) -> None:
    leaked(dynamodb, table, status=status)
    before = item(dynamodb)
    assert run(dynamodb, table, {}) == {"closed": 1}
    # Nothing that clients see has changed.
    assert item(dynamodb) == {name: before[name] for name in before.keys() - {"open_shard", "open_from"}}
    assert run(dynamodb, table, {}) == {}


def test_a_payment_that_was_opened_again_stays_in_the_open_index(dynamodb: Any, table: Table) -> None:
    leaked(dynamodb, table, status="processed", gateway_reference="charge")
    final = table.get("order-1")
    assert final
    moment = timestamp(NOW)
    assert table.add_refund(final, "r1", RefundRecord(250, Status.VALIDATED, moment, moment, "f"))
    assert not table.close(final)
    assert "open_shard" in item(dynamodb)
    opened = table.get("order-1")
    assert opened
    assert not table.close(opened)
    assert "open_shard" in item(dynamodb)


def test_with_no_time_left_nothing_more_is_begun(dynamodb: Any, table: Table) -> None:
    table.accept(payment(status="unknown"))
    charging = Charging(table, Answering({}), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(["order-1"], in_time=lambda: False)
    assert dict(counts) == {"left": 1}


def test_an_id_of_no_payment_is_counted(table: Table) -> None:
    table.accept(payment(status="unknown"))
    charging = Charging(table, Answering({"order-1": Approved("ref")}), lambda: NOW)
    counts = Reconciler(table, charging, lambda: NOW).run(["order-1", "nope"], in_time=lambda: True)
    assert dict(counts) == {"settled": 1, "missing": 1}


class TestTheHandler:
    @pytest.fixture(autouse=True)
    def _fresh(self, dynamodb: Any) -> Iterator[None]:
        with cold(reconciler.wired):
            yield

    def test_it_finds_asks_and_counts(self, table: Table) -> None:
        table.accept(payment(transaction_id="old", status="unknown"))
        young = timestamp(datetime.now(UTC))
        table.accept(payment(transaction_id="young", status="unknown", created_at=young))
        context: Any = Context()
        assert reconciler.handler({}, context) == {"redriven": 1}
        assert reconciler.handler({"older_than_seconds": 0}, context) == {"redriven": 1}
        assert reconciler.handler({"transaction_ids": ["old", "nobody"]}, context) == {"redriven": 1, "missing": 1}

    @pytest.mark.parametrize(
        "event",
        [
            {"older_than_seconds": -1},
            {"older_than_seconds": True},
            {"older_than_seconds": 10**30},
            {"older_than_seconds": "1"},
            {"transaction_ids": "x"},
            {"transaction_ids": ["a/b"]},
        ],
    )
    def test_a_wrong_event_is_refused(self, event: dict[str, Any]) -> None:
        with pytest.raises(FunctionError, match="ValueError"):
            reconciler.handler(event, Context())  # type: ignore[arg-type]
