"""The dead-letter queues: reading them, and redriving them without losing a message.

A message is sent before it is deleted. An interruption in between sends it twice, which the functions and the receivers
recognise.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import LocalError
from ops.failures import code_of
from ops.stack import webhook_endpoints
from ops.stream import TrimmedError, records_between
from payments.domain.cards import redact
from payments.domain.clock import timestamp
from payments.domain.errors import PoisonError
from payments.domain.lifecycle import OPEN
from payments.table.items import from_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.stack import Stack
    from ops.stream import StreamRecord

RELAY = "relay"
# Other consoles and the consumers do not see the messages that we hold meanwhile.
_HOLD_SECONDS = 120
_BATCH = 10
# A receive that waits asks every host that holds the queue. A message may return meanwhile, so it asks twice.
_EMPTY_ANSWERS = 2
# How an AWS that has no StartMessageMoveTask says so.
_NO_MOVE_TASK = {"InvalidAction", "UnknownOperationException", "UnsupportedOperation", "NotImplemented"}
_MOVE_POLL_SECONDS = 2.0
# Lambda takes 6 MB in a call, and a record may carry two items.
_RECORDS = 10
# Clocks differ, and a record reaches the stream after its write.
_SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class Letter:
    """A message in a dead-letter queue."""

    message_id: str
    receipt: str
    body: str
    sent_at: str
    receives: int
    attributes: dict[str, Any]

    @classmethod
    def of(cls, message: dict[str, Any]) -> Letter:
        """Read what SQS gave."""
        attributes = message.get("Attributes", {})
        sent = datetime.fromtimestamp(int(attributes.get("SentTimestamp", 0)) / 1000, UTC)
        return cls(
            message["MessageId"],
            message["ReceiptHandle"],
            message["Body"],
            timestamp(sent),
            int(attributes.get("ApproximateReceiveCount", 0)),
            message.get("MessageAttributes", {}),
        )

    def content(self) -> dict[str, Any]:
        """Return the body's JSON object; an empty one if it is not an object."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def summary(self) -> dict[str, Any]:
        """Return what to show of it: no means to pay, no card number."""
        body = self.content()
        payment = body.get("payment") if isinstance(body.get("payment"), dict) else None
        batch = body.get("DDBStreamBatchInfo")
        fields: dict[str, Any] = {
            "message_id": self.message_id,
            "sent_at": self.sent_at,
            "receives": self.receives,
            "transaction_id": None,
            "event": None,
            "detail": None,
        }
        if payment:
            fields |= {"transaction_id": payment.get("transaction_id"), "event": body.get("event")}
            fields["detail"] = payment.get("status")
        elif "specversion" in body:
            # An announcement, as a subscriber's queue holds it.
            fields |= {"transaction_id": body.get("subject"), "event": body.get("type"), "detail": body.get("id")}
        elif isinstance(batch, dict):
            first, last = batch.get("startSequenceNumber"), batch.get("endSequenceNumber")
            fields |= {"event": "stream records", "detail": f"{batch.get('batchSize', '?')} records, {first} to {last}"}
        elif "sequence_number" in body:
            # A message that its queue refused has no place in the stream.
            event = "no payment" if body["sequence_number"] else body.get("event")
            fields |= {"transaction_id": body.get("transaction_id") or None, "event": event}
            fields["detail"] = body.get("reason")
        elif {"event", "transaction_id"} <= body.keys():
            # The processor's queue holds names only; before schema 2 it held the payment, as the notifier's does.
            fields |= {"transaction_id": body["transaction_id"], "event": body["event"]}
        else:
            fields |= {"event": "unreadable", "detail": self.body[:200]}
        if body.get("refund_id"):
            fields["refund_id"] = body["refund_id"]
        return {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}


@dataclass(frozen=True)
class Counts:
    """How many messages a queue has: to be received, received and not deleted yet, and not to be received yet."""

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All that the queue holds."""
        return self.waiting + self.in_flight + self.delayed


@dataclass(frozen=True)
class StackQueue:
    """A queue of the stack; ``source`` is where a dead-letter queue's messages came from."""

    name: str
    url: str
    source: str | None = None


