"""The table at its worst: short pages, partly processed batches, reads that miss the last write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.clock import timestamp
from payments.domain.lifecycle import Status
from payments.domain.message import Message
from payments.domain.payment import GatewayResult, Payment, RefundRecord
from payments.gateways.port import Approved, Charge, Declined, Outcome, Refund, idempotency_key
from payments.gateways.simulator import Simulator
from payments.handlers import processor
from payments.runtime.messages import encode
from payments.table.indexes import CustomerIndex, OpenIndex
from payments.table.store import Table
from payments.usecases.charge import Charging
from payments.usecases.settle import age
from tests.support.aws import INDEX, LEDGER, OPEN_INDEX, TABLE, Context, item, payment, queue_event

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def stored(table: Table, transaction_id: str = "order-1") -> Payment:
    found = table.get(transaction_id)
    assert found
    return found


def with_refunds(table: Table, *amounts: int, at: datetime = NOW) -> Payment:
    """A charged payment with open refunds r0, r1 and so on."""
    table.accept(payment(status="processed", gateway_reference="ref"))
    for number, amount in enumerate(amounts):
        moment = timestamp(at)
        assert table.add_refund(
            stored(table), f"r{number}", RefundRecord(amount, Status.VALIDATED, moment, moment, "f")
        )
    return stored(table)


def open_ids(dynamodb: Any) -> list[str]:
    return sorted(OpenIndex(dynamodb, TABLE, OPEN_INDEX).until(NOW + timedelta(days=1)))


# Two open refunds of one payment


@pytest.mark.parametrize(
    ("event", "word"), [("approve", GatewayResult("back")), ("decline", GatewayResult(failure_code="refused"))]
)
@pytest.mark.parametrize("order", [("r0", "r1"), ("r1", "r0")])
def test_a_payment_stays_in_the_open_index_until_its_last_refund_is_final(
    dynamodb: Any, table: Table, order: Sequence[str], event: str, word: GatewayResult
) -> None:
    with_refunds(table, 250, 300)
    first, last = order
    assert table.record_refund("order-1", first, event, NOW, word)
    assert open_ids(dynamodb) == ["order-1"]
    # Unknown is not final.
    assert table.record_refund("order-1", last, "lose", NOW)
    assert open_ids(dynamodb) == ["order-1"]
    assert table.record_refund("order-1", last, event, NOW, word)
    assert open_ids(dynamodb) == []
    assert "open_shard" not in item(dynamodb)


@given(IDS, st.none() | IDS, IDS, st.none() | IDS)
def test_no_two_charges_or_refunds_share_a_key(one: str, refund: str | None, other: str, another: str | None) -> None:
    same = (one, refund) == (other, another)
    assert (idempotency_key(one, refund) == idempotency_key(other, another)) == same
    assert idempotency_key(one, "r0") != idempotency_key(one, "r1")


def test_two_refunds_of_one_payment_are_both_made(dynamodb: Any, table: Table) -> None:
    """With the same amount: under one key, the gateway would treat the second as a repeat of the first."""
    simulator = Simulator(dynamodb, LEDGER, lambda: NOW)
    charged = simulator.charge(Charge(idempotency_key("order-1"), payment().money, "pm_sim_approved", "order-1"))
    assert isinstance(charged, Approved)
    table.accept(payment(status="processed", gateway_reference=charged.reference))
    deliver(table, simulator, *two_refunds(table))
    references = {refund.gateway_reference for refund in stored(table).refunds.values()}
    assert len(references) == 2
    assert stored(table).refunded.minor == 1000
    books = dynamodb.get_item(TableName=LEDGER, Key={"idempotency_key": {"S": "payment-order-1"}}, ConsistentRead=True)[
        "Item"
    ]
    assert books["refunded_minor"] == {"N": "1000"}


def two_refunds(table: Table) -> list[str]:
    """Add two refunds of the same amount and return their messages."""
    bodies = []
    for refund_id in ("r0", "r1"):
        moment = timestamp(NOW)
        table.add_refund(stored(table), refund_id, RefundRecord(500, Status.VALIDATED, moment, moment, "f"))
        bodies.append(encode(Message("refund.validated", stored(table), refund_id)))
    return bodies


def deliver(table: Table, gateway: Any, *bodies: str) -> None:
    """Let the processor handle messages, one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "wired", lambda: (Charging(table, gateway, lambda: NOW), 3))
        for body in bodies:
            answer = processor.handler(queue_event([body]), Context())  # type: ignore[arg-type]
            assert answer == {"batchItemFailures": []}


# Pages, and partly processed batches


def test_the_open_index_is_read_to_its_last_page(dynamodb: Any, table: Table) -> None:
    accepted = [f"order-{number}" for number in range(60)]
    for transaction_id in accepted:
        table.accept(payment(transaction_id=transaction_id))
    assert open_ids(dynamodb) == sorted(accepted)


def test_a_page_is_whole_where_its_batch_comes_back_in_part(dynamodb: Any, table: Table) -> None:
    accepted = [f"order-{number}" for number in range(20)]
    for transaction_id in accepted:
        table.accept(payment(transaction_id=transaction_id))
    page = CustomerIndex(dynamodb, TABLE, INDEX, "seal").page("ada", 20, None)
    assert sorted(one.transaction_id for one in page.payments) == sorted(accepted)


# Reads that see the last write


def test_a_read_sees_the_write_before_it(dynamodb: Any, table: Table) -> None:
    assert table.get("order-1") is None
    table.accept(payment())
    assert stored(table).status == "validated"
    table.record("order-1", "approve", NOW, GatewayResult("ref"))
    assert (stored(table).status, stored(table).gateway_reference) == ("processed", "ref")
    (listed,) = CustomerIndex(dynamodb, TABLE, INDEX, "seal").page("ada", 10, None).payments
    assert listed.status == "processed"


def test_the_ledger_is_read_as_it_is_now(dynamodb: Any) -> None:
    simulator = Simulator(dynamodb, LEDGER, lambda: NOW)
    charge = Charge(idempotency_key("order-1"), payment().money, "pm_sim_approved", "order-1")
    charged = simulator.charge(charge)
    assert simulator.lookup(charge) == charged


# A refund's age


class Knowing:
    """A gateway that made the refund long ago, and whose key for it has expired."""

    def __init__(self) -> None:
        self.refunds = 0

    def charge(self, charge: Charge) -> Outcome:
        raise AssertionError("the test requests no charge")

    def refund(self, refund: Refund) -> Outcome:
        self.refunds += 1
        return Approved(f"again-{self.refunds}")

    def lookup(self, request: Charge | Refund) -> Approved | Declined | None:
        return Approved("earlier")


def test_a_refunds_age_counts_from_its_acceptance(table: Table) -> None:
    """It was marked unknown an hour ago, but its key is a day old: another call may refund it again."""
    with_refunds(table, 250, at=NOW - timedelta(hours=24))
    assert table.record_refund("order-1", "r0", "lose", NOW - timedelta(hours=1))
    assert age(stored(table), "r0", NOW) == timedelta(hours=24)
    gateway = Knowing()
    deliver(table, gateway, encode(Message("refund.validated", stored(table), "r0")))
    assert gateway.refunds == 0
    assert stored(table).refunds["r0"].gateway_reference == "earlier"
