"""A payment is charged once, even if messages are repeated, late or out of order, or the gateway never answers."""

from __future__ import annotations

import io
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import MagicMock

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.domain.clock import timestamp
from payments.domain.errors import NotStoredError, PoisonError, RetryError, UnavailableError
from payments.domain.lifecycle import Status
from payments.domain.message import Message, Task
from payments.domain.money import Money
from payments.domain.payment import Payment, RefundRecord
from payments.gateways import registry
from payments.gateways.port import Approved, Charge, Declined, NotSent, Outcome, RateLimited, Refund, Unknown
from payments.gateways.simulator import Simulator
from payments.handlers import processor
from payments.runtime import client, queue_batch
from payments.runtime.messages import decode_task, encode
from payments.runtime.queues import _body
from payments.table import store
from payments.table.items import to_item
from payments.usecases.charge import Charging
from payments.usecases.settle import Settling
from tests.support.aws import LEDGER, TABLE, Context, cold, payment, queue_event, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.table.store import Table

NOW = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with cold(processor.wired):
        yield


class Scripted:
    """A gateway that gives the answers that a test sets, and counts calls."""

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


def body(accepted: Payment) -> str:
    return encode(Task(event="payment.validated", transaction_id=accepted.transaction_id))


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
    charging(table, gateway).work(payment(), last=False)
    assert (state(table).status, getattr(state(table), field)) == (status, value)
    assert state(table).version == 2
    assert gateway.charges == [Charge("payment-order-1", Money(1250, "EUR"), "pm_sim_approved", "order-1")]


@pytest.mark.parametrize("outcome", [Unknown("time-out"), NotSent("refused"), RateLimited()])
@pytest.mark.parametrize("last", [False, True])
def test_no_answer_is_never_a_failure(table: Table, outcome: Outcome, *, last: bool) -> None:
    table.accept(payment())
    with pytest.raises(RetryError):
        charging(table, Scripted(outcome)).work(payment(), last=last)
    assert state(table).status == ("unknown" if last else "validated")


def test_a_redrive_settles_an_unknown_payment(table: Table) -> None:
    table.accept(payment(status="unknown"))
    charging(table, Scripted(Approved("ref"))).work(payment(), last=False)
    assert state(table).status == "processed"


@pytest.mark.parametrize("status", ["processed", "failed"])
def test_a_final_payment_is_never_charged_again(table: Table, status: str) -> None:
    table.accept(payment(status=status))
    gateway = Scripted()
    charging(table, gateway).work(state(table), last=False)
    charging(table, gateway, NOW + timedelta(hours=1)).work(state(table), last=False)
    assert gateway.charges == []


def test_a_payment_with_a_reference_is_looked_up_first(table: Table) -> None:
    """Its key would only repeat the first answer, which may not be the final one."""
    pending = payment(status="unknown", gateway_reference="ref")
    table.accept(pending)
    gateway = Scripted(known=Declined("expired_card"))
    charging(table, gateway).work(state(table), last=False)
    assert (gateway.charges, gateway.lookups) == ([], 1)
    assert state(table).failure_code == "expired_card"


