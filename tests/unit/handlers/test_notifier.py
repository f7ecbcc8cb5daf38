from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.domain.message import Message
from payments.handlers import notifier
from payments.runtime.messages import encode
from payments.runtime.topic import TopicPublisher
from payments.usecases import announce as announcing
from payments.usecases.announce import Announcer
from tests.support.aws import Context, payment, queue_event


class FakeTopic:
    """An SNS that records calls, and refuses what a test sets: entries, every call, or calls that contain a text."""

    def __init__(
        self, refuse: set[int] | None = None, error: ClientError | None = None, poison: dict[str, str] | None = None
    ) -> None:
        self.published: list[dict[str, Any]] = []
        self.calls = 0
        self.refuse = refuse or set()
        self.error = error
        self.poison = poison or {}

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert TopicArn == "topic"
        self.calls += 1
        assert sum(len(entry["Message"].encode()) for entry in PublishBatchRequestEntries) < 256 * 1024
        if self.error:
            raise self.error
        for text, code in self.poison.items():
            if any(text in entry["Message"] for entry in PublishBatchRequestEntries):
                raise ClientError({"Error": {"Code": code}}, "PublishBatch")
        taken = [entry for entry in PublishBatchRequestEntries if int(entry["Id"]) not in self.refuse]
        self.published += taken
        return {
            "Successful": [{"Id": entry["Id"]} for entry in taken],
            "Failed": [{"Id": str(number), "Code": "Busy"} for number in self.refuse],
        }


def announce(
    monkeypatch: pytest.MonkeyPatch, topic: FakeTopic, bodies: list[str], context: Context | None = None
) -> list[str]:
    monkeypatch.setattr(notifier, "wired", lambda: Announcer(TopicPublisher(topic, "topic"), "/payments/test"))
    answer = notifier.handler(queue_event(bodies), context or Context())  # type: ignore[arg-type]
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def body(**changes: Any) -> str:
    processed = payment(status="processed", version=2, gateway_reference="ref", **changes)
    return encode(Message("payment.processed", processed))


def test_the_cloud_event(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic()
    assert announce(monkeypatch, topic, [body()]) == []
    (entry,) = topic.published
    assert json.loads(entry["Message"]) == {
        "specversion": "1.0",
        "id": "order-1.2",
        "source": "/payments/test",
        "type": "payment.processed",
        "subject": "order-1",
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "transaction_id": "order-1",
            "customer_id": "ada",
            "amount": "12.50",
            "currency": "EUR",
            "status": "processed",
            "version": 2,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "gateway_reference": "ref",
        },
    }
    assert {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()} == {
        "event_type": "payment.processed",
        "currency": "EUR",
        "status": "processed",
    }


def test_repeats_have_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic()
    announce(monkeypatch, topic, [body(), body()])
    announce(monkeypatch, topic, [body()])
    assert {json.loads(entry["Message"])["id"] for entry in topic.published} == {"order-1.2"}


def test_refused_and_unreadable_messages_are_retried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic(refuse={1})
    assert sorted(announce(monkeypatch, topic, [body(), body(transaction_id="b"), "poison"])) == ["m1", "m2"]
    assert len(topic.published) == 1


def test_large_announcements_go_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic()
    metadata = {f"key-{number}": "x" * 500 for number in range(20)}
    bodies = [body(transaction_id=f"t{number}", metadata=metadata | {"more": "\u20ac" * 9000}) for number in range(10)]
    assert announce(monkeypatch, topic, bodies) == []
    assert len(topic.published) == 10
    assert topic.calls > 1


