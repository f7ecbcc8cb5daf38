"""Relays the table's stream to the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.queues import QueueSender
from payments.runtime.telemetry import measure
from payments.table.stream import changes
from payments.usecases.relay import Relay

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@wire_once
def wired() -> Relay:
    """Return the relay."""
    queues = QueueSender(
        client.connect("sqs"),
        settings.text("PROCESSOR_QUEUE_URL"),
        settings.text("NOTIFIER_QUEUE_URL"),
        settings.text("DEAD_LETTER_QUEUE_URL"),
    )
    return Relay(queues)


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Send a batch of stream records. Raises if anything was not sent, so that the batch is delivered again."""
    sent = wired().send(changes(event["Records"]))
    measure("Relayed", sent)
    return {"batchItemFailures": []}
