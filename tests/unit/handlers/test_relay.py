from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.lifecycle import REFUND_STATES, Status
from payments.domain.message import WORK, Message
from payments.domain.payment import DisputeRecord, Payment, RefundRecord
from payments.handlers import relay
from payments.runtime.calls import MAX_BYTES, batches
from payments.runtime.messages import decode_message, encode
from payments.runtime.queues import QueueSender
from payments.table.stream import changes
from payments.usecases.announce import cloud_event
from payments.usecases.relay import Relay, RelayError
from payments.webhooks.delivery import _EVENT_ID
from tests.support.aws import Context, payment, stream_record
from tests.support.messages import messages_of


class FakeQueues:
    """An SQS that records calls, and refuses the entries that a test sets."""

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


def relay_to(queues: FakeQueues) -> Relay:
    return Relay(QueueSender(queues, "p", "n", "dead"))


def send(queues: FakeQueues, records: list[dict[str, Any]]) -> int:
    return relay_to(queues).send(changes(records))


def test_each_news_goes_to_its_queue() -> None:
    queue = FakeQueues()
    old = payment()
    send(
        queue,
        [
            stream_record(payment()),
            stream_record(payment(transaction_id="b", status="processed", version=2), old),
            stream_record(payment(transaction_id="c", status="unknown", version=2), old),
            stream_record(payment(version=2), old),
            stream_record(None, old),
        ],
    )
    (task,) = queue.sent["p"]
    # The message has no payment method and no amount: the table decides.
    assert json.loads(task) == {"schema": 2, "event": "payment.validated", "transaction_id": "order-1"}
    told = [decode_message(body) for body in queue.sent["n"]]
    assert [(m.event, m.payment.transaction_id) for m in told] == [("payment.processed", "b"), ("payment.unknown", "c")]
    assert queue.calls == 2
    assert "pm_sim_approved" not in "".join(queue.sent["n"])


def test_a_refused_message_fails_the_batch() -> None:
    with pytest.raises(RelayError, match="InternalError"):
        send(FakeQueues(refuse=1), [stream_record(payment(transaction_id=name)) for name in "abc"])


@pytest.mark.parametrize("broken", ["amount_minor", "NewImage"])
def test_a_record_that_is_no_payment_goes_to_the_dead_letter_queue_and_holds_up_nobody(broken: str) -> None:
    record = stream_record(payment())
    if broken == "NewImage":
        del record["dynamodb"]["NewImage"]
    else:
        del record["dynamodb"]["NewImage"][broken]
    record["dynamodb"]["Keys"] = {"transaction_id": {"S": "order-1"}}
    queue = FakeQueues()
    assert send(queue, [record, stream_record(payment(transaction_id="neighbour"))]) == 2
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
    monkeypatch.setattr(relay, "wired", lambda: relay_to(queue))
    answer = relay.handler({"Records": [stream_record(payment())]}, Context())  # type: ignore[arg-type]
    assert answer == {"batchItemFailures": []}
    assert len(queue.sent["p"]) == 1


class Cut(FakeQueues):
    """An SQS whose answers are cut off: botocore reads them as empty."""

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        super().send_message_batch(QueueUrl, Entries)
        return {}


class RefusingQueues(FakeQueues):
    """An SQS that refuses every call with a given text in it, or every call to a given queue."""

    def __init__(self, error: ClientError, text: str = "", queue: str = "") -> None:
        super().__init__()
        self.error = error
        self.text = text
        self.queue = queue

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        if self.queue == QueueUrl or (self.text and any(self.text in entry["MessageBody"] for entry in Entries)):
            raise self.error
        return super().send_message_batch(QueueUrl, Entries)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "SendMessageBatch")


