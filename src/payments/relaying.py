"""Put on the queues what the table's stream says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from payments.aws import available
from payments.model import Message, PoisonError, Status, from_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# SQS takes ten messages, and 256 KB of them, in a call.
MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
# What goes with a body: its id, its attributes, their names.
OVERHEAD = 512


class RelayError(Exception):
    """Not everything was sent. The whole batch comes again; what was sent twice, its receivers see through."""


def message_of(record: dict[str, Any]) -> Message | None:
    """Return the message that a stream record gives rise to, or None: only a new status is news.

    Raises PoisonError where the record holds no payment.
    """
    change = record["dynamodb"]
    if record["eventName"] == "REMOVE":
        return None
    payment = from_item(change["NewImage"])
    if change.get("OldImage", {}).get("status", {}).get("S") == payment.status:
        return None
    if payment.status != Status.VALIDATED:
        # Who announces an outcome needs no means to charge.
        payment = msgspec.structs.replace(payment, payment_method="", fingerprint="")
    return Message(f"payment.{payment.status}", payment)


class Relay:
    """Sends messages to the two queues behind an SQS client."""

    def __init__(self, client: Any, processor_queue: str, notifier_queue: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._processor_queue = processor_queue
        self._notifier_queue = notifier_queue

    def send(self, records: Iterable[dict[str, Any]]) -> int:
        """Send what the records say and return how many messages that were.

        Raises RelayError where a message was not taken: a partial result alone would be lost on a stream whose
        mapping does not heed it.
        """
        queues: dict[str, list[Message]] = {self._processor_queue: [], self._notifier_queue: []}
        refused: list[str] = []
        for record in records:
            try:
                message = message_of(record)
            except PoisonError as error:
                refused.append(str(error))
                continue
            if message is not None:
                wanted = message.payment.status == Status.VALIDATED
                queues[self._processor_queue if wanted else self._notifier_queue].append(message)
        # Its neighbours do not wait for what cannot be sent.
        refused += [failure for queue, messages in queues.items() for failure in self._send(queue, messages)]
        if refused:
            raise RelayError(f"{len(refused)} records were not relayed: {sorted(set(refused))}")
        return sum(map(len, queues.values()))

    def _send(self, queue: str, messages: list[Message]) -> Iterator[str]:
        for bodies in batches([msgspec.json.encode(message).decode() for message in messages]):
            with available():
                answer = self._client.send_message_batch(
                    QueueUrl=queue,
                    Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
                )
            yield from (failure["Code"] for failure in answer.get("Failed", []))


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
