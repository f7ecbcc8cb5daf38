from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from payments.domain.lifecycle import FINAL, OPEN, REFUND_TRANSITIONS, TRANSITIONS, Status
from payments.domain.payment import GatewayResult, RefundRecord
from payments.table.store import Table
from tests.support.aws import item, payment, state

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
WRITTEN = "2026-01-01T12:00:00.000000Z"
GATEWAYS_WORDS = ["approve", "decline", "lose", "wait"]
REACHED = {
    ("validated", "approve"): "processed",
    ("validated", "decline"): "failed",
    ("validated", "lose"): "unknown",
    ("validated", "wait"): "unknown",
    ("unknown", "wait"): "unknown",
    ("unknown", "approve"): "processed",
    ("unknown", "decline"): "failed",
}
REFUND_STATES = ["validated", "unknown", "processed", "failed"]
WORD = GatewayResult(gateway_reference="ref")


def refund(status: str = "validated", amount: int = 250, **changes: str) -> RefundRecord:
    created = "2026-01-02T00:00:00.000000Z"
    return RefundRecord(amount, Status(status), created, changes.pop("updated_at", created), "f", **changes)


@pytest.mark.parametrize("event", GATEWAYS_WORDS)
@pytest.mark.parametrize("status", sorted(Status))
def test_every_event_of_a_charge_in_every_state(table: Table, status: str, event: str) -> None:
    before = payment(status=status, version=3)
    table.accept(before)
    made = table.record("order-1", event, AT, WORD)
    reached = REACHED.get((status, event))
    assert made is (reached is not None)
    expected = (
        before if reached is None else payment(status=reached, version=4, updated_at=WRITTEN, gateway_reference="ref")
    )
    assert state(table) == expected


@pytest.mark.parametrize("event", GATEWAYS_WORDS)
@pytest.mark.parametrize("status", REFUND_STATES)
@pytest.mark.parametrize(
    ("earlier", "payments"), [(0, "processed"), (500, "partially_refunded"), (1000, "partially_refunded")]
)
def test_every_event_of_a_refund_in_every_state(
    table: Table, status: str, event: str, earlier: int, payments: str
) -> None:
    others = {"r0": refund("processed", earlier)} if earlier else {}
    before = payment(status=payments, version=3, gateway_reference="charge", refunds=others | {"r1": refund(status)})
    table.accept(before)
    made = table.record_refund("order-1", "r1", event, AT, WORD)
    reached = REACHED.get((status, event))
    assert made is (reached is not None)
    after = state(table)
    if reached is None:
        assert after == before
        return
    assert after.refunds["r1"] == refund(reached, updated_at=WRITTEN, gateway_reference="ref")
    assert after.version == 4
    refunded = {"processed": {1000: "refunded"}.get(earlier, "partially_refunded")}.get(reached, payments)
    assert after.status == refunded
    assert after.gateway_reference == "charge"


@pytest.mark.parametrize("status", REFUND_STATES)
@pytest.mark.parametrize(
    ("earlier", "before", "after"),
    [
        (0, "partially_refunded", "processed"),
        (500, "partially_refunded", "partially_refunded"),
        (1000, "refunded", "partially_refunded"),
    ],
)
def test_a_refund_is_reverted_with_its_payment_in_one_write(
    table: Table, status: str, earlier: int, before: str, after: str
) -> None:
    others = {"r0": refund("processed", earlier)} if earlier else {}
    made = others | {"r1": refund(status, gateway_reference="re_1")}
    stored_before = payment(status=before, version=3, gateway_reference="charge", refunds=made)
    table.accept(stored_before)
    reverted = table.record_refund("order-1", "r1", "revert", AT, GatewayResult(failure_code="lost_or_stolen_card"))
    assert reverted is (status == "processed")
    found = state(table)
    if not reverted:
        assert found == stored_before
        return
    assert found.refunds["r1"] == refund(
        "failed", updated_at=WRITTEN, gateway_reference="re_1", failure_code="lost_or_stolen_card"
    )
    assert (found.status, found.version, found.refunded.minor) == (after, 4, earlier)
    assert not table.record_refund("order-1", "r1", "revert", AT), "a repeat changes nothing"
    assert not table.record_refund("order-1", "r1", "approve", AT), "a late success changes nothing"


def test_whole_refund_that_is_reverted_leaves_a_processed_payment(table: Table) -> None:
    table.accept(payment(status="refunded", version=3, refunds={"r1": refund("processed", 1250)}))
    assert table.record_refund("order-1", "r1", "revert", AT)
    assert (state(table).status, state(table).refundable.minor) == ("processed", 1250)


def test_a_charge_is_never_reverted(table: Table) -> None:
    table.accept(payment(status="processed"))
    with pytest.raises(KeyError):
        table.record("order-1", "revert", AT)
    assert set(REFUND_TRANSITIONS) - set(TRANSITIONS) == {"revert"}


def test_what_the_gateway_says_leaves_open_states_only() -> None:
    assert all(TRANSITIONS[event].leaves <= OPEN for event in GATEWAYS_WORDS)
    assert OPEN.isdisjoint(FINAL)
    assert set(Status) == OPEN | FINAL


def test_a_payment_that_is_not_there_is_not_made(table: Table) -> None:
    assert table.record("order-1", "approve", AT) is False
    assert table.record_refund("order-1", "r", "approve", AT) is False
    assert table.redrive(payment(), AT) is False
    assert table.get("order-1") is None


def test_a_redrive_changes_no_state_and_waits_longer_each_time(dynamodb: Any, table: Table) -> None:
    table.accept(payment())
    waits = []
    for number in range(8):
        before = state(table)
        assert table.redrive(before, AT)
        after = state(table)
        assert (after.status, after.redrives, after.version) == ("validated", number + 1, before.version + 1)
        open_from = item(dynamodb)["open_from"]["S"]
        waits.append((datetime.fromisoformat(open_from) - AT).total_seconds() / 60)
        assert not table.redrive(before, AT), "the item has changed since it was read"
    assert waits == [15, 30, 60, 120, 240, 360, 360, 360]
