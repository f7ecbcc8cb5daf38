"""Sends the relay's messages to SQS, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from payments.domain.cards import redact
from payments.domain.errors import UnavailableError
from payments.domain.message import WORK, Message, Sent, Task
from payments.runtime.calls import available, batches, busy, refused
from payments.runtime.messages import encode
from payments.runtime.telemetry import is_trace, trace_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from payments.domain.change import DeadLetter


# The errors of a call with a single message that are about the message itself.
_CONTENT = frozenset({"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue"})

# Why SQS refused a message, empty if it accepted it; and whether a retry is pointless.
_Answer = tuple[str, bool]


class QueueSender:
    """The processor's queue, the notifier's queue and the relay's dead-letter queue, behind an SQS client."""

    def __init__(self, client: Any, processor_queue: str, notifier_queue: str, dead_letter_queue: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._processor_queue = processor_queue
        self._notifier_queue = notifier_queue
        self._dead_letter_queue = dead_letter_queue

    def send(self, messages: Sequence[Message]) -> Iterator[Sent]:
        """Send messages, tasks to the processor and outcomes to the notifier, and yield the result of each."""
        work = [message for message in messages if message.event in WORK]
        outcomes = [message for message in messages if message.event not in WORK]
        yield from self._send_to(self._processor_queue, work)
        yield from self._send_to(self._notifier_queue, outcomes)

    def reject(self, letters: Sequence[DeadLetter]) -> Iterator[str]:
        """Send letters to the dead-letter queue, and yield for each the reason if SQS refused it, or an empty one."""
        bodies = [redact(msgspec.json.encode(letter).decode()) for letter in letters]
        return (reason for reason, _ in self._call(self._dead_letter_queue, bodies, [""] * len(bodies)))

    def _send_to(self, queue: str, messages: list[Message]) -> Iterator[Sent]:
        bodies = [_body(message) for message in messages]
        answers = self._call(queue, bodies, [message.trace for message in messages])
        return (Sent(message, *answer) for message, answer in zip(messages, answers, strict=True))

    def _call(self, queue: str, bodies: list[str], traces: list[str]) -> Iterator[_Answer]:
        """Yield SQS's answer for each body, in batches: a failed one delays no other."""
        own = trace_header()
        remaining = iter(traces)
        for batch in batches(bodies):
            yield from self._send_batch(queue, [(body, next(remaining) or own) for body in batch])

    def _send_batch(self, queue: str, letters: list[tuple[str, str]]) -> Iterator[_Answer]:
        """Send bodies, each with its trace, in one call; if SQS refuses the call, send each body alone."""
        entries = [_entry(number, body, trace) for number, (body, trace) in enumerate(letters)]
        try:
            with available():
                answer = self._client.send_message_batch(QueueUrl=queue, Entries=entries)
        except UnavailableError as error:
            yield from [(str(error), False)] * len(letters)
            return
        except ClientError as error:
            if len(letters) == 1:
                code = error.response["Error"]["Code"]
                yield code, code.rpartition(".")[2] in _CONTENT
                return
            for letter in letters:
                yield from self._send_batch(queue, [letter])
            return
        failed = refused(answer, len(entries))
        faulty = {failure["Id"] for failure in answer.get("Failed", []) if _is_faulty(failure)}
        yield from ((failed.get(number, ""), str(number) in faulty) for number in range(len(entries)))


def _is_faulty(failure: dict[str, Any]) -> bool:
    """Say whether SQS refused one entry of a batch for its content. KMS's refusals are about the queue's key."""
    return (
        bool(failure.get("SenderFault")) and not failure["Code"].lower().startswith("kms") and not busy(failure["Code"])
    )


def _body(message: Message) -> str:
    return encode(Task.of(message)) if message.event in WORK else encode(message)


def _entry(number: int, body: str, trace: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(number), "MessageBody": body}
    # Nobody checked the trace of older payments when it was stored.
    if is_trace(trace):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry
