"""Sends the relay's messages to SQS, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from payments.domain.cards import redact
from payments.domain.errors import UnavailableError
from payments.domain.message import WORK, Message, Task
from payments.runtime.calls import available, batches, refused
from payments.runtime.messages import encode
from payments.runtime.telemetry import is_trace, trace_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from payments.domain.change import UnreadableRecord


class QueueSender:
    """The processor's queue, the notifier's queue and the relay's dead-letter queue, behind an SQS client."""

    def __init__(self, client: Any, processor_queue: str, notifier_queue: str, dead_letter_queue: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._processor_queue = processor_queue
        self._notifier_queue = notifier_queue
        self._dead_letter_queue = dead_letter_queue

    def send(self, messages: Sequence[Message]) -> Iterator[tuple[Message, str]]:
        """Send messages: tasks to the processor and outcomes to the notifier.

        Yields each message when it is answered, with the reason if SQS did not accept it, or an empty one if it did.
        """
        work = [message for message in messages if message.event in WORK]
        outcomes = [message for message in messages if message.event not in WORK]
        yield from self._send_to(self._processor_queue, work)
        yield from self._send_to(self._notifier_queue, outcomes)

    def reject(self, records: Sequence[UnreadableRecord]) -> Iterator[str]:
        """Send unreadable records to the dead-letter queue, and yield for each the reason if SQS did not accept it."""
        bodies = [redact(msgspec.json.encode(record).decode()) for record in records]
        return self._call(self._dead_letter_queue, bodies, [""] * len(bodies))

    def _send_to(self, queue: str, messages: list[Message]) -> Iterator[tuple[Message, str]]:
        bodies = [_body(message) for message in messages]
        reasons = self._call(queue, bodies, [message.trace for message in messages])
        return zip(messages, reasons, strict=True)

    def _call(self, queue: str, bodies: list[str], traces: list[str]) -> Iterator[str]:
        """Yield for each body the reason if SQS did not accept it, in batches: a failed one delays no other."""
        own = trace_header()
        remaining = iter(traces)
        for batch in batches(bodies):
            yield from self._send_batch(queue, [(body, next(remaining) or own) for body in batch])

    def _send_batch(self, queue: str, letters: list[tuple[str, str]]) -> Iterator[str]:
        """Send bodies, each with its trace, in one call; if SQS refuses the call, send each body alone."""
        entries = [_entry(number, body, trace) for number, (body, trace) in enumerate(letters)]
        try:
            with available():
                answer = self._client.send_message_batch(QueueUrl=queue, Entries=entries)
        except UnavailableError as error:
            yield from [str(error)] * len(letters)
            return
        except ClientError as error:
            if len(letters) == 1:
                yield error.response["Error"]["Code"]
                return
            for letter in letters:
                yield from self._send_batch(queue, [letter])
            return
        failed = refused(answer, len(entries))
        yield from (failed.get(number, "") for number in range(len(entries)))


def _body(message: Message) -> str:
    return encode(Task(**message.named())) if message.event in WORK else encode(message)


def _entry(number: int, body: str, trace: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(number), "MessageBody": body}
    # Nobody checked the trace of older payments when it was stored.
    if is_trace(trace):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry
