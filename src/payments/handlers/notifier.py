"""The queue of outcomes to the announcements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import aws, settings
from payments.announcing import PUBLISH_SECONDS, Announcer
from payments.handling import function
from payments.model import Message, PoisonError
from payments.once import once
from payments.telemetry import logger, measure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@once
def wired() -> Announcer:
    """Return the announcer."""
    return Announcer(aws.client("sns"), settings.text("TOPIC_ARN"), settings.text("EVENT_SOURCE"))


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Announce a batch, in one call where SNS takes it, and return the records that must come again."""
    messages: dict[str, Message] = {}
    failures: dict[str, str] = {}
    for record in event["Records"]:
        try:
            messages[record["messageId"]] = Message.decode(record["body"])
        except PoisonError as error:
            failures[record["messageId"]] = str(error)
    if messages:
        failures |= wired().announce(
            messages, in_time=lambda: context.get_remaining_time_in_millis() > PUBLISH_SECONDS * 1000
        )
    for message_id, reason in failures.items():
        named = messages[message_id].named() if message_id in messages else {}
        logger.warning("not announced", message_id=message_id, reason=reason, **named)
    for message_id in messages.keys() - failures.keys():
        measure("Announced")
        logger.info("announced", **messages[message_id].named())
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
