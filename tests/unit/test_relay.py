from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.handlers import relay
from payments.model import Message
from payments.relaying import MAX_BYTES, Relay, RelayError, batches
from tests.support.aws import Context, payment, stream_record


class FakeQueues:
    """An SQS that remembers, and refuses what it is told to."""

    def __init__(self, refuse: int | None = None) -> None:
        self.sent: dict[str, list[str]] = {}
        self.calls = 0
        self.refuse = refuse

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        self.calls += 1
        assert 1 <= len(Entries) <= 10
        failed = [{"Id": entry["Id"], "Code": "InternalError"} for entry in Entries if entry["Id"] == str(self.refuse)]
        self.sent.setdefault(QueueUrl, []).extend(e["MessageBody"] for e in Entries if e["Id"] != str(self.refuse))
        taken = [{"Id": entry["Id"]} for entry in Entries if entry["Id"] != str(self.refuse)]
        return {"Successful": taken, "Failed": failed}


def test_each_news_goes_to_its_queue() -> None:
    queue = FakeQueues()
    old = payment()
    Relay(queue, "to-processor", "to-notifier", "dead").send(
        [
            stream_record(payment()),
            stream_record(payment(transaction_id="b", status="processed", version=2), old),
            stream_record(payment(transaction_id="c", status="unknown", version=2), old),
            stream_record(payment(version=2), old),
            stream_record(None, old),
        ]
    )
    sent = {name: [Message.decode(body) for body in bodies] for name, bodies in queue.sent.items()}
    assert [(m.event, m.payment.transaction_id) for m in sent["to-processor"]] == [("payment.validated", "order-1")]
    assert [(m.event, m.payment.transaction_id) for m in sent["to-notifier"]] == [
        ("payment.processed", "b"),
        ("payment.unknown", "c"),
    ]
    assert sent["to-processor"][0].payment == payment()
    assert queue.calls == 2
    assert "pm_sim_approved" not in "".join(queue.sent["to-notifier"])


def test_what_is_not_taken_brings_the_batch_back() -> None:
    with pytest.raises(RelayError, match="InternalError"):
        Relay(FakeQueues(refuse=1), "p", "n", "dead").send(
            [stream_record(payment(transaction_id=name)) for name in "abc"]
        )


@pytest.mark.parametrize("broken", ["amount_minor", "NewImage"])
def test_a_record_that_is_no_payment_goes_to_the_dead_letter_queue_and_holds_up_nobody(broken: str) -> None:
    record = stream_record(payment())
    if broken == "NewImage":
        del record["dynamodb"]["NewImage"]
    else:
        del record["dynamodb"]["NewImage"][broken]
    record["dynamodb"]["Keys"] = {"transaction_id": {"S": "order-1"}}
    queue = FakeQueues()
    assert Relay(queue, "p", "n", "dead").send([record, stream_record(payment(transaction_id="neighbour"))]) == 2
    assert "neighbour" in queue.sent["p"][0]
    (dead,) = map(json.loads, queue.sent["dead"])
    assert (dead["transaction_id"], dead["sequence_number"]) == ("order-1", "1")
    assert broken in dead["reason"]


@given(st.lists(st.integers(0, MAX_BYTES).map(lambda size: "x" * size), max_size=25))
def test_batches_fit_a_call_and_lose_nothing(bodies: list[str]) -> None:
    cut = list(batches(bodies))
    assert [body for batch in cut for body in batch] == bodies
    assert all(len(batch) <= 10 and (sum(map(len, batch)) <= MAX_BYTES or len(batch) == 1) for batch in cut)


def test_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FakeQueues()
    monkeypatch.setattr(relay, "wired", lambda: Relay(queue, "p", "n", "dead"))
    answer = relay.handler({"Records": [stream_record(payment())]}, Context())  # type: ignore[arg-type]
    assert answer == {"batchItemFailures": []}
    assert len(queue.sent["p"]) == 1


class Cut(FakeQueues):
    """An SQS whose answers are cut on their way: botocore reads them as empty."""

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        super().send_message_batch(QueueUrl, Entries)
        return {}


def test_what_is_not_said_to_be_taken_is_relayed_again() -> None:
    with pytest.raises(RelayError, match=r"^1 records were not relayed: \['NoAnswer'\]$"):
        Relay(Cut(), "to-processor", "to-notifier", "dead").send([stream_record(payment())])
