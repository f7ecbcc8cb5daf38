"""Charging: once, whatever comes twice, late, out of order, or never answers."""

from __future__ import annotations

import io
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments import batch
from payments.aws import UnavailableError
from payments.charging import Charging, RetryError, Settling
from payments.gateway import Approved, Charge, Declined, NotSent, Outcome, RateLimited, Refund, Unknown
from payments.handlers import processor
from payments.model import Message, Payment, timestamp
from payments.money import Money
from payments.simulator import Simulator
from tests.support.aws import LEDGER, TABLE, Context, payment, queue_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.store import Table

NOW = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    processor.wired.cache_clear()  # type: ignore[attr-defined]
    yield
    processor.wired.cache_clear()  # type: ignore[attr-defined]


class Scripted:
    """A gateway that answers as it is told, and counts."""

    def __init__(self, *outcomes: Outcome, known: Approved | Declined | None = None) -> None:
        self.outcomes = list(outcomes)
        self.known = known
        self.charges: list[Charge] = []
        self.refunds: list[Refund] = []
        self.lookups = 0

    def charge(self, charge: Charge) -> Outcome:
        self.charges.append(charge)
        return self.outcomes.pop(0)

    def refund(self, refund: Refund) -> Outcome:
        self.refunds.append(refund)
        return self.outcomes.pop(0)

    def lookup(self, charge: Charge | Refund) -> Approved | Declined | None:
        self.lookups += 1
        return self.known


def charging(table: Table, gateway: Any, now: datetime = NOW) -> Charging:
    return Charging(table, gateway, lambda: now)


def state(table: Table) -> Payment:
    found = table.get("order-1")
    assert found
    return found


def body(accepted: Payment) -> str:
    return Message.of("payment.validated", accepted).encode()


def live(table: Table, *methods: str, **changes: Any) -> list[str]:
    """Accept payments now and return their messages."""
    moment = timestamp(datetime.now(UTC))
    accepted = [
        payment(
            transaction_id=f"order-{number}", payment_method=method, created_at=moment, updated_at=moment, **changes
        )
        for number, method in enumerate(methods)
    ]
    return [body(table.accept(one)) for one in accepted]


def ledger(dynamodb: Any) -> dict[str, dict[str, Any]]:
    return {item["idempotency_key"]["S"]: item for item in dynamodb.scan(TableName=LEDGER)["Items"]}


def statuses(dynamodb: Any) -> dict[str, str]:
    return {item["transaction_id"]["S"]: item["status"]["S"] for item in dynamodb.scan(TableName=TABLE)["Items"]}


@pytest.mark.parametrize(
    ("outcome", "status", "field", "value"),
    [
        (Approved("ref"), "processed", "gateway_reference", "ref"),
        (Declined("stolen_card"), "failed", "failure_code", "stolen_card"),
    ],
)
def test_a_final_answer_is_recorded(table: Table, outcome: Outcome, status: str, field: str, value: str) -> None:
    table.accept(payment())
    gateway = Scripted(outcome)
    charging(table, gateway).work(payment(), deliveries=1, last=False)
    assert (state(table).status, getattr(state(table), field)) == (status, value)
    assert state(table).version == 2
    assert gateway.charges == [Charge("payment-order-1", Money(1250, "EUR"), "pm_sim_approved", "order-1")]


@pytest.mark.parametrize("outcome", [Unknown("time-out"), NotSent("refused"), RateLimited()])
@pytest.mark.parametrize("last", [False, True])
def test_no_answer_is_never_a_failure(table: Table, outcome: Outcome, *, last: bool) -> None:
    table.accept(payment())
    with pytest.raises(RetryError):
        charging(table, Scripted(outcome)).work(payment(), deliveries=1, last=last)
    assert state(table).status == ("unknown" if last else "validated")


def test_what_was_unknown_is_mended_by_a_redrive(table: Table) -> None:
    table.accept(payment(status="unknown"))
    charging(table, Scripted(Approved("ref"))).work(payment(), deliveries=2, last=False)
    assert state(table).status == "processed"


@pytest.mark.parametrize("status", ["processed", "failed"])
def test_a_final_payment_is_never_charged_again(table: Table, status: str) -> None:
    """A redrive comes with a new message id and a count that starts anew: age tells that it is not the first."""
    table.accept(payment(status=status))
    gateway = Scripted()
    charging(table, gateway).work(payment(), deliveries=2, last=False)
    charging(table, gateway, NOW + timedelta(hours=1)).work(payment(), deliveries=1, last=False)
    assert gateway.charges == []


def test_after_23_hours_the_gateway_is_asked_before_it_is_charged(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(known=Approved("earlier"))
    charging(table, gateway, NOW + timedelta(hours=23)).work(payment(), deliveries=1, last=False)
    assert (gateway.charges, gateway.lookups) == ([], 1)
    assert state(table).gateway_reference == "earlier"


def test_after_23_hours_what_the_gateway_does_not_know_is_charged(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(Approved("ref"))
    charging(table, gateway, NOW + timedelta(days=2)).work(payment(), deliveries=1, last=False)
    assert (len(gateway.charges), gateway.lookups) == (1, 1)


def test_before_23_hours_the_key_is_enough(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(Approved("ref"))
    charging(table, gateway, NOW + timedelta(hours=22)).work(payment(), deliveries=3, last=False)
    assert (len(gateway.charges), gateway.lookups) == (1, 0)


@pytest.mark.parametrize(
    ("method", "deliveries", "status", "attempts"),
    [
        ("pm_sim_approved", 1, "processed", 1),
        ("pm_sim_declined_insufficient_funds", 1, "failed", 1),
        ("pm_sim_timeout_after_charge", 2, "processed", 2),
        ("pm_sim_timeout_before_charge", 2, "processed", 2),
        ("pm_sim_rate_limited", 2, "processed", 2),
        ("pm_sim_unavailable", 3, "unknown", 3),
        ("pm_card", 1, "failed", 1),
    ],
)
def test_the_simulators_methods(
    dynamodb: Any, table: Table, method: str, deliveries: int, status: str, attempts: int
) -> None:
    (message,) = live(table, method)
    for delivery in range(1, deliveries + 1):
        assert statuses(dynamodb) == {"order-0": "validated"}
        processor.handler(queue_event([message], delivery), Context())  # type: ignore[arg-type]
    assert statuses(dynamodb) == {"order-0": status}
    entry = ledger(dynamodb)["payment-order-0"]
    assert entry["attempts"] == {"N": str(attempts)}
    assert ("reference" in entry) is (status == "processed")


def test_a_reused_key_for_another_amount_is_never_a_decline(dynamodb: Any) -> None:
    simulator = Simulator(dynamodb, LEDGER, lambda: NOW)
    charge = Charge("k", Money(1, "EUR"), "pm_sim_approved", "t")
    assert isinstance(simulator.charge(charge), Approved)
    assert isinstance(simulator.charge(msgspec.structs.replace(charge, money=Money(2, "EUR"))), Unknown)
    assert simulator.lookup(charge) == simulator.charge(charge)


def test_the_same_message_twice_is_one_charge(dynamodb: Any, table: Table) -> None:
    (message,) = live(table, "pm_sim_approved")
    for event in (queue_event([message, message]), queue_event([message])):
        assert processor.handler(event, Context()) == {"batchItemFailures": []}  # type: ignore[arg-type]
    assert statuses(dynamodb) == {"order-0": "processed"}
    assert len(ledger(dynamodb)) == 1
    found = table.get("order-0")
    assert found
    assert found.version == 2


POISON = ["", "{", "[]", "{}", '{"schema": 9, "event": "x", "payment": {}}', json.dumps({"event": "payment.validated"})]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "dead", *POISON]), min_size=1, max_size=10))
def test_a_bad_message_fails_alone(dynamodb: Any, table: Table, kinds: list[str]) -> None:
    moment = timestamp(datetime.now(UTC))
    bodies = []
    for number, kind in enumerate(kinds):
        if kind not in {"good", "dead"}:
            bodies.append(kind)
            continue
        method = "pm_sim_approved" if kind == "good" else "pm_sim_unavailable"
        one = payment(
            transaction_id=f"o{number}-{moment[-7:-1]}-{len(kinds)}", payment_method=method, created_at=moment
        )
        table.accept(one)
        bodies.append(body(one))
    result = processor.handler(queue_event(bodies), Context())  # type: ignore[arg-type]
    failed = {item["itemIdentifier"] for item in result["batchItemFailures"]}
    assert failed == {f"m{number}" for number, kind in enumerate(kinds) if kind != "good"}


def test_the_last_delivery_is_still_reported_so_that_it_reaches_the_dead_letter_queue(
    dynamodb: Any, table: Table
) -> None:
    (message,) = live(table, "pm_sim_unavailable")
    result = processor.handler(queue_event([message], 3), Context())  # type: ignore[arg-type]
    assert result == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert statuses(dynamodb) == {"order-0": "unknown"}


def test_with_too_little_time_nothing_is_started(dynamodb: Any, table: Table) -> None:
    messages = live(table, "pm_sim_approved", "pm_sim_approved")
    result = processor.handler(queue_event(messages), Context(remaining=1000))  # type: ignore[arg-type]
    assert [item["itemIdentifier"] for item in result["batchItemFailures"]] == ["m0", "m1"]
    assert ledger(dynamodb) == {}


def test_a_gateway_that_cannot_be_reached_leaves_the_payment_unknown(table: Table) -> None:
    class Silent(Scripted):
        def charge(self, charge: Charge) -> Outcome:
            raise UnavailableError("no answer")

        def lookup(self, charge: Charge | Refund) -> Approved | Declined | None:
            raise UnavailableError("no answer")

    for now in (NOW, NOW + timedelta(days=2)):
        table.accept(payment())
        with pytest.raises(RetryError):
            charging(table, Silent(), now).work(payment(), deliveries=3, last=True)
        assert state(table).status == "unknown"


def test_a_repeat_of_a_payment_that_is_not_in_the_table_is_not_dropped(table: Table) -> None:
    gateway = Scripted()
    with pytest.raises(RetryError):
        charging(table, gateway).work(payment(), deliveries=2, last=False)
    assert gateway.charges == []


def never(record: Any) -> None:
    raise AssertionError(record.message_id)


def test_a_record_that_hangs_does_not_hold_up_its_neighbours(log: io.StringIO) -> None:
    """The function answers in time; who is not done counts as failed."""
    release = threading.Event()

    def hang(record: Any) -> None:
        if record.message_id == "m1":
            release.wait(30)

    began = time.monotonic()
    skipped: list[str] = []
    worker = batch.Worker(hang, lambda record: skipped.append(record.message_id), lambda body: {"transaction_id": body})
    little = Context(remaining=int(batch.ANSWER_SECONDS * 1000) + 200)
    result = batch.work(queue_event(["x", "y", "z"]), little, worker, seconds=0.1)  # type: ignore[arg-type]
    assert time.monotonic() - began < 10
    release.set()
    assert result == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    # On a last delivery that is what marks the payment as unknown.
    assert skipped == ["m1"]
    line = json.loads(log.getvalue())
    assert (line["message"], line["message_id"], line["transaction_id"]) == ("not done in time", "m1", "y")


def test_the_last_delivery_without_time_leaves_the_payment_unknown(dynamodb: Any, table: Table) -> None:
    messages = live(table, "pm_sim_approved")
    result = processor.handler(queue_event(messages, 3), Context(remaining=1000))  # type: ignore[arg-type]
    assert result == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert statuses(dynamodb) == {"order-0": "unknown"}