@pytest.mark.parametrize("code", ["Throttled", "Throttling", "KMSThrottling"])
def test_a_busy_topic_brings_all_back_and_is_left_alone(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    topic = FakeTopic(error=ClientError({"Error": {"Code": code}}, "PublishBatch"))
    assert announce(monkeypatch, topic, [body(), body(transaction_id="b")]) == ["m0", "m1"]
    assert topic.calls == 1


def test_a_message_not_reported_as_published_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic()
    monkeypatch.setattr(topic, "publish_batch", lambda **_: {})
    assert announce(monkeypatch, topic, [body(), body(transaction_id="b")]) == ["m0", "m1"]


# SNS's own list of errors, except those that mean "not now".
REFUSALS = [
    "AuthorizationError",
    "BatchRequestTooLong",
    "EndpointDisabled",
    "InvalidParameter",
    "InvalidParameterValue",
    "KMSAccessDenied",
    "KMSInvalidState",
    "NotFound",
    "ValidationException",
]


@pytest.mark.parametrize("code", REFUSALS)
def test_a_call_that_is_refused_for_one_message_fails_that_message_alone(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO, code: str
) -> None:
    topic = FakeTopic(poison={'"t4"': code})
    assert announce(monkeypatch, topic, [body(transaction_id=f"t{number}") for number in range(10)]) == ["m4"]
    assert sorted(json.loads(entry["Message"])["subject"] for entry in topic.published) == [
        f"t{number}" for number in range(10) if number != 4
    ]
    # One call for the batch, and one for each of its messages.
    assert topic.calls == 11
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (warning,) = [line for line in lines if line["message"] == "not announced"]
    assert (warning["transaction_id"], warning["reason"]) == ("t4", code)
    # No retry fixes it, so the alarm on logged errors is raised at once.
    assert [line["reason"] for line in lines if line["level"] == "ERROR"] == [code]


def test_a_refused_call_holds_up_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten large messages need several calls: the content of the first does not affect the others."""
    topic = FakeTopic(poison={'"t0"': "InvalidParameter"})
    metadata = {f"key-{number}": "x" * 500 for number in range(20)} | {"more": "\u20ac" * 9000}
    bodies = [body(transaction_id=f"t{number}", metadata=metadata) for number in range(10)]
    assert announce(monkeypatch, topic, bodies) == ["m0"]
    assert len(topic.published) == 9


def test_a_topic_that_refuses_everything_costs_a_bounded_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic(error=ClientError({"Error": {"Code": "AuthorizationError"}}, "PublishBatch"))
    bodies = [body(transaction_id=f"t{number}") for number in range(10)]
    assert announce(monkeypatch, topic, bodies) == [f"m{number}" for number in range(10)]
    assert topic.calls == 11


def test_a_message_that_cannot_be_announced_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be decoded, but its event cannot be written: an unforeseen error fails one message, not its batch."""
    topic = FakeTopic()
    written = announcing.cloud_event

    def write(message: Message, source: str) -> dict[str, Any]:
        if message.payment.transaction_id == "t1":
            raise ValueError("nobody foresaw this")
        return written(message, source)

    monkeypatch.setattr(announcing, "cloud_event", write)
    assert announce(monkeypatch, topic, [body(transaction_id=f"t{number}") for number in range(3)]) == ["m1"]
    assert len(topic.published) == 2


def test_the_shortest_time_out_that_a_function_may_have_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds, which include the cold start."""
    assert announce(monkeypatch, FakeTopic(), [body()], Context(remaining=1_500)) == []
    topic = FakeTopic(poison={'"t1"': "InvalidParameter"})
    bodies = [body(transaction_id=f"t{number}") for number in range(3)]
    assert announce(monkeypatch, topic, bodies, Context(remaining=2_900)) == ["m1"]


def test_no_call_is_started_that_could_not_be_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call for a refused batch takes a while: the rest is returned for a retry before the function's time-out."""
    context = Context(remaining=8_000)
    topic = FakeTopic(poison={'"t9"': "InvalidParameter"})
    publish = topic.publish_batch

    def slowly(**request: Any) -> dict[str, Any]:
        context.remaining -= 1_900
        return publish(**request)

    monkeypatch.setattr(topic, "publish_batch", slowly)
    failed = announce(monkeypatch, topic, [body(transaction_id=f"t{number}") for number in range(10)], context)
    assert context.remaining >= 0
    assert len(failed) + len(topic.published) == 10
    assert len(topic.published) == 3