def test_a_call_that_is_refused_for_one_message_holds_up_no_other() -> None:
    queues = RefusingQueues(refusal("InvalidMessageContents"), text='"t4"}')
    ids = [f"t{number}" for number in range(10)]
    records = [stream_record(payment(transaction_id=one)) for one in ids]
    records.append(stream_record(payment(status="processed", version=2), payment()))
    # The batch is not retried for any of these.
    assert send(queues, [*records, {"eventName": "INSERT", "dynamodb": {"NewImage": {}}}]) == 12
    assert [json.loads(body)["transaction_id"] for body in queues.sent["p"]] == [one for one in ids if one != "t4"]
    assert {queue: len(sent) for queue, sent in queues.sent.items()} == {"p": 9, "n": 1, "dead": 2}
    refused = json.loads(queues.sent["dead"][-1])
    told = ("t4", "payment.validated", "InvalidMessageContents", "")
    assert (refused["transaction_id"], refused["event"], refused["reason"], refused["sequence_number"]) == told


class Faulting(FakeQueues):
    """An SQS that refuses one entry of each batch to the processor, and says whose fault it is."""

    def __init__(self, code: str, *, sender: bool) -> None:
        super().__init__()
        self.failure = {"Id": "1", "Code": code, "SenderFault": sender}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        if QueueUrl != "p":
            return super().send_message_batch(QueueUrl, Entries)
        taken = [entry for entry in Entries if entry["Id"] != "1"]
        return super().send_message_batch(QueueUrl, taken) | {"Failed": [self.failure]}


def test_an_entry_that_is_refused_for_its_content_goes_to_the_dead_letter_queue() -> None:
    queues = Faulting("InvalidMessageContents", sender=True)
    assert send(queues, [stream_record(payment(transaction_id=name)) for name in "abc"]) == 3
    assert [json.loads(body)["transaction_id"] for body in queues.sent["p"]] == ["a", "c"]
    (letter,) = map(json.loads, queues.sent["dead"])
    assert (letter["transaction_id"], letter["reason"]) == ("b", "InvalidMessageContents")


@pytest.mark.parametrize(
    ("code", "sender"),
    [("InternalError", False), ("KmsThrottled", True), ("KMS.DisabledException", True), ("RequestThrottled", True)],
)
def test_an_entry_refused_for_any_other_reason_is_retried(code: str, sender: bool) -> None:
    """A throttle or a disabled key refuses every message: none of them is at fault."""
    queues = Faulting(code, sender=sender)
    with pytest.raises(RelayError, match=code):
        send(queues, [stream_record(payment(transaction_id=name)) for name in "abc"])
    assert "dead" not in queues.sent


def test_a_refused_message_is_retried_if_the_dead_letter_queue_refuses_it_too() -> None:
    queues = RefusingQueues(refusal("InvalidMessageContents"), text='"order-1"')
    with pytest.raises(RelayError, match="InvalidMessageContents"):
        send(queues, [stream_record(payment())])


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "ThrottlingException"])
def test_a_queue_that_takes_nothing_does_not_hold_up_the_other(code: str) -> None:
    queues = RefusingQueues(refusal(code), queue="p")
    records = [stream_record(payment()), stream_record(payment(status="processed", version=2), payment())]
    with pytest.raises(RelayError, match=code):
        send(queues, records)
    assert {queue: len(sent) for queue, sent in queues.sent.items()} == {"n": 1}


@pytest.mark.parametrize(
    ("readable", "status", "events"),
    [
        (True, "validated", ["payment.validated"]),
        # The damaged item's state may have been announced already.
        (True, "processed", ["payment.processed"]),
        (False, "validated", ["payment.validated"]),
        (False, "processed", []),
    ],
)
def test_a_payment_that_replaces_a_damaged_item_is_relayed_at_once(
    readable: bool, status: str, events: list[str]
) -> None:
    """`payments restore --replace` overwrites an existing item, readable or not."""
    before = payment(version=3)
    record = stream_record(payment(status=status, restored_at=MOMENT, version=4), before)
    record["dynamodb"]["OldImage"] = (stream_record(before, before) if readable else mended(before))["dynamodb"][
        "OldImage"
    ]
    assert [message.event for message in messages_of(record)] == events


def test_a_message_not_reported_as_accepted_is_relayed_again() -> None:
    with pytest.raises(RelayError, match=r"^1 records were not relayed: \['NoAnswer'\]$"):
        send(Cut(), [stream_record(payment())])


# --- Items that were repaired, or put back ----------------------------------------------------------------------------