def dead_letter_queues(stack: Stack) -> dict[str, StackQueue]:
    """Return the stack's dead-letter queues by their short names."""
    outputs = stack.outputs
    found = {
        "validator": StackQueue("validator", outputs["validator_dlq_url"], outputs["validator_queue_url"]),
        "processor": StackQueue("processor", outputs["processor_dlq_url"], outputs["processor_queue_url"]),
        # Its messages name stream records, so no queue can take them.
        RELAY: StackQueue(RELAY, outputs["relay_dlq_url"]),
    }
    for endpoint, parts in webhook_endpoints(outputs).items():
        name = f"webhook-{endpoint}"
        found[name] = StackQueue(name, parts["dead_letter_queue_url"], parts["queue_url"])
    if outputs.get("event_bus_dlq_url"):
        found["event-bus"] = StackQueue("event-bus", outputs["event_bus_dlq_url"], outputs["event_bus_queue_url"])
    return found


def work_queues(stack: Stack) -> dict[str, StackQueue]:
    """Return the queues that payments pass through."""
    return {name: StackQueue(name, queue.source) for name, queue in dead_letter_queues(stack).items() if queue.source}


@dataclass
class QueueClient:
    """The queues of a stack, for an operator."""

    stack: Stack
    _sqs: Any = field(default=None, init=False)

    @property
    def sqs(self) -> Any:  # noqa: ANN401 - botocore's
        """The SQS client."""
        if self._sqs is None:
            self._sqs = self.stack.client("sqs")
        return self._sqs

    def queue(self, name: str) -> StackQueue:
        """Return a dead-letter queue by its name; raises LocalError for none of ours."""
        queues = dead_letter_queues(self.stack)
        if name not in queues:
            raise LocalError(f"there is no dead-letter queue {name!r}. Known queues: {', '.join(queues)}.")
        return queues[name]

    def counts(self, queue: StackQueue) -> Counts:
        """Count a queue's messages, as nearly as SQS knows."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
        return Counts(*(int(attributes.get(name, 0)) for name in names))

    def receive(self, queue: StackQueue, limit: int) -> Iterator[list[Letter]]:
        """Yield letters, each once, until ``limit`` or until there are no more; they stay hidden for two minutes."""
        seen: set[str] = set()
        empty = 0
        while len(seen) < limit and empty < _EMPTY_ANSWERS:
            answer = self.sqs.receive_message(
                QueueUrl=queue.url,
                MaxNumberOfMessages=min(_BATCH, limit - len(seen)),
                VisibilityTimeout=_HOLD_SECONDS,
                WaitTimeSeconds=1,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            letters = [Letter.of(message) for message in answer.get("Messages", [])]
            fresh = [letter for letter in letters if letter.message_id not in seen]
            empty = 0 if fresh else empty + 1
            seen |= {letter.message_id for letter in fresh}
            if fresh:
                yield fresh

    def peek(self, queue: StackQueue, limit: int) -> list[Letter]:
        """Look at letters and put them back."""
        letters: list[Letter] = []
        try:
            for batch in self.receive(queue, limit):
                letters += batch
        finally:
            self.put_back(queue, letters)
        return letters

    def put_back(self, queue: StackQueue, letters: list[Letter]) -> None:
        """Let others see letters again."""
        for start in range(0, len(letters), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for number, letter in enumerate(letters[start : start + _BATCH])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=queue.url, Entries=entries)

    def delete(self, queue: StackQueue, letters: list[Letter]) -> int:
        """Delete letters; return how many are gone."""
        gone = 0
        for start in range(0, len(letters), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt}
                for number, letter in enumerate(letters[start : start + _BATCH])
            ]
            answer = self.sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries)
            gone += len(entries) - len(answer.get("Failed", []))
        return gone

    # Redrive

    def redrive(self, queue: StackQueue, progress: Callable[[int, int], None]) -> dict[str, int]:
        """Send a dead-letter queue's messages to the queue that they came from; count the ``sent`` and the ``kept``."""
        try:
            return self._move(queue, progress)
        except ClientError as error:
            if code_of(error).rpartition(".")[2] not in _NO_MOVE_TASK:
                raise
        return self._carry(queue, progress)

    def _move(self, queue: StackQueue, progress: Callable[[int, int], None]) -> dict[str, int]:
        """Have SQS move the messages, and wait until it has. If this process is stopped, SQS continues."""
        arn = self._arn(queue.url)
        # The destination is named, because messages that SNS itself put into a dead-letter queue have no source queue.
        to = self._arn(str(queue.source))
        handle = self.sqs.start_message_move_task(SourceArn=arn, DestinationArn=to)["TaskHandle"]
        while True:
            tasks = self.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1).get("Results", [])
            task = tasks[0] if tasks else {"Status": "COMPLETED"}
            moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
            progress(moved, int(task.get("ApproximateNumberOfMessagesToMove") or 0))
            # The answer has the handle of a running task, but not of one that has ended.
            if task["Status"] == "FAILED":
                raise LocalError(f"SQS stopped moving messages after {moved}: {task.get('FailureReason', 'no reason')}")
            if task["Status"] in {"COMPLETED", "CANCELLED"} and task.get("TaskHandle", handle) == handle:
                return {"sent": moved, "kept": self.counts(queue).waiting}
            time.sleep(_MOVE_POLL_SECONDS)

    def _arn(self, url: str) -> str:
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(attributes["Attributes"]["QueueArn"])

    def _carry(self, queue: StackQueue, progress: Callable[[int, int], None]) -> dict[str, int]:
        """Receive, send, delete. Messages that return meanwhile stay: their cause is not fixed yet."""
        total = self.counts(queue).waiting
        sent = kept = 0
        for letters in self.receive(queue, total):
            entries = [
                {"Id": str(number), "MessageBody": letter.body, "MessageAttributes": letter.attributes}
                for number, letter in enumerate(letters)
            ]
            answer = self.sqs.send_message_batch(QueueUrl=queue.source, Entries=entries)
            refused = {int(failure["Id"]) for failure in answer.get("Failed", [])}
            done = [letter for number, letter in enumerate(letters) if number not in refused]
            self.delete(queue, done)
            self.put_back(queue, [letter for number, letter in enumerate(letters) if number in refused])
            sent, kept = sent + len(done), kept + len(refused)
            progress(sent, total)
        return {"sent": sent, "kept": kept}

    # The relay's

    def redrive_relay(self, queue: StackQueue, progress: Callable[[int, int], None]) -> dict[str, int]:
        """Hand the records that the relay gave up to it again; count ``sent`` and ``kept`` letters, and ``records``.

        The stream has them for 24 hours. After that the table tells what has changed at that time. A letter that comes
        back, since its queue refuses the message again, counts as kept.
        """
        total = self.counts(queue).waiting
        sent = kept = relayed = 0
        alone: set[object] = set()
        for letters in self.receive(queue, total):
            for letter in letters:
                records = self.lost_records(letter)
                if records is None:
                    self.put_back(queue, [letter])
                    kept += 1
                else:
                    for start in range(0, len(records), _RECORDS):
                        self._relay(records[start : start + _RECORDS])
                    self.delete(queue, [letter])
                    relayed += len(records)
                    sent += 1
                    alone.add(letter.content().get("transaction_id"))
                progress(sent + kept, total)
        alone.discard(None)
        if alone:
            back = {letter.content().get("transaction_id") for letter in self.peek(queue, total)} & alone
            sent, kept = sent - len(back), kept + len(back)
        return {"sent": sent, "kept": kept, "records": relayed}

    def lost_records(self, letter: Letter) -> list[StreamRecord] | None:
        """Return the records that a letter of the relay names, or None if relaying again cannot help."""
        body = letter.content()
        batch = body.get("DDBStreamBatchInfo")
        if isinstance(batch, dict):
            try:
                return records_between(
                    self.stack,
                    batch["streamArn"],
                    batch["shardId"],
                    batch["startSequenceNumber"],
                    batch["endSequenceNumber"],
                )
            except TrimmedError:
                first = datetime.fromisoformat(batch["approximateArrivalOfFirstRecord"])
                last = datetime.fromisoformat(batch["approximateArrivalOfLastRecord"])
                return list(self._changed_between(first, last))
        item = self._item(body.get("transaction_id"))
        record = item and _last_change(item)
        return [record] if record else None

    def _item(self, transaction_id: object) -> dict[str, Any] | None:
        if not isinstance(transaction_id, str) or not transaction_id:
            return None
        return self.stack.dynamodb.get_item(
            TableName=self.stack.outputs["dynamodb_table_name"],
            Key={"transaction_id": {"S": transaction_id}},
            ConsistentRead=True,
        ).get("Item")

    def _changed_between(self, first: datetime, last: datetime) -> Iterator[StreamRecord]:
        """Yield the last change of every payment that was there then and has changed since: more than were lost."""
        pages = self.stack.dynamodb.get_paginator("scan").paginate(
            TableName=self.stack.outputs["dynamodb_table_name"],
            FilterExpression="created_at <= :last AND updated_at >= :first",
            ExpressionAttributeValues={
                ":first": {"S": timestamp(first - _SLACK)},
                ":last": {"S": timestamp(last + _SLACK)},
            },
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                record = _last_change(item)
                if record:
                    yield record

    def _relay(self, records: list[StreamRecord]) -> None:
        """Hand records to the relay as its stream does."""
        call(self.stack, self.stack.outputs["function_names"][RELAY], {"Records": records})


def call(stack: Stack, function: str, event: dict[str, Any]) -> Any:  # noqa: ANN401 - anything that a function returns
    """Call a function at its alias live and return its answer; raises LocalError if it failed."""
    # A function may take 15 minutes; a call that is repeated because its answer is late does its work twice.
    client = stack.client("lambda", read_timeout=910, retries={"total_max_attempts": 1})
    payload = json.dumps(event, default=_plain).encode()
    answer = client.invoke(FunctionName=function, Qualifier="live", Payload=payload)
    said = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise LocalError(f"{function} failed: {said}. See its log, /aws/lambda/{function}.")
    return json.loads(said or "null")


def _plain(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"a record holds a {type(value).__name__}")


def _last_change(item: dict[str, Any]) -> StreamRecord | None:
    """Return the record of a payment's last change, as its stream had it; None if the item is not a payment.

    Only the last one: an announcement's id contains the payment's version, and the earlier versions are gone.
    """
    try:
        payment = from_item(item)
    except PoisonError:
        return None
    old: dict[str, Any] = dict(item)
    for parts, records in (("refunds", payment.refunds), ("disputes", payment.disputes)):
        newest = {name for name, record in records.items() if record.updated_at == payment.updated_at}
        if newest:
            old[parts] = {"M": {name: one for name, one in item[parts]["M"].items() if name not in newest}}
            break
    else:
        # The latter: it was put back from a backup, which announces nothing.
        if payment.version == 1 or payment.restored_at == payment.updated_at:
            return {"eventName": "INSERT", "dynamodb": {"Keys": _key(item), "NewImage": item}}
        if payment.redrives and (payment.status in OPEN or payment.open_refunds):
            # It may have been the step before. If it is sent again, the result is the same.
            old["redrives"] = {"N": str(payment.redrives - 1)}
        else:
            old["status"] = {"S": "unknown" if payment.status != "unknown" else "validated"}
    return {"eventName": "MODIFY", "dynamodb": {"Keys": _key(item), "NewImage": item, "OldImage": old}}


def _key(item: dict[str, Any]) -> dict[str, Any]:
    return {"transaction_id": item["transaction_id"]}