def test_after_23_hours_the_gateway_is_asked_before_it_is_charged(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(known=Approved("earlier"))
    charging(table, gateway, NOW + timedelta(hours=23)).work(payment(), last=False)
    assert (gateway.charges, gateway.lookups) == ([], 1)
    assert state(table).gateway_reference == "earlier"


def test_after_23_hours_what_the_gateway_does_not_know_is_charged(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(Approved("ref"))
    charging(table, gateway, NOW + timedelta(days=2)).work(payment(), last=False)
    assert (len(gateway.charges), gateway.lookups) == (1, 1)


def test_before_23_hours_the_key_is_enough(table: Table) -> None:
    table.accept(payment())
    gateway = Scripted(Approved("ref"))
    charging(table, gateway, NOW + timedelta(hours=22)).work(payment(), last=False)
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


def letters_after(dynamodb: Any, table: Table, message: str, remaining: int = 30_000) -> int:
    """Deliver a message as often as it may come; return how many dead letters come of it."""
    for delivery in (1, 2, 3):
        result = processor.handler(queue_event([message], delivery), Context(remaining))  # type: ignore[arg-type]
        if not result["batchItemFailures"]:
            return 0
    return 1


@pytest.mark.parametrize(
    "error",
    [UnavailableError("no answer"), ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")],
)
@pytest.mark.parametrize("refund_id", [None, "r1"])
def test_a_payment_has_one_dead_letter_however_often_the_reconciler_sends_it_again(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, error: Exception, refund_id: str | None
) -> None:
    moment = timestamp(datetime.now(UTC))
    if refund_id:
        record = RefundRecord(500, Status.VALIDATED, moment, moment, "f")
        paid = {"status": "processed", "gateway_reference": "ref", "refunds": {refund_id: record}}
        event = "refund.validated"
    else:
        paid, event = {}, "payment.validated"
    dynamodb.put_item(TableName=TABLE, Item=to_item(payment(created_at=moment, updated_at=moment, **paid)))
    work, _ = processor.wired()
    for call in ("charge", "refund", "lookup"):
        monkeypatch.setattr(work._gateway, call, MagicMock(side_effect=error))  # noqa: SLF001

    def sent() -> str:
        """The message that the relay makes of the payment as it is."""
        return _body(Message(event, state(table), refund_id))

    first = sent()
    letters = [letters_after(dynamodb, table, first)]
    for _ in range(3):
        assert table.redrive(state(table), datetime.now(UTC))
        letters.append(letters_after(dynamodb, table, sent()))
    assert letters == [1, 0, 0, 0]
    assert state(table).status_of(refund_id) == "unknown"
    # An operator sends the dead letter back, and the cause is still there: it is a dead letter again, not gone.
    assert letters_after(dynamodb, table, first) == 1


@pytest.mark.parametrize("hangs", [False, True])
def test_a_payment_that_finds_no_time_has_one_dead_letter(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """Whether its turn never comes, or the gateway's answer does not come before the function must answer."""
    (first,) = live(table, "pm_sim_approved")
    remaining, release = 1000, threading.Event()
    if hangs:
        monkeypatch.setattr(processor, "CHARGE_SECONDS", 0.1)
        remaining = int(queue_batch.ANSWER_SECONDS * 1000) + 200
        work, _ = processor.wired()
        for call in ("charge", "lookup"):
            monkeypatch.setattr(work._gateway, call, lambda _: release.wait(30))  # noqa: SLF001
    try:
        letters = [letters_after(dynamodb, table, first, remaining)]
        for _ in range(2):
            found = table.get("order-0")
            assert found
            assert table.redrive(found, datetime.now(UTC))
            found = table.get("order-0")
            assert found
            letters.append(letters_after(dynamodb, table, _body(Message("payment.validated", found)), remaining))
    finally:
        release.set()
    assert letters == [1, 0, 0]
    assert statuses(dynamodb) == {"order-0": "unknown"}
    # An operator sends the dead letter back.
    assert letters_after(dynamodb, table, first, 10) == 1


def test_a_payment_whose_first_message_was_lost_has_its_dead_letter(dynamodb: Any, table: Table) -> None:
    live(table, "pm_sim_unavailable")
    (item,) = [found for found in [table.get("order-0")] if found]
    assert table.redrive(item, datetime.now(UTC))
    found = table.get("order-0")
    assert found
    assert letters_after(dynamodb, table, _body(Message("payment.validated", found))) == 1


def test_a_task_of_the_version_before_is_read_and_the_version_before_reads_ours() -> None:
    old = '{"schema":2,"event":"payment.validated","transaction_id":"order-1"}'
    assert decode_task(old) == Task(event="payment.validated", transaction_id="order-1")
    assert encode(decode_task(old)) == old
    new = encode(Task(event="payment.validated", transaction_id="order-1", redriven=True))
    assert json.loads(new) == json.loads(old) | {"redriven": True}
    assert decode_task(new).redriven
    # A member that a version does not know does not keep it from reading the others.
    assert decode_task(new.replace("redriven", "unheard_of")) == decode_task(old)


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
            charging(table, Silent(), now).work(payment(), last=True)
        assert state(table).status == "unknown"


def test_a_payment_that_the_table_lacks_is_neither_charged_nor_refunded(table: Table) -> None:
    gateway = Scripted()
    for stored, refund_id in ((table.get("order-1"), None), (payment(status="processed"), "r1")):
        with pytest.raises(NotStoredError):
            charging(table, gateway).work(stored, refund_id, last=True)
    assert (gateway.charges, gateway.refunds) == ([], [])


def never(record: Any) -> None:
    raise AssertionError(record.message_id)


def test_a_record_that_hangs_does_not_hold_up_its_neighbours(log: io.StringIO) -> None:
    """The function answers in time; records that are not done count as failed."""
    release = threading.Event()

    def hang(record: Any) -> None:
        if record.message_id == "m1":
            release.wait(30)

    began = time.monotonic()
    skipped: list[str] = []

    def skip(record: Any) -> bool:
        skipped.append(record.message_id)
        return False

    worker = queue_batch.Worker(hang, skip, lambda body: {"transaction_id": body})
    little = Context(remaining=int(queue_batch.ANSWER_SECONDS * 1000) + 200)
    result = queue_batch.work(queue_event(["x", "y", "z"]), little, worker, seconds=0.1)  # type: ignore[arg-type]
    assert time.monotonic() - began < 10
    release.set()
    assert result == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    # On the last delivery, this marks the payment as unknown.
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


def test_a_charge_that_the_gateway_has_named_is_asked_about_by_that_name(table: Table) -> None:
    """A search may not find it yet, or may not exist."""
    table.accept(payment(status="unknown", gateway_reference="pi_1"))
    asked: list[str | None] = []

    class Named(Scripted):
        def lookup(self, charge: Charge | Refund) -> Approved | Declined | None:
            asked.append(charge.reference)
            return super().lookup(charge)

    late = NOW + timedelta(days=2)
    charging(table, Named(known=Approved("pi_1")), late).work(state(table), last=False)
    assert asked == ["pi_1"]
    assert state(table).status == "processed"


def test_a_gateway_that_contradicts_the_table_is_an_error_in_the_log(table: Table, log: io.StringIO) -> None:
    table.accept(payment(status="failed", failure_code="stolen_card"))
    charging(table, Scripted(Approved("ref"))).work(payment(), last=False)
    assert state(table).status == "failed"
    line = next(line for line in map(json.loads, log.getvalue().splitlines()) if "contradicts" in line["message"])
    assert (line["level"], line["transaction_id"]) == ("ERROR", "order-1")


def test_the_records_of_a_batch_are_processed_at_once() -> None:
    """Ten records that wait for each other can end only if all ten are started."""
    started: list[str] = []

    def wait_for_all(record: Any) -> None:
        started.append(record.message_id)
        deadline = time.monotonic() + 10
        while len(started) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    worker = queue_batch.Worker(wait_for_all, never, dict)  # type: ignore[arg-type]
    result = queue_batch.work(queue_event(["x"] * 10), Context(), worker, seconds=1)  # type: ignore[arg-type]
    assert result == {"batchItemFailures": []}


def test_a_busy_table_is_a_retry(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    (message,) = live(table, "pm_sim_approved")
    work, _ = processor.wired()
    dynamodb_of_the_function = cast("Table", work._payments)._client  # noqa: SLF001
    update = dynamodb_of_the_function.update_item

    def busy_after_the_charge(**request: Any) -> Any:
        if request["TableName"] == TABLE:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
        return update(**request)

    monkeypatch.setattr(dynamodb_of_the_function, "update_item", busy_after_the_charge)
    failed = {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert processor.handler(queue_event([message]), Context()) == failed  # type: ignore[arg-type]
    # The log shows why the payment is not done.
    line = next(line for line in map(json.loads, log.getvalue().splitlines()) if line["message"] == "not done")
    assert (line["transaction_id"], line["event"]) == ("order-0", "payment.validated")
    monkeypatch.undo()
    processor.wired.cache_clear()  # type: ignore[attr-defined]
    assert statuses(dynamodb) == {"order-0": "validated"}
    charging(table, Simulator(dynamodb, LEDGER, lambda: datetime.now(UTC)), datetime.now(UTC)).work(
        table.get(decode_task(message).transaction_id), last=False
    )
    assert statuses(dynamodb) == {"order-0": "processed"}
    assert len(ledger(dynamodb)) == 1


# --- The table decides, not the message -------------------------------------------------------------------------------


def run(*bodies: str, deliveries: int = 1) -> set[str]:
    """Pass a batch to the processor, and return the messages that it reports as failed."""
    result = processor.handler(queue_event(list(bodies), deliveries), Context())  # type: ignore[arg-type]
    return {one["itemIdentifier"] for one in result["batchItemFailures"]}


def forged(**changes: Any) -> str:
    """A message in the old form that carried the payment, with a payment that differs from the table's."""
    accepted = payment(transaction_id="order-0", created_at=timestamp(datetime.now(UTC)), **changes)
    return encode(Message("payment.validated", accepted))


@pytest.mark.parametrize("changes", [{"amount_minor": 1}, {"amount_minor": 10**9}, {"currency": "JPY"}])
def test_a_message_with_another_amount_charges_the_tables(dynamodb: Any, table: Table, changes: dict[str, Any]) -> None:
    live(table, "pm_sim_approved")
    assert run(forged(**changes)) == set()
    entry = ledger(dynamodb)["payment-order-0"]
    assert (entry["amount_minor"], entry["currency"]) == ({"N": "1250"}, {"S": "EUR"})


def test_a_message_with_another_payment_method_charges_the_tables(dynamodb: Any, table: Table) -> None:
    live(table, "pm_sim_declined_stolen_card")
    assert run(forged(payment_method="pm_sim_approved")) == set()
    assert statuses(dynamodb) == {"order-0": "failed"}


@pytest.mark.parametrize("deliveries", [1, 2, 3])
def test_a_message_without_a_payment_charges_nothing_writes_nothing_and_is_an_error(
    dynamodb: Any, table: Table, log: io.StringIO, deliveries: int
) -> None:
    (neighbour,) = live(table, "pm_sim_approved")
    stray = encode(Message("payment.validated", payment(transaction_id="stray", amount_minor=10**9)))
    assert run(stray, neighbour, deliveries=deliveries) == {"m0"}
    assert ledger(dynamodb).keys() == {"payment-order-0"}
    assert statuses(dynamodb) == {"order-0": "processed"}
    lines = [line for line in map(json.loads, log.getvalue().splitlines()) if line.get("transaction_id") == "stray"]
    assert "ERROR" in {line["level"] for line in lines}
    assert "given up" not in {line["message"] for line in lines}


def test_a_message_of_a_refund_that_the_payment_does_not_have_refunds_nothing(dynamodb: Any, table: Table) -> None:
    (message,) = live(table, "pm_sim_approved")
    run(message)
    stored = table.get("order-0")
    assert stored
    asked = RefundRecord(1250, Status.VALIDATED, stored.created_at, stored.created_at, "f")
    with_refund = msgspec.structs.replace(stored, refunds={"r1": asked})
    assert run(encode(Message("refund.validated", with_refund, "r1"))) == {"m0"}
    assert ledger(dynamodb).keys() == {"payment-order-0"}
    assert table.get("order-0") == stored


def test_a_final_payment_is_not_sent_to_the_gateway_again_even_at_a_first_delivery(dynamodb: Any, table: Table) -> None:
    """Two messages for one payment, as after a redrive: the second is a first delivery too."""
    (message,) = live(table, "pm_sim_approved")
    assert run(message) == set()
    assert run(message) == set()
    assert ledger(dynamodb)["payment-order-0"]["attempts"] == {"N": "1"}


class Reads:
    """A DynamoDB client whose batch reads are recorded, and answered in part or not at all."""

    def __init__(self, client: Any, unprocessed: str = "", *, busy: bool = False) -> None:
        self._client = client
        self.unprocessed = unprocessed
        self.busy = busy
        self.calls: list[str] = []
        self.keys: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._client, name)

    def batch_get_item(self, **request: Any) -> Any:
        (asked,) = request["RequestItems"].values()
        assert asked["ConsistentRead"] is True
        self.keys.append([key["transaction_id"]["S"] for key in asked["Keys"]])
        if self.busy:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchGetItem")
        left = [key for key in asked["Keys"] if key["transaction_id"]["S"] == self.unprocessed]
        served = [key for key in asked["Keys"] if key not in left]
        found = [self._client.get_item(TableName=TABLE, Key=key, ConsistentRead=True) for key in served]
        answer: dict[str, Any] = {"Responses": {TABLE: [one["Item"] for one in found if "Item" in one]}}
        return answer | ({"UnprocessedKeys": {TABLE: {"Keys": left}}} if left else {})


@pytest.fixture
def reads(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Reads:
    made = Reads(dynamodb)
    monkeypatch.setattr(store, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(client, "connect", lambda _: made)
    monkeypatch.setattr(registry, "chosen", lambda _: Scripted(*[Approved("ref")] * 10))
    return made


def test_a_payment_costs_its_write_and_its_share_of_one_read(reads: Reads, table: Table) -> None:
    messages = live(table, *["pm_sim_approved"] * 10)
    assert run(*messages) == set()
    assert (len(reads.keys), reads.calls) == (1, ["update_item"] * 10)


def test_a_read_names_no_payment_twice(reads: Reads, table: Table) -> None:
    messages = live(table, "pm_sim_approved", "pm_sim_approved")
    assert run(*messages, messages[0], "{") == {"m3"}
    assert reads.keys == [["order-0", "order-1"]]


def test_a_payment_that_could_not_be_read_fails_alone(dynamodb: Any, reads: Reads, table: Table) -> None:
    messages = live(table, "pm_sim_approved", "pm_sim_approved")
    reads.unprocessed = "order-1"
    assert run(*messages) == {"m1"}
    assert statuses(dynamodb) == {"order-0": "processed", "order-1": "validated"}
    assert 1 < len(reads.keys) <= 20
    assert reads.keys[1:] == [["order-1"]] * (len(reads.keys) - 1)
    reads.unprocessed = ""
    assert run(*messages) == set()
    assert statuses(dynamodb) == {"order-0": "processed", "order-1": "processed"}


@pytest.mark.parametrize("deliveries", [2, 3])
def test_an_unread_batch_is_retried_and_unknown_at_the_last_delivery(
    dynamodb: Any, reads: Reads, table: Table, deliveries: int
) -> None:
    messages = live(table, "pm_sim_approved")
    reads.busy = True
    assert run(*messages, deliveries=deliveries) == {"m0"}
    assert statuses(dynamodb) == {"order-0": "unknown" if deliveries == 3 else "validated"}


def test_an_item_that_is_no_payment_fails_alone(dynamodb: Any, table: Table) -> None:
    messages = live(table, "pm_sim_approved", "pm_sim_approved")
    key = {"transaction_id": {"S": "order-1"}}
    dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE amount_minor")
    assert run(*messages) == {"m1"}
    assert ledger(dynamodb).keys() == {"payment-order-0"}


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "order-0\n", "\u00e9", "a.b"])
def test_a_name_that_no_payment_can_have_does_not_spoil_the_read_of_its_neighbours(
    dynamodb: Any, table: Table, name: str
) -> None:
    (message,) = live(table, "pm_sim_approved")
    bodies = [json.dumps({"schema": 2, "event": "payment.validated", "transaction_id": name})]
    bodies.append(encode(Message("payment.validated", payment(transaction_id=name))))
    assert run(*bodies, message) == {"m0", "m1"}
    assert statuses(dynamodb) == {"order-0": "processed"}


def test_a_task_holds_names_only_and_the_earlier_form_is_read_as_the_same() -> None:
    task = Task(event="refund.validated", transaction_id="order-1", refund_id="r1")
    assert json.loads(encode(task)) == {
        "schema": 2, "event": "refund.validated", "transaction_id": "order-1", "refund_id": "r1",
    }  # fmt: skip
    moment = "2026-01-01T00:00:00.000000Z"
    with_refund = payment(refunds={"r1": RefundRecord(1, Status.VALIDATED, moment, moment, "f")})
    for body_of_either in (encode(task), encode(Message("refund.validated", with_refund, "r1"))):
        assert decode_task(body_of_either) == task
    with pytest.raises(PoisonError):
        # An announcement that was sent to the wrong queue.
        decode_task(encode(Message("payment.processed", payment())))


@pytest.mark.parametrize(
    ("hours", "changes", "restored", "asked_first"),
    [
        (22, {}, False, False),
        (23, {}, False, True),
        (0, {"gateway_reference": "pi_1"}, False, True),
        (0, {}, True, True),
        (0, {"restored_at": "2026-01-01T00:00:00.000000Z"}, False, True),
    ],
)
def test_the_gateway_is_called_without_a_question_only_where_its_key_surely_holds(
    table: Table, hours: int, changes: dict[str, Any], *, restored: bool, asked_first: bool
) -> None:
    accepted = table.accept(payment(**changes))
    gateway = Scripted(Approved("ref"))
    at = NOW + timedelta(hours=hours)
    Charging(table, gateway, lambda: at, restored=restored).work(accepted, last=False)
    assert (gateway.lookups > 0) is asked_first
    assert len(gateway.charges) == 1


@pytest.mark.parametrize("setting", ["false", "true"])
def test_the_processor_knows_of_a_restore(
    dynamodb: Any, table: Table, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("RESTORED", setting)
    gateway = Scripted(Approved("ref"))
    monkeypatch.setattr(registry, "chosen", lambda _: gateway)
    assert run(*live(table, "pm_sim_approved")) == set()
    assert gateway.lookups == (setting == "true")
    assert statuses(dynamodb) == {"order-0": "processed"}
