"""Compares Stripe's books with the table, on a daily schedule or when an operator calls it."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from payments.domain.clock import now, timestamp
from payments.gateways.stripe import create_gateway
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure, measure_kind
from payments.runtime.topic import PUBLISH_SECONDS, TopicPublisher
from payments.table.indexes import ChargedIndex, GatewayIndex
from payments.table.store import Table
from payments.usecases.compare import Comparison, StoredPayments

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.gateways.stripe.gateway import StripeGateway

# Ample for a chunk's calls, and for the announcements after it.
_CHUNK_SECONDS = 60.0


class UnfinishedError(Exception):
    """A part of the day was not compared, or not announced: compare the day again."""


@cache
def books() -> StripeGateway:
    """Return Stripe, at the first call: its package takes longer to import than all the rest, and nobody waits here."""
    return create_gateway()


@wire_once
def wired() -> tuple[StoredPayments, TopicPublisher]:
    """Return the payments that are compared with the books, and the topic for the differences."""
    dynamodb = client.connect("dynamodb")
    name = settings.text("TABLE_NAME")
    return (
        StoredPayments(
            Table(dynamodb, name),
            GatewayIndex(dynamodb, name, settings.text("GATEWAY_INDEX_NAME")),
            ChargedIndex(dynamodb, name, settings.text("CHARGED_INDEX_NAME")),
        ),
        TopicPublisher(client.connect("sns"), settings.text("TOPIC_ARN")),
    )


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compare yesterday, or the event's ``day``, and return the differences.

    Raises ValueError if the day is not one that has begun, and UnfinishedError if a part was not compared or announced.
    """
    day = _day(event)
    stored, topic = wired()
    source = settings.text("EVENT_SOURCE")
    comparison = Comparison(stored, books(), scope=settings.text("ENVIRONMENT"), clock=now)
    comparison.run(day, in_time=lambda: context.get_remaining_time_in_millis() > _CHUNK_SECONDS * 1000)
    measure("Compared", comparison.counts["compared"])
    for difference in comparison.differences:
        measure_kind("ComparisonDifference", difference.kind)
        logger.error("the gateway's books differ", day=day.isoformat(), **asdict(difference))
    at = timestamp(now())
    refused = topic.publish(
        {str(number): one.event(source, day, at) for number, one in enumerate(comparison.differences)},
        in_time=lambda: context.get_remaining_time_in_millis() > PUBLISH_SECONDS * 1000,
    )
    counts = {name: comparison.counts[name] for name in ("compared", "unanswered", "left")}
    logger.info("compared", day=day.isoformat(), counts=counts, differences=len(comparison.differences))
    if refused or counts["unanswered"] or counts["left"]:
        raise UnfinishedError(f"{day}: {counts}, {len(refused)} not announced")
    differences = [difference.fields() for difference in comparison.differences]
    return {"day": day.isoformat(), "compared": counts["compared"], "differences": differences}


def _day(event: dict[str, Any]) -> date:
    today = now().date()
    if "day" not in event:
        return today - timedelta(days=1)
    day = date.fromisoformat(event["day"]) if isinstance(event["day"], str) else None
    if day is None or day > today:
        raise ValueError("day must be a day that has begun, such as 2026-11-22")
    return day
