"""Work on a queue's batch: every record at once, each for itself, and none started that could not be finished."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from payments.aws import CONCURRENCY
from payments.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

# What the function needs to say which records are done, once it stops waiting for the others.
ANSWER_SECONDS = 0.5


class DeadlineError(Exception):
    """Too little time is left: the record comes again."""


def work(
    event: dict[str, Any],
    context: LambdaContext,
    handle: Callable[[SQSRecord], None],
    skip: Callable[[SQSRecord], None],
    *,
    seconds: float,
) -> dict[str, Any]:
    """Give every record to ``handle`` and return the explicit list of those that failed (ReportBatchItemFailures).

    ``seconds`` is the longest that one record should take: with less time left than that, no record is started, but
    given to ``skip``. One that takes too long all the same does not hold up its neighbours: it is waited for until
    the function must answer, and then counts as failed.
    """

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def one(record: SQSRecord) -> None:
        try:
            if left() < seconds:
                skip(record)
                raise DeadlineError("no time was left to start")  # noqa: TRY301 - reported like any other failure
            handle(record)
        except Exception as error:
            # The message comes again, and in the end goes to the dead-letter queue. Its neighbours go on.
            logger.warning("not done", message_id=record.message_id, error=type(error).__name__, reason=str(error))
            raise

    def outcome(record: SQSRecord) -> None:
        try:
            working[record.message_id].result(timeout=max(left() - ANSWER_SECONDS, 0))
        except TimeoutError:
            logger.warning("not done in time", message_id=record.message_id)
            raise DeadlineError("not done in time") from None

    pool = ThreadPoolExecutor(CONCURRENCY)
    try:
        working = {record["messageId"]: pool.submit(one, SQSRecord(record)) for record in event["Records"]}
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        result = process_partial_response(event, outcome, processor, context)
    finally:
        # A thread that hangs is not waited for. What it still does is done once, by its idempotency key.
        pool.shutdown(wait=False)
    return dict(result)
