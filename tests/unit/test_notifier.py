from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.announcing import Announcer
from payments.handlers import notifier
from payments.model import Message
from tests.support.aws import Context, payment, queue_event


class FakeTopic:
    """An SNS that remembers, and refuses what it is told to."""

    def __init__(self, refuse: set[int] | None = None, error: ClientError | None = None) -> None:
        self.published: list[dict[str, Any]] = []
        self.calls = 0
        self.refuse = refuse or set()
        self.error = error

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert TopicArn == "topic"
        self.calls += 1
        assert sum(len(entry["Message"].encode()) for entry in PublishBatchRequestEntries) < 256 * 1024
        if self.error:
            raise self.error
        taken = [entry for entry in PublishBatchRequestEntries if int(entry["Id"]) not in self.refuse]
        self.published += taken
        return {
            "Successful": [{"Id": entry["Id"]} for entry in taken],
            "Failed": [{"Id": str(number), "Code": "Busy"} for number in self.refuse],
        }


def announce(monkeypatch: pytest.MonkeyPatch, topic: FakeTopic, bodies: list[str]) -> list[str]:
    monkeypatch.setattr(notifier, "wired", lambda: Announcer(topic, "topic", "/payments/test"))
    answer = notifier.handler(queue_event(bodies), Context())  # type: ignore[arg-type]
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def body(**changes: Any) -> str:
    processed = payment(status="processed", version=2, gateway_reference="ref", **changes)
    return Message.of("payment.processed", processed).encode()


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


def test_what_is_not_taken_and_what_is_poison_comes_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_busy_topic_brings_all_back(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic(error=ClientError({"Error": {"Code": "Throttling"}}, "PublishBatch"))
    assert announce(monkeypatch, topic, [body(), body(transaction_id="b")]) == ["m0", "m1"]


def test_what_is_not_said_to_be_published_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = FakeTopic()
    monkeypatch.setattr(topic, "publish_batch", lambda **_: {})
    assert announce(monkeypatch, topic, [body(), body(transaction_id="b")]) == ["m0", "m1"]
