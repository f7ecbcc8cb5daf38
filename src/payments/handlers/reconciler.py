"""Reconciles payments that have been open for too long, on a schedule or when an operator calls it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from payments.domain.clock import now
from payments.domain.ids import TRANSACTION_ID
from payments.gateways import registry
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure
from payments.table.indexes import OpenIndex
from payments.table.store import Table
from payments.usecases.charge import Charging
from payments.usecases.reconcile import Reconciler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_lambda_powertools.utilities.typing import LambdaContext

# A lookup may take four calls of 3 s: read the charge that the payment names, search for others, cancel one, and read
# it if the gateway refuses to cancel it. The calls to the table take the rest.
PAYMENT_SECONDS = 13.0
LONGEST_SECONDS = 10**9
# Which counts are metrics: ReconcilerSettled and so on.
MEASURED = ("settled", "pending", "redriven", "unanswered", "failed", "left")


@wire_once
def wired() -> tuple[Reconciler, OpenIndex, timedelta]:
    """Return the reconciler, the index of open payments, and how long a payment may take to become final."""
    dynamodb = client.connect("dynamodb")
    name = settings.text("TABLE_NAME")
    table = Table(dynamodb, name)
    older = timedelta(seconds=settings.count("RECONCILE_AFTER_SECONDS"))
    index = OpenIndex(dynamodb, name, settings.text("OPEN_INDEX_NAME"))
    return Reconciler(table, Charging(table, registry.chosen(dynamodb), now), now), index, older


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Reconcile, and return the counts of the results.

    An operator's event may have ``transaction_ids``, or ``older_than_seconds`` in place of the configured age. For
    named payments, the gateway is asked about their processed refunds too. Raises ValueError if they are invalid.
    """
    reconciler, index, older = wired()
    counts = reconciler.run(
        _asked(event, index, older),
        in_time=lambda: context.get_remaining_time_in_millis() > PAYMENT_SECONDS * 1000,
        processed_refunds="transaction_ids" in event,
    )
    for name in MEASURED:
        if counts[name]:
            measure(f"Reconciler{name.capitalize()}", counts[name])
    logger.info("reconciled", counts=dict(counts))
    return dict(counts)


def _asked(event: dict[str, Any], index: OpenIndex, older: timedelta) -> Iterable[str]:
    if "transaction_ids" in event:
        ids = event["transaction_ids"]
        if not isinstance(ids, list) or not all(isinstance(one, str) and TRANSACTION_ID.fullmatch(one) for one in ids):
            raise ValueError("transaction_ids must be a list of ids")
        return ids
    if "older_than_seconds" in event:
        seconds = event["older_than_seconds"]
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= LONGEST_SECONDS:
            raise ValueError(f"older_than_seconds must be a whole number from 0 to {LONGEST_SECONDS}")
        older = timedelta(seconds=seconds)
    return index.until(now() - older)
