"""Work on a queue's batch: every record at once, each for itself, and none started that could not be finished.

Powertools' batch utility does the same in an event loop. It takes longer to import than the rest of our code together
(docs/performance.md), and a charge runs in a thread either way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from payments.aws import CONCURRENCY
from payments.telemetry import flush, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


class DeadlineError(Exception):
    """Too little time is left to start this record: it comes again, untouched."""


class Attributes(NamedTuple):
    """What SQS says of a message."""

    approximate_receive_count: str


class Record(NamedTuple):
    """What a handler looks at of Powertools' SQSRecord, under the same names."""

    message_id: str
    body: str
    attributes: Attributes


def work(
    event: dict[str, Any], context: LambdaContext, handle: Callable[[SQSRecord], None], *, seconds: float
) -> dict[str, Any]:
    """Give every record to ``handle`` and return the explicit list of those that failed (ReportBatchItemFailures).

    ``seconds`` is the longest that one record may take: with less time left than that, no record is started.
    """

    def fails(raw: dict[str, Any]) -> bool:
        try:
            if context.get_remaining_time_in_millis() < seconds * 1000:
                raise DeadlineError("too little time is left")  # noqa: TRY301 - reported like any other failure
            attributes = Attributes(raw["attributes"]["ApproximateReceiveCount"])
            handle(cast("SQSRecord", Record(raw["messageId"], raw["body"], attributes)))
        except Exception as error:  # noqa: BLE001
            # The message comes again, and in the end goes to the dead-letter queue. Its neighbours go on.
            logger.warning("not done", message_id=raw["messageId"], error=type(error).__name__, reason=str(error))
            return True
        return False

    records: list[dict[str, Any]] = event["Records"]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        failures = [
            record["messageId"] for record, failed in zip(records, pool.map(fails, records), strict=True) if failed
        ]
    flush()
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
