"""Publishes the queue of outcomes as announcements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.domain.errors import PoisonError
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.messages import decode_message
from payments.runtime.telemetry import logger, measure
from payments.runtime.topic import PUBLISH_SECONDS, TopicPublisher
from payments.usecases.announce import Announcer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.domain.message import Message


@wire_once
def wired() -> Announcer:
    """Return the announcer."""
    topic = TopicPublisher(client.connect("sns"), settings.text("TOPIC_ARN"))
    return Announcer(topic, settings.text("EVENT_SOURCE"))


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Announce a batch, in one call if SNS takes it, and return the records that must be delivered again."""
    messages: dict[str, Message] = {}
    failures: dict[str, str] = {}
    for record in event["Records"]:
        try:
            messages[record["messageId"]] = decode_message(record["body"])
        except PoisonError as error:
            failures[record["messageId"]] = str(error)
    if messages:
        failures |= wired().announce(
            messages, in_time=lambda: context.get_remaining_time_in_millis() > PUBLISH_SECONDS * 1000
        )
    for message_id, reason in failures.items():
        fields = messages[message_id].log_fields() if message_id in messages else {}
        logger.warning("not announced", message_id=message_id, reason=reason, **fields)
    for message_id in messages.keys() - failures.keys():
        measure("Announced")
        logger.info("announced", **messages[message_id].log_fields())
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
