from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from payments.domain.errors import RetryError
from payments.domain.lifecycle import Status
from payments.domain.message import Message
from payments.domain.payment import Payment, RefundRecord
from payments.gateways.port import Approved, Declined, Outcome, Unknown
from payments.handlers import notifier, processor, relay, validator
from payments.runtime import telemetry
from payments.runtime.handler import function
from payments.runtime.messages import encode
from payments.runtime.queues import QueueSender
from payments.runtime.telemetry import (
    flush,
    logger,
    measure,
    measure_failure,
    measure_money,
    measure_seconds,
    trace_header,
)
from payments.runtime.topic import TopicPublisher
from payments.usecases.announce import Announcer
from payments.usecases.charge import Charging
from payments.usecases.reconcile import Reconciler
from payments.usecases.relay import Relay
from tests.support.aws import REQUEST, Context, api_event, cold, payment, queue_event, stream_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from payments.table.store import Table

NOW = datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

Metric = tuple[str, tuple[tuple[str, str], ...]]
Printed = dict[Metric, list[float]]


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(telemetry.metrics, "namespace", "Payments/test")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Payments/test")
    telemetry._measured.clear()  # noqa: SLF001
    with cold(telemetry._metrics_by, validator.wired, processor.wired):  # noqa: SLF001
        yield


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], Printed]:
    """The metrics that CloudWatch would read from the output: values by metric and dimensions, without the service."""

    def read() -> Printed:
        flush()
        found: Printed = {}
        for line in capsys.readouterr().out.splitlines():
            told = json.loads(line)
            if "_aws" not in told:
                continue
            (directive,) = told["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "Payments/test"
            (names,) = directive["Dimensions"]
            dimensions = tuple((name, told[name]) for name in sorted(names) if name != "service")
            for metric in directive["Metrics"]:
                assert metric["Unit"] == ("Seconds" if "Seconds" in metric["Name"] else "Count")
                found.setdefault((metric["Name"], dimensions), []).extend(told[metric["Name"]])
        return found

    return read


def plain(**values: list[float]) -> Printed:
    return {(name, ()): found for name, found in values.items()}


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


class FixedGateway:
    """A gateway that always gives the same answer."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def charge(self, _: object) -> Outcome:
        return self.outcome

    def refund(self, _: object) -> Outcome:
        return self.outcome

    def lookup(self, _: object) -> Approved | Declined | None:
        return self.outcome if isinstance(self.outcome, Approved | Declined) else None


def work(table: Table, accepted: Payment, outcome: Outcome, refund_id: str | None = None) -> None:
    table.accept(accepted)
    Charging(table, FixedGateway(outcome), lambda: NOW).work(accepted, refund_id, last=True)


def refunding() -> Payment:
    moment = "2026-01-01T00:00:01.000000Z"
    refund = RefundRecord(250, Status.VALIDATED, moment, moment, "f")
    return payment(status="processed", gateway_reference="charge", refunds={"r1": refund})


# --- Logs -------------------------------------------------------------------------------------------------------------


def test_a_card_number_never_reaches_a_log(log: io.StringIO) -> None:
    try:
        raise ValueError("4242-4242-4242-4242")
    except ValueError:
        logger.exception("failed on 4242424242424242", extra={"field": ["4242 4242 4242 4242"]})
    assert "[card number]" in log.getvalue()
    assert "4242" not in log.getvalue()


@pytest.mark.parametrize("number", [-4242424242424242, 4242424242424242.0, "\uff14\uff12" * 8])
def test_a_number_of_any_form_is_masked_or_written(log: io.StringIO, number: Any) -> None:
    logger.info("numbers", extra={"number": number})
    assert "[card number]" in json.loads(log.getvalue())["number"]


def test_a_masked_line_is_still_json(log: io.StringIO) -> None:
    logger.info("numbers", extra={"number": 4242424242424242, "list": [4242424242424242], "4242424242424242": 7})
    line = json.loads(log.getvalue())
    assert (line["number"], line["list"], line["[card number]"]) == ("[card number]", ["[card number]"], 7)


def test_every_line_names_its_call_and_the_first_calls_are_the_cold_start(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.runtime.handler._calls", iter(range(2)))

    @function
    def handler(_event: dict[str, Any], _context: Any) -> None:
        logger.info("a step")

    handler({}, Context(aws_request_id="first"))  # type: ignore[arg-type]
    handler({}, Context(aws_request_id="second"))  # type: ignore[arg-type]
    assert [(line["function_request_id"], line["cold_start"]) for line in lines(log)] == [
        ("first", True),
        ("second", False),
    ]


@pytest.mark.usefixtures("table")
def test_a_problem_names_the_request_that_its_log_lines_name(log: io.StringIO) -> None:
    refused = validator.handler(api_event({"transaction_id": ""}), Context())  # type: ignore[arg-type]
    (line,) = lines(log)
    assert json.loads(refused["body"])["instance"] == f"urn:uuid:{line['api_request_id']}"
    # A batch from a queue belongs to no request.
    processor.handler({"Records": []}, Context())  # type: ignore[arg-type]
    logger.info("a step")
    assert "api_request_id" not in lines(log)[-1]


class Services:
    """An SQS and an SNS that accept everything."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.entries += Entries
        return {"Successful": Entries}

    def publish_batch(self, **request: Any) -> dict[str, Any]:
        return {"Successful": request["PublishBatchRequestEntries"]}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    services = Services()
    monkeypatch.setattr(relay, "wired", lambda: Relay(QueueSender(services, "p", "n", "dead")))
    monkeypatch.setattr(notifier, "wired", lambda: Announcer(TopicPublisher(services, "topic"), "/payments/test"))
    return services


def test_each_step_of_a_payment_is_a_line_with_its_id(
    log: io.StringIO, table: Table, services: Services, printed: Callable[[], Printed]
) -> None:
    """The saved query shows these lines: each step, in any function, has the payment's id."""
    context: Any = Context()
    assert validator.handler(api_event(REQUEST), context)["statusCode"] == 202
    accepted = table.get("order-1")
    assert accepted
    relay.handler({"Records": [stream_record(accepted)]}, context)
    processor.handler(queue_event([services.entries[-1]["MessageBody"]]), context)
    processed = table.get("order-1")
    relay.handler({"Records": [stream_record(processed, accepted)]}, context)
    notifier.handler(queue_event([services.entries[-1]["MessageBody"]]), context)

    told = lines(log)
    assert [(line["message"], line.get("event")) for line in told] == [
        ("accepted", None),
        ("relayed", "payment.validated"),
        ("recorded", "approve"),
        ("relayed", "payment.processed"),
        ("announced", "payment.processed"),
    ]
    for line in told:
        assert line["transaction_id"] == "order-1"
        assert line["function_request_id"]
        assert isinstance(line["cold_start"], bool)
        assert "pm_sim" not in json.dumps(line)
    found = printed()
    seconds = found.pop(("SecondsToFinal", ()))
    assert len(seconds) == 1
    assert 0 <= seconds[0] < 60
    assert found == plain(Accepted=[1], Relayed=[1, 1], Processed=[1], Announced=[1]) | {
        ("MoneyProcessed", (("currency", "EUR"),)): [1250]
    }


def test_a_refunds_lines_name_it(log: io.StringIO, table: Table, services: Services) -> None:
    accepted = refunding()
    work(table, accepted, Approved("ref"), "r1")
    context: Any = Context()
    relay.handler({"Records": [stream_record(accepted, payment(status="processed"))]}, context)
    notifier.handler(queue_event([encode(Message("payment.refunded", accepted, "r1"))]), context)
    assert [(line["message"], line["transaction_id"], line["refund_id"]) for line in lines(log)] == [
        ("recorded", "order-1", "r1"),
        ("relayed", "order-1", "r1"),
        ("announced", "order-1", "r1"),
    ]


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_a_processed_payment(table: Table, printed: Callable[[], Printed]) -> None:
    work(table, payment(), Approved("ref"))
    assert printed() == plain(Processed=[1], SecondsToFinal=[2]) | {
        ("MoneyProcessed", (("currency", "EUR"),)): [1250],
    }


@pytest.mark.parametrize(
    ("code", "reason"),
    [("stolen_card", "stolen_card"), ("4242424242424242", "other"), ("a-word-of-the-gateways", "other")],
)
def test_a_failure_is_counted_by_a_reason_that_is_known(
    table: Table, printed: Callable[[], Printed], code: str, reason: str
) -> None:
    work(table, payment(), Declined(code))
    assert printed() == plain(Failed=[1], SecondsToFinal=[2]) | {("Failed", (("reason", reason),)): [1]}


def test_a_payment_nobody_knows_of_is_not_final(table: Table, printed: Callable[[], Printed]) -> None:
    with pytest.raises(RetryError):
        work(table, payment(), Unknown("time-out"))
    assert printed() == plain(Unknown=[1])


def test_refunds_are_counted_apart(table: Table, printed: Callable[[], Printed]) -> None:
    work(table, refunding(), Approved("ref"), "r1")
    assert printed() == plain(Refunded=[1], RefundSecondsToFinal=[1]) | {
        ("MoneyRefunded", (("currency", "EUR"),)): [250],
    }


def test_a_declined_refund(table: Table, printed: Callable[[], Printed]) -> None:
    work(table, refunding(), Declined("charge_not_found"), "r1")
    assert printed() == plain(RefundFailed=[1], RefundSecondsToFinal=[1]) | {
        ("RefundFailed", (("reason", "other"),)): [1],
    }


def test_a_recorded_transition_is_not_measured_again(table: Table, printed: Callable[[], Printed]) -> None:
    work(table, payment(), Approved("ref"))
    printed()
    Charging(table, FixedGateway(Approved("ref")), lambda: NOW).settle(payment(), None, Approved("ref"))
    assert printed() == {}


def test_differing_clocks_give_no_negative_time(table: Table, printed: Callable[[], Printed]) -> None:
    accepted = table.accept(payment())
    charging = Charging(table, FixedGateway(Approved("ref")), lambda: NOW - timedelta(minutes=5))
    charging.settle(accepted, None, Approved("ref"))
    assert printed()["SecondsToFinal", ()] == [0]


def test_a_run_of_the_reconciler_reports_the_oldest_age_even_if_there_is_none(
    table: Table, printed: Callable[[], Printed]
) -> None:
    charging = Charging(table, FixedGateway(Approved("ref")), lambda: NOW)
    reconciler = Reconciler(table, charging, lambda: NOW)
    reconciler.run([], in_time=lambda: True)
    assert printed() == plain(OldestOpenSeconds=[0])
    table.accept(payment())
    reconciler.run(["order-1"], in_time=lambda: True)
    assert printed()["OldestOpenSeconds", ()] == [2]
    reconciler.run(["order-1"], in_time=lambda: True)
    assert printed()["OldestOpenSeconds", ()] == [0], "a final payment is not open"


def test_a_distribution_keeps_each_value_and_a_count_is_one(printed: Callable[[], Printed]) -> None:
    for number in range(250):
        measure("Accepted")
        measure_seconds("SecondsToFinal", number)
    found = printed()
    assert found["Accepted", ()] == [250]
    # A line of EMF holds a hundred values.
    assert found["SecondsToFinal", ()] == list(range(250))
    assert printed() == {}


def test_dimensions_do_not_leak(printed: Callable[[], Printed]) -> None:
    measure_failure("Failed", None)
    measure_money("MoneyProcessed", 5, "JPY")
    measure_money("MoneyProcessed", 7, "EUR")
    measure_money("MoneyProcessed", 7, "EUR")
    assert printed() == plain(Failed=[1]) | {
        ("Failed", (("reason", "other"),)): [1],
        ("MoneyProcessed", (("currency", "JPY"),)): [5],
        ("MoneyProcessed", (("currency", "EUR"),)): [14],
    }
    measure("Accepted")
    assert printed() == plain(Accepted=[1])


def test_threads_lose_no_count(printed: Callable[[], Printed]) -> None:
    def count() -> None:
        for _ in range(2000):
            measure("Processed")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert printed() == plain(Processed=[16000])


# --- Traces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"{TRACE};Lineage=1:a87bd80c:0", TRACE),
        ("Root=4242424242424242", ""),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=4242 4242 4242 4242", ""),
        (f"{TRACE}, a client's own words", ""),
        (f"{TRACE};Root=anything a client likes", ""),
        ("", ""),
        ("Root=1-5759e988-bd862e3fe1be46a994272793", "Root=1-5759e988-bd862e3fe1be46a994272793"),
    ],
)
def test_the_trace_header(monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", given)
    assert trace_header() == kept


def headers(services: Services) -> list[str | None]:
    return [
        entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue")
        for entry in services.entries
    ]


def test_a_requests_trace_goes_with_its_payment_through_stream_and_queue(
    monkeypatch: pytest.MonkeyPatch, table: Table, services: Services
) -> None:
    context: Any = Context()
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"{TRACE};Lineage=1:a87bd80c:0")
    validator.handler(api_event(REQUEST), context)
    accepted = table.get("order-1")
    assert accepted
    assert accepted.trace == TRACE
    # A batch from the stream is a separate call with its own trace; each message has its payment's trace.
    other = TRACE.replace("5759e988", "5759e989")
    own = TRACE.replace("5759e988", "5759e98a")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", own)
    others = [payment(transaction_id="b", trace=other), payment(transaction_id="c")]
    relay.handler({"Records": [stream_record(each) for each in (accepted, *others)]}, context)
    assert headers(services) == [TRACE, other, own]


def test_a_refund_has_its_own_requests_trace(services: Services) -> None:
    before = payment(status="processed", trace=TRACE)
    refund = RefundRecord(1, Status.VALIDATED, before.created_at, before.created_at, "f", trace=TRACE[:-1] + "0")
    record = stream_record(payment(status="processed", trace=TRACE, refunds={"r1": refund}), before)
    relay.handler({"Records": [record]}, Context())  # type: ignore[arg-type]
    assert headers(services) == [TRACE[:-1] + "0"]


@pytest.mark.parametrize("broken", ["Root=1", "anything", TRACE + ";Self=1-2-3"])
def test_an_invalid_trace_header_is_not_sent(services: Services, broken: str) -> None:
    relay.handler({"Records": [stream_record(payment(trace=broken))]}, Context())  # type: ignore[arg-type]
    assert headers(services) == [None]
