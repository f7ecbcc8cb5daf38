"""Put on the queues what the table's stream says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from payments.aws import available, refused
from payments.cards import redact
from payments.model import WORK, Message, PoisonError, Task, from_item
from payments.telemetry import is_trace, logger, measure, trace_header
from payments.transitions import OPEN, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from payments.model import Payment

# SQS takes ten messages, and 256 KB of them, in a call.
MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
# What goes with a body: its id, its attributes, their names.
OVERHEAD = 512


class RelayError(Exception):
    """Not everything was sent. The whole batch comes again; what was sent twice, its receivers see through."""


def messages_of(record: dict[str, Any]) -> list[Message]:
    """Return the messages that a stream record gives rise to.

    News is a new status of the payment's charge or of a refund, something else that the customer must do, what is told
    of a dispute, and a payment that is sent on its way again. Raises PoisonError where the record holds no payment.
    """
    if record["eventName"] == "REMOVE":
        return []
    images = record["dynamodb"]
    if "NewImage" not in images:
        raise PoisonError("the record has no NewImage: the stream must carry NEW_AND_OLD_IMAGES")
    new = from_item(images["NewImage"])
    old = _before(images)
    again = old is not None and new.redrives > old.redrives
    if record["eventName"] == "INSERT" and new.restored_at:
        # It was announced when it happened. Only what is open has a way to go.
        old, again = new, True
    messages = [*_of_the_charge(new, old, again=again), *_of_refunds(new, old, again=again), *_of_disputes(new, old)]
    if len(messages) > 1 and sum(message.event not in WORK for message in messages) > 1:
        # Each version has one announcement, but for an item that could not be read before.
        messages = [msgspec.structs.replace(message, one_of_several=True) for message in messages]
    return messages


def _before(images: dict[str, Any]) -> Payment | None:
    if "OldImage" not in images:
        return None
    try:
        return from_item(images["OldImage"])
    except PoisonError as error:
        # Somebody has mended the item. What it says now is news, whatever it said.
        logger.warning("no payment before", reason=str(error))
        return None


def _of_the_charge(new: Payment, old: Payment | None, *, again: bool) -> list[Message]:
    # A refund that changes its payment's status is news itself.
    asked = new.next_action != "" and old is not None and old.next_action != new.next_action
    news = old is None or old.status != new.status
    if new.status in _OF_A_CHARGE and (news or ((again or asked) and new.status in OPEN)):
        return [_message(new, "payment.validated" if again else f"payment.{new.status}")]
    return []


def _of_refunds(new: Payment, old: Payment | None, *, again: bool) -> list[Message]:
    messages = []
    for refund_id, refund in new.refunds.items():
        before = old.refunds.get(refund_id) if old else None
        if before is None or before.status != refund.status or (again and refund.status in OPEN):
            messages.append(_message(new, _REFUND_VALIDATED if again else _OF_A_REFUND[refund.status], refund_id))
    return messages


def _of_disputes(new: Payment, old: Payment | None) -> list[Message]:
    messages = []
    for dispute_id, dispute in new.disputes.items():
        if old is None or old.disputes.get(dispute_id) != dispute:
            event = "payment.dispute_closed" if dispute.closed else "payment.disputed"
            messages.append(_message(new, event, dispute_id=dispute_id))
    return messages


def _message(payment: Payment, event: str, refund_id: str | None = None, dispute_id: str | None = None) -> Message:
    if event not in WORK:
        # Who announces an outcome needs no means to charge.
        payment = msgspec.structs.replace(payment, payment_method="", fingerprint="")
    return Message.of(event, payment, refund_id, dispute_id)


_OF_A_CHARGE = {Status.VALIDATED, Status.PROCESSED, Status.FAILED, Status.UNKNOWN}
_REFUND_VALIDATED = "refund.validated"
_OF_A_REFUND = {
    Status.VALIDATED: _REFUND_VALIDATED,
    Status.PROCESSED: "payment.refunded",
    Status.FAILED: "payment.refund_failed",
    Status.UNKNOWN: "payment.refund_unknown",
}


class _Letter(NamedTuple):
    """A message as it is sent: its body, the trace that it belongs to, and what the log says of it."""

    body: str
    trace: str
    named: dict[str, Any]

    @classmethod
    def of(cls, message: Message) -> _Letter:
        payment = message.payment
        # The trace of the request that began it: this call's is of a batch, in which many payments meet.
        trace = payment.trace if message.refund_id is None else payment.refunds[message.refund_id].trace
        named = message.named()
        body = Task(**named).encode() if message.event in WORK else message.encode()
        return cls(body, trace, named)

    def entry(self, number: int, otherwise: str) -> dict[str, Any]:
        """Return the entry of a batch; ``otherwise`` is the trace of a message that has none of its own."""
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": self.body}
        trace = self.trace or otherwise
        # What older payments hold was not checked when it was stored.
        if is_trace(trace):
            entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
        return entry


class Relay:
    """Sends messages to the two queues behind an SQS client, and what is no payment to the dead-letter queue."""

    def __init__(self, client: Any, processor_queue: str, notifier_queue: str, dead_letter_queue: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._processor_queue = processor_queue
        self._notifier_queue = notifier_queue
        self._dead_letter_queue = dead_letter_queue

    def send(self, records: Iterable[dict[str, Any]]) -> int:
        """Send what the records say and return how many messages that were.

        Raises RelayError where a message was not taken: a partial result alone would be lost on a stream whose
        mapping does not heed it.
        """
        queues: dict[str, list[_Letter]] = {
            self._processor_queue: [],
            self._notifier_queue: [],
            self._dead_letter_queue: [],
        }
        for record in records:
            try:
                for message in messages_of(record):
                    queue = self._processor_queue if message.event in WORK else self._notifier_queue
                    queues[queue].append(_Letter.of(message))
            except PoisonError as error:
                # A stream waits for its oldest record: no retry mends this one, and all behind it would wait for a day.
                logger.error("no payment", sequence_number=_sequence_number(record), reason=str(error))
                queues[self._dead_letter_queue].append(_Letter(_poison(record, error), "", {}))
        failures = [failure for queue, letters in queues.items() for failure in self._send(queue, letters)]
        if failures:
            raise RelayError(f"{len(failures)} records were not relayed: {sorted(set(failures))}")
        return sum(map(len, queues.values()))

    def _send(self, queue: str, letters: list[_Letter]) -> Iterator[str]:
        left = iter(letters)
        otherwise = trace_header()
        for bodies in batches([letter.body for letter in letters]):
            sent = [next(left) for _ in bodies]
            with available():
                answer = self._client.send_message_batch(
                    QueueUrl=queue, Entries=[letter.entry(number, otherwise) for number, letter in enumerate(sent)]
                )
            failed = refused(answer, len(sent))
            for number, letter in enumerate(sent):
                if number not in failed:
                    logger.info("relayed", **letter.named)
                    if letter.named.get("event") == "payment.disputed":
                        # Here and not where it is written: what fails here comes again, what was written does not.
                        measure("Disputed")
                        logger.warning("a charge is disputed", **letter.named)
            yield from failed.values()


def _sequence_number(record: dict[str, Any]) -> str:
    return str(record["dynamodb"].get("SequenceNumber", ""))


def _poison(record: dict[str, Any], error: PoisonError) -> str:
    """Return what an operator needs to find a record that holds no payment."""
    told = {
        "reason": str(error),
        "event": record["eventName"],
        "stream": record.get("eventSourceARN", ""),
        "sequence_number": _sequence_number(record),
        "transaction_id": record["dynamodb"].get("Keys", {}).get("transaction_id", {}).get("S", ""),
    }
    return redact(msgspec.json.encode(told).decode())


def batches(bodies: list[str]) -> Iterator[list[str]]:
    """Cut a list of message bodies into batches that SQS takes in one call."""
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode()) + OVERHEAD
        if batch and (len(batch) == MAX_ENTRIES or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch
