"""payments dlq: the order of its steps, so that no message is lost."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError

from local import LocalError
from ops.dead_letters import Letter, QueueClient, StackQueue, dead_letter_queues, work_queues
from ops.dead_letters import call as call_function
from ops.stream import TrimmedError, records_between
from payments.domain.message import Message, Task
from payments.runtime.messages import encode
from payments.table.items import to_item
from tests.support.aws import payment
from tests.support.commands import Run
from tests.support.messages import messages_of
from tests.support.stack import OUTPUTS, FakeQueue, FakeStack, message, post, records, refused

if TYPE_CHECKING:
    from pathlib import Path


def test_the_queues_are_those_of_the_outputs(stack: FakeStack) -> None:
    assert list(dead_letter_queues(stack)) == ["validator", "processor", "relay"]  # type: ignore[arg-type]
    stack.outputs["webhooks"] = {"shop": {"dead_letter_queue_url": "https://sqs/d", "queue_url": "https://sqs/q"}}
    assert dead_letter_queues(stack)["webhook-shop"].source == "https://sqs/q"  # type: ignore[arg-type]
    assert list(work_queues(stack)) == ["validator", "processor", "webhook-shop"]  # type: ignore[arg-type]
    stack.outputs |= {"event_bus_dlq_url": "https://sqs/bd", "event_bus_queue_url": "https://sqs/b"}
    assert dead_letter_queues(stack)["event-bus"] == StackQueue("event-bus", "https://sqs/bd", "https://sqs/b")  # type: ignore[arg-type]
    assert "event-bus" in work_queues(stack)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="Known queues: validator, processor, relay, webhook-shop, event-bus"):
        QueueClient(stack).queue("nope")  # type: ignore[arg-type]


def test_a_letter_is_sent_before_it_is_deleted(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1, "one"), message(2, "two")])
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None) == {"sent": 2, "kept": 0}
    assert sqs.done == ["send one", "send two", "delete r1", "delete r2"]


def test_a_letter_that_was_not_taken_is_not_deleted(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1, "one"), message(2, "two")], refuse={"two"})
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None) == {"sent": 1, "kept": 1}
    assert sqs.done == ["send one", "delete r1", "put back r2"]


def test_no_more_are_sent_than_there_were(stack: FakeStack) -> None:
    """A message that fails again at once returns to the queue meanwhile: it must not be sent in circles."""
    sqs = FakeQueue([message(1)])
    sqs.receive_message = lambda **_asked: {"Messages": [message(len(sqs.done) + 1)]}  # type: ignore[method-assign]
    made, queue = post(stack, sqs)
    assert made.redrive(queue, lambda _done, _total: None)["sent"] == 1


def test_where_sqs_moves_messages_itself_it_is_let(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.dead_letters.time.sleep", lambda _seconds: None)
    sqs = MagicMock()
    sqs.get_queue_attributes.side_effect = lambda QueueUrl, **_rest: {  # noqa: N803 - botocore's
        "Attributes": {"QueueArn": f"arn:{QueueUrl}"}
    }
    sqs.start_message_move_task.return_value = {"TaskHandle": "h"}
    running = {"TaskHandle": "h", "Status": "RUNNING", "ApproximateNumberOfMessagesToMove": 5}
    sqs.list_message_move_tasks.side_effect = [
        {"Results": [running | {"ApproximateNumberOfMessagesMoved": 2}]},
        {"Results": [{"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 5}]},
    ]
    made, queue = post(stack, sqs)
    seen: list[tuple[int, int]] = []
    assert made.redrive(queue, lambda done, total: seen.append((done, total))) == {"sent": 5, "kept": 0}
    assert seen[0] == (2, 5)
    sqs.start_message_move_task.assert_called_once_with(
        SourceArn=f"arn:{OUTPUTS['validator_dlq_url']}", DestinationArn=f"arn:{OUTPUTS['validator_queue_url']}"
    )
    sqs.receive_message.assert_not_called()
    sqs.list_message_move_tasks.side_effect = [{"Results": [{"Status": "FAILED", "FailureReason": "AccessDenied"}]}]
    with pytest.raises(LocalError, match="AccessDenied"):
        made.redrive(queue, lambda _done, _total: None)


def test_what_may_not_be_moved_is_not_carried_either(stack: FakeStack) -> None:
    sqs = FakeQueue([message(1)])
    sqs.start_message_move_task = MagicMock(side_effect=refused("AccessDenied"))  # type: ignore[method-assign]
    made, queue = post(stack, sqs)
    with pytest.raises(ClientError):
        made.redrive(queue, lambda _done, _total: None)
    assert sqs.done == []


def test_a_letter_shows_its_payment_and_no_means_to_pay() -> None:
    body = encode(Message("payment.validated", payment(payment_method="pm_secret")))
    shown = Letter.of(message(1, body)).summary()
    assert (shown["transaction_id"], shown["event"], shown["detail"]) == ("order-1", "payment.validated", "validated")
    assert "pm_secret" not in json.dumps(shown)


def test_a_letter_of_the_processor_shows_what_it_names() -> None:
    task = Task(event="refund.validated", transaction_id="order-1", refund_id="r1")
    shown = Letter.of(message(1, encode(task))).summary()
    assert (shown["transaction_id"], shown["event"], shown["refund_id"]) == ("order-1", "refund.validated", "r1")


def test_a_letter_that_cannot_be_read_shows_no_card() -> None:
    shown = Letter.of(message(1, "card 4111 1111 1111 1111")).summary()
    assert shown["event"] == "unreadable"
    assert "4111 1111 1111 1111" not in shown["detail"]


def test_deleting_writes_the_copy_first(payments: Run, stack: FakeStack, account: MagicMock, tmp_path: Path) -> None:
    stack.clients["sqs"] = FakeQueue([message(1, "one")])
    refused_copy = payments(
        "dlq", "purge", "validator", "--save", str(tmp_path / "no" / "file"), "--yes", "--env", "dev"
    )
    assert refused_copy.status == 1
    assert "Nothing was deleted" in refused_copy.err
    assert stack.clients["sqs"].done == []
    kept = tmp_path / "kept"
    assert payments("dlq", "purge", "validator", "--save", str(kept), "--yes", "--env", "dev").status == 0
    assert json.loads(kept.read_text())["body"] == "one"
    assert kept.stat().st_mode & 0o077 == 0


BATCH = {
    "shardId": "s",
    "startSequenceNumber": "10",
    "endSequenceNumber": "12",
    "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00Z",
    "approximateArrivalOfLastRecord": "2026-01-01T00:00:10Z",
    "batchSize": 3,
    "streamArn": "arn",
}


def test_exactly_the_records_that_were_lost_are_read(stack: FakeStack) -> None:
    streams = stack.client("dynamodbstreams")
    streams.get_records.side_effect = [
        {"Records": [], "NextShardIterator": "b"},
        {"Records": records(10, 11), "NextShardIterator": "c"},
        {"Records": records(12, 13), "NextShardIterator": "d"},
    ]
    found = records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    assert [record["dynamodb"]["SequenceNumber"] for record in found] == ["10", "11", "12"]


def test_records_without_the_last_one_do_not_count_as_complete(stack: FakeStack) -> None:
    streams = stack.client("dynamodbstreams")
    streams.get_records.side_effect = [{"Records": records(10), "NextShardIterator": None}]
    with pytest.raises(TrimmedError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    streams.get_shard_iterator.side_effect = refused("TrimmedDataAccessException")
    with pytest.raises(TrimmedError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]
    streams.get_shard_iterator.side_effect = refused("AccessDeniedException")
    with pytest.raises(ClientError):
        records_between(stack, "arn", "s", "10", "12")  # type: ignore[arg-type]


REFUND = {
    "amount_minor": 500,
    "status": "processed",
    "created_at": "2026-01-01T00:00:01.000000Z",
    "fingerprint": "f",
}


DISPUTE = {
    "amount_minor": 500,
    "status": "needs_response",
    "reason": "fraudulent",
    "told": 1,
    "updated_at": "2026-01-01T00:00:02.000000Z",
}


@pytest.mark.parametrize(
    ("changes", "events"),
    [
        ({}, ["payment.validated"]),
        ({"status": "processed", "version": 2}, ["payment.processed"]),
        ({"status": "unknown", "version": 2}, ["payment.unknown"]),
        (
            {
                "status": "partially_refunded",
                "version": 5,
                "updated_at": "2026-01-01T00:00:09.000000Z",
                "refunds": {
                    "old": REFUND | {"updated_at": "2026-01-01T00:00:02.000000Z"},
                    "new": REFUND | {"updated_at": "2026-01-01T00:00:09.000000Z"},
                },
            },
            ["payment.refunded"],
        ),
        # Neither of these changed the charge's outcome, so it must not be announced again under another id.
        (
            {
                "status": "processed",
                "version": 3,
                "updated_at": "2026-01-01T00:00:09.000000Z",
                "disputes": {"old": DISPUTE, "new": DISPUTE | {"updated_at": "2026-01-01T00:00:09.000000Z"}},
            },
            ["payment.disputed"],
        ),
        (
            {
                "status": "processed",
                "version": 4,
                "updated_at": "2026-01-01T00:20:00.000000Z",
                "redrives": 1,
                "refunds": {"open": REFUND | {"status": "validated", "updated_at": "2026-01-01T00:00:02.000000Z"}},
            },
            ["refund.validated"],
        ),
        ({"status": "unknown", "version": 3, "redrives": 1}, ["payment.validated"]),
        # It was put back from a backup: its outcome was announced when it happened.
        ({"status": "processed", "version": 1767225600, "restored_at": "2026-01-01T00:00:00.000000Z"}, []),
        ({"version": 1767225600, "restored_at": "2026-01-01T00:00:00.000000Z"}, ["payment.validated"]),
    ],
)
def test_the_last_change_is_relayed_if_the_stream_no_longer_has_the_records(
    stack: FakeStack, changes: dict[str, Any], events: list[str]
) -> None:
    """Only the last one: its event id comes from the version, and the item still has that one only."""
    import msgspec  # noqa: PLC0415 - for this alone

    from payments.domain.payment import Payment  # noqa: PLC0415

    one = msgspec.convert(msgspec.to_builtins(payment()) | changes, Payment)
    stack.client("dynamodbstreams").get_shard_iterator.side_effect = refused("TrimmedDataAccessException")
    scan = stack.dynamodb.get_paginator.return_value.paginate
    scan.return_value = [{"Items": [to_item(one), {"transaction_id": {"S": "no payment"}}]}]
    letter = Letter.of(message(1, json.dumps({"DDBStreamBatchInfo": BATCH})))
    found = QueueClient(stack).lost_records(letter)  # type: ignore[arg-type]
    assert found is not None
    assert [message.event for record in found for message in messages_of(record)] == events
    bounds = scan.call_args.kwargs["ExpressionAttributeValues"]
    assert bounds == {
        ":first": {"S": "2025-12-31T23:59:00.000000Z"},
        ":last": {"S": "2026-01-01T00:01:10.000000Z"},
    }


def test_a_letter_whose_records_the_relay_refuses_stays(stack: FakeStack) -> None:
    body = json.dumps({"transaction_id": "order-1", "sequence_number": "1", "reason": "x"})
    sqs = FakeQueue([message(1, body)])
    made, _ = post(stack, sqs)
    stack.dynamodb.get_item.return_value = {"Item": to_item(payment())}
    stack.functions.invoke.return_value = {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'"RelayError"')}
    with pytest.raises(LocalError, match="RelayError"):
        made.redrive_relay(made.queue("relay"), lambda _done, _total: None)
    assert sqs.done == []
    sent = json.loads(stack.functions.invoke.call_args.kwargs["Payload"])
    assert messages_of(sent["Records"][0])[0].event == "payment.validated"


@pytest.mark.parametrize("refused_again", [False, True])
def test_a_message_that_its_queue_refused_is_sent_again_or_says_why_not(stack: FakeStack, refused_again: bool) -> None:
    body = {"transaction_id": "order-1", "sequence_number": "", "event": "payment.processed", "stream": ""}
    letter = message(1, json.dumps(body | {"reason": "InvalidMessageContents"}))
    sqs = FakeQueue([letter])
    made, _ = post(stack, sqs)
    told = Letter.of(letter).summary()
    assert (told["event"], told["detail"]) == ("payment.processed", "InvalidMessageContents")
    stack.dynamodb.get_item.return_value = {"Item": to_item(payment(status="processed", version=2))}

    def relay(**_: object) -> dict[str, Any]:
        if refused_again:
            sqs.messages.append(message(2, letter["Body"]))
        return {"Payload": io.BytesIO(b"null")}

    stack.functions.invoke.side_effect = relay
    came = made.redrive_relay(made.queue("relay"), lambda _done, _total: None)
    assert came == {"sent": int(not refused_again), "kept": int(refused_again), "records": 1}
    sent = json.loads(stack.functions.invoke.call_args.kwargs["Payload"])
    assert messages_of(sent["Records"][0])[0].event == "payment.processed"


def test_times_in_records_are_sent_as_lambda_sends_them(stack: FakeStack) -> None:
    stack.functions.invoke.return_value = {"Payload": io.BytesIO(b"null")}
    record = {"dynamodb": {"ApproximateCreationDateTime": datetime(2026, 1, 1, tzinfo=UTC)}}
    assert call_function(stack, "f", {"Records": [record]}) is None  # type: ignore[arg-type]
    sent = json.loads(stack.functions.invoke.call_args.kwargs["Payload"])
    assert sent["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] == 1767225600


def test_an_announcement_that_was_given_up_is_named() -> None:
    event = {"specversion": "1.0", "id": "tx.3", "type": "payment.failed", "subject": "tx", "data": {"amount": "1.00"}}
    told = Letter.of(message(1, json.dumps(event))).summary()
    assert (told["transaction_id"], told["event"], told["detail"]) == ("tx", "payment.failed", "tx.3")