@pytest.mark.parametrize("deliveries", [2, 3])
def test_what_nobody_foresaw_leaves_the_payment_unknown_at_the_last_delivery(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, deliveries: int
) -> None:
    messages = live(table, "pm_sim_approved")
    work, _ = processor.wired()

    def denied(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")

    monkeypatch.setattr(work._gateway, "charge", denied)  # noqa: SLF001
    monkeypatch.setattr(work._gateway, "lookup", denied)  # noqa: SLF001
    result = processor.handler(queue_event(messages, deliveries), Context())  # type: ignore[arg-type]
    assert result == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert statuses(dynamodb) == {"order-0": "unknown" if deliveries == 3 else "validated"}


def test_a_second_charge_is_an_error_in_the_log(table: Table, log: io.StringIO) -> None:
    table.accept(payment(status="processed", gateway_reference="first"))
    Settling(table, lambda: NOW).settle(payment(), None, Approved("first"))
    assert "contradicts" not in log.getvalue()
    Settling(table, lambda: NOW).settle(payment(), None, Approved("second"))
    assert "contradicts" in log.getvalue()
    assert state(table).gateway_reference == "first"


def test_a_message_from_before_the_gateway_named_its_charge_is_asked_about_by_that_name(table: Table) -> None:
    """A search may not find it yet, or anywhere."""
    table.accept(payment(status="unknown", gateway_reference="pi_1"))
    asked: list[str | None] = []

    class Named(Scripted):
        def lookup(self, charge: Charge | Refund) -> Approved | Declined | None:
            asked.append(charge.reference)
            return super().lookup(charge)

    late = NOW + timedelta(days=2)
    charging(table, Named(known=Approved("pi_1")), late).work(payment(), deliveries=2, last=False)
    assert asked == ["pi_1"]
    assert state(table).status == "processed"


def test_a_gateway_that_contradicts_the_table_is_an_error_in_the_log(table: Table, log: io.StringIO) -> None:
    table.accept(payment(status="failed", failure_code="stolen_card"))
    charging(table, Scripted(Approved("ref"))).work(payment(), deliveries=1, last=False)
    assert state(table).status == "failed"
    line = next(line for line in map(json.loads, log.getvalue().splitlines()) if "contradicts" in line["message"])
    assert (line["level"], line["transaction_id"]) == ("ERROR", "order-1")


def test_a_batch_is_worked_on_at_once() -> None:
    """Ten records that wait for each other can only end when all ten were started."""
    started: list[str] = []

    def wait_for_all(record: Any) -> None:
        started.append(record.message_id)
        deadline = time.monotonic() + 10
        while len(started) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    result = batch.work(queue_event(["x"] * 10), Context(), batch.Worker(wait_for_all, never, dict), seconds=1)  # type: ignore[arg-type]
    assert result == {"batchItemFailures": []}


def test_a_busy_table_is_a_retry(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    (message,) = live(table, "pm_sim_approved")
    work, _ = processor.wired()
    update = work._table._client.update_item  # noqa: SLF001

    def busy_after_the_charge(**request: Any) -> Any:
        if request["TableName"] == TABLE:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
        return update(**request)

    monkeypatch.setattr(work._table._client, "update_item", busy_after_the_charge)  # noqa: SLF001
    failed = {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert processor.handler(queue_event([message]), Context()) == failed  # type: ignore[arg-type]
    # Whoever looks for the payment finds why it is not done.
    line = next(line for line in map(json.loads, log.getvalue().splitlines()) if line["message"] == "not done")
    assert (line["transaction_id"], line["event"]) == ("order-0", "payment.validated")
    monkeypatch.undo()
    processor.wired.cache_clear()  # type: ignore[attr-defined]
    assert statuses(dynamodb) == {"order-0": "validated"}
    charging(table, Simulator(dynamodb, LEDGER, lambda: datetime.now(UTC)), datetime.now(UTC)).work(
        Message.decode(message).payment, deliveries=2, last=False
    )
    assert statuses(dynamodb) == {"order-0": "processed"}
    assert len(ledger(dynamodb)) == 1
