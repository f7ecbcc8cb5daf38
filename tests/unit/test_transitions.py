from datetime import UTC, datetime

import pytest

from payments.model import Status
from payments.store import Table
from payments.transitions import FINAL, TRANSITIONS
from tests.unit.conftest import payment

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
REACHED = {
    ("validated", "approve"): "processed",
    ("validated", "decline"): "failed",
    ("validated", "lose"): "unknown",
    ("unknown", "approve"): "processed",
    ("unknown", "decline"): "failed",
}


@pytest.mark.parametrize("event", sorted(TRANSITIONS))
@pytest.mark.parametrize("status", sorted(Status))
def test_every_event_in_every_state(table: Table, status: str, event: str) -> None:
    before = payment(status=status, version=3)
    table.accept(before)
    made = table.record("order-1", event, AT, gateway_reference="ref")
    after = table.get("order-1")
    reached = REACHED.get((status, event))
    assert made is (reached is not None)
    if reached is None:
        assert after == before
    else:
        assert after == payment(
            status=reached, version=4, updated_at="2026-01-01T12:00:00.000000Z", gateway_reference="ref"
        )


def test_nothing_leaves_a_final_state() -> None:
    assert not [event for event, transition in TRANSITIONS.items() if transition.leaves & FINAL]


def test_a_payment_that_is_not_there_is_not_made(table: Table) -> None:
    assert table.record("order-1", "approve", AT) is False
    assert table.get("order-1") is None