MOMENT = "2026-01-01T00:00:00.000000Z"
LIVED = payment(
    status="partially_refunded",
    version=7,
    gateway_reference="ref",
    refunds={
        "r1": RefundRecord(100, Status.PROCESSED, MOMENT, MOMENT, "f"),
        "r2": RefundRecord(100, Status.FAILED, MOMENT, MOMENT, "f", failure_code="expired_card"),
        "r3": RefundRecord(100, Status.VALIDATED, MOMENT, MOMENT, "f"),
    },
    disputes={"du_1": DisputeRecord(1250, "needs_response", "fraudulent", 1, MOMENT)},
)


def mended(new: Payment) -> dict[str, Any]:
    """A record of an item that could not be read before."""
    record = stream_record(new, new)
    del record["dynamodb"]["OldImage"]["amount_minor"]
    return record


def ids(messages: list[Message]) -> list[str]:
    return [cloud_event(message, "/test")["id"] for message in messages if message.event not in WORK]


def test_a_repaired_item_is_relayed() -> None:
    queue = FakeQueues()
    assert send(queue, [mended(payment(version=2)), stream_record(payment())]) == 2
    assert len(queue.sent["p"]) == 2
    assert "dead" not in queue.sent


def test_announcements_of_one_record_have_an_id_each() -> None:
    told = messages_of(mended(LIVED))
    assert {message.event for message in told} == {
        "refund.validated", "payment.refunded", "payment.refund_failed", "payment.disputed",
    }  # fmt: skip
    assert ids(told) == ["order-1.7-refund-r1", "order-1.7-refund-r2", "order-1.7-dispute-du_1"]
    # The ids stay the same when the record is read again, and through the queue.
    assert ids([decode_message(encode(message)) for message in messages_of(mended(LIVED))]) == ids(told)


def test_a_payment_put_back_is_processed_if_open_and_not_announced_again() -> None:
    put_back = msgspec.structs.replace(LIVED, restored_at=MOMENT)
    (message,) = messages_of(stream_record(put_back))
    assert (message.event, message.refund_id) == ("refund.validated", "r3")
    for status, events in (("validated", ["payment.validated"]), ("unknown", ["payment.validated"]), ("failed", [])):
        put_back = payment(status=status, restored_at=MOMENT)
        assert [message.event for message in messages_of(stream_record(put_back))] == events
    # Later changes are announced as usual.
    was, done = payment(status="unknown", restored_at=MOMENT), payment(status="processed", restored_at=MOMENT)
    assert [message.event for message in messages_of(stream_record(done, was))] == ["payment.processed"]


_states = st.sampled_from(sorted(Status))
_refunds = st.builds(
    lambda status: RefundRecord(1, status, MOMENT, MOMENT, "f"), st.sampled_from(sorted(REFUND_STATES))
)
_disputes = st.builds(
    lambda told, closed: DisputeRecord(1, "lost", "fraudulent", told, MOMENT, closed), st.integers(1, 2), st.booleans()
)
# The same ids for both: a refund and a dispute may have the same id.
_names = st.sampled_from(["a", "b", "refund-a"])
_images = st.builds(
    payment,
    status=_states,
    version=st.integers(1, 2),
    refunds=st.dictionaries(_names, _refunds, max_size=3),
    disputes=st.dictionaries(_names, _disputes, max_size=2),
    redrives=st.integers(0, 1),
    next_action=st.sampled_from(["", "use_stripe_sdk"]),
    restored_at=st.sampled_from(["", MOMENT]),
)


@given(new=_images, old=st.none() | _images, readable=st.booleans())
def test_no_two_announcements_of_a_record_share_an_id(new: Payment, old: Payment | None, *, readable: bool) -> None:
    record = stream_record(new, old)
    if old is not None and not readable:
        del record["dynamodb"]["OldImage"]["currency"]
    told = ids(messages_of(record))
    assert len(set(told)) == len(told)
    assert all(_EVENT_ID.fullmatch(one) for one in told)
    if len(told) == 1:
        assert told == [f"{new.transaction_id}.{new.version}"]
