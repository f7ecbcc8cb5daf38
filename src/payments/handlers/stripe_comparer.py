"""The daily schedule, or an operator, to the comparison of Stripe's books with the table."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from payments import aws, gateways, settings
from payments.announcing import PUBLISH_SECONDS, Announcer
from payments.handling import function
from payments.model import now, timestamp
from payments.once import once
from payments.store import ChargedIndex, GatewayIndex, Table
from payments.stripe_comparing import Comparison
from payments.telemetry import logger, measure, measure_kind

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.stripe_gateway import StripeGateway

# Ample for a chunk's calls, and for the announcements after it.
_CHUNK_SECONDS = 60.0


class UnfinishedError(Exception):
    """The day was not compared to its end, or not all of it was announced: compare it again."""


@cache
def books() -> StripeGateway:
    """Return Stripe, at the first call: its package takes longer to start than all the rest, and nobody waits here."""
    return gateways.stripe()


@once
def wired() -> tuple[Table, GatewayIndex, ChargedIndex, Announcer]:
    """Return what is compared with the books, and what announces."""
    client = aws.client("dynamodb")
    name = settings.text("TABLE_NAME")
    return (
        Table(client, name),
        GatewayIndex(client, name, settings.text("GATEWAY_INDEX_NAME")),
        ChargedIndex(client, name, settings.text("CHARGED_INDEX_NAME")),
        Announcer(aws.client("sns"), settings.text("TOPIC_ARN"), settings.text("EVENT_SOURCE")),
    )


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compare yesterday, or the ``day`` that the event says, and return what differs.

    Raises ValueError where that is no day that has begun, and UnfinishedError after what could be done was done.
    """
    day = _day(event)
    table, charges, charged, announcer = wired()
    comparison = Comparison(table, charges, charged, books(), scope=settings.text("ENVIRONMENT"), clock=now)
    comparison.run(day, in_time=lambda: context.get_remaining_time_in_millis() > _CHUNK_SECONDS * 1000)
    measure("Compared", comparison.counts["compared"])
    for difference in comparison.differences:
        measure_kind("ComparisonDifference", difference.kind)
        logger.error("the gateway's books differ", day=day.isoformat(), **asdict(difference))
    at = timestamp(now())
    refused = announcer.publish(
        {str(number): one.event(announcer.source, day, at) for number, one in enumerate(comparison.differences)},
        in_time=lambda: context.get_remaining_time_in_millis() > PUBLISH_SECONDS * 1000,
    )
    counts = {name: comparison.counts[name] for name in ("compared", "unanswered", "left")}
    logger.info("compared", day=day.isoformat(), counts=counts, differences=len(comparison.differences))
    if refused or counts["unanswered"] or counts["left"]:
        raise UnfinishedError(f"{day}: {counts}, {len(refused)} not announced")
    told = [difference.told() for difference in comparison.differences]
    return {"day": day.isoformat(), "compared": counts["compared"], "differences": told}


def _day(event: dict[str, Any]) -> date:
    today = now().date()
    if "day" not in event:
        return today - timedelta(days=1)
    day = date.fromisoformat(event["day"]) if isinstance(event["day"], str) else None
    if day is None or day > today:
        raise ValueError("day must be a day that has begun, such as 2026-11-22")
    return day
