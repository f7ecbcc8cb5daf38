"""Work on a queue's batch: every record at once, each for itself, and none started that could not be finished.

Powertools' batch utility brings every event source's data class with it, and takes longer to import than the rest of
our code together (docs/performance.md). What it would do here is this loop.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from payments.aws import CONCURRENCY
from payments.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What the function needs to say which records are done, once it stops waiting for the others.
ANSWER_SECONDS = 0.5


class DeadlineError(Exception):
    """Too little time is left: the record comes again."""


class Attributes(NamedTuple):
    """What SQS says of a message."""

    approximate_receive_count: str
    # When it was sent, in milliseconds.
    sent_timestamp: str


class Record(NamedTuple):
    """What is looked at of Powertools' SQSRecord, under the same names."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: Attributes


class Worker(NamedTuple):
    """What a function does with a record, what with one that there is no time for, and how its log names it."""

    handle: Callable[[SQSRecord], None]
    skip: Callable[[SQSRecord], None]
    # By the body. Empty where it cannot be read.
    named: Callable[[str], dict[str, Any]]


def work(event: dict[str, Any], context: LambdaContext, worker: Worker, *, seconds: float) -> dict[str, Any]:
    """Let every record be handled and return the explicit list of those that failed (ReportBatchItemFailures).

    ``seconds`` is the longest that one record should take: with less time left than that, no record is started, but
    skipped. One that takes too long all the same does not hold up its neighbours: it is waited for until the function
    must answer, and is then skipped too.
    """

    def left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def done(raw: dict[str, Any]) -> bool:
        try:
            record = _record(raw)
            if left() < seconds:
                worker.skip(record)
                raise DeadlineError("no time was left to start")  # noqa: TRY301 - reported like any other failure
            worker.handle(record)
        except Exception as error:  # noqa: BLE001
            # The message comes again, and in the end goes to the dead-letter queue. Its neighbours go on.
            tell("not done", raw, error)
            return False
        return True

    def done_in_time(raw: dict[str, Any], working: Future[bool]) -> bool:
        try:
            return working.result(timeout=max(left() - ANSWER_SECONDS, 0))
        except TimeoutError:
            tell("not done in time", raw)
        try:
            worker.skip(_record(raw))
        except Exception as error:  # noqa: BLE001 - as above: the message comes again all the same
            tell("not done", raw, error)
        return False

    def tell(what: str, raw: dict[str, Any], error: Exception | None = None) -> None:
        why: dict[str, Any] = {"error": type(error).__name__, "reason": str(error)} if error else {}
        logger.warning(what, message_id=raw["messageId"], **worker.named(str(raw.get("body"))), **why)

    pool = ThreadPoolExecutor(CONCURRENCY)
    try:
        started = [(record, pool.submit(done, record)) for record in event["Records"]]
        failures = [record["messageId"] for record, working in started if not done_in_time(record, working)]
    finally:
        # A thread that hangs is not waited for. What it still does is done once, by its idempotency key.
        pool.shutdown(wait=False)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def _record(raw: dict[str, Any]) -> SQSRecord:
    told = raw["attributes"]
    attributes = Attributes(told["ApproximateReceiveCount"], told["SentTimestamp"])
    return cast("SQSRecord", Record(raw["messageId"], raw["receiptHandle"], raw["body"], attributes))
