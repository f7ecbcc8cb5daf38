"""Handles a queue's batch: all records at once and independently, and none that could not be finished in time.

Powertools' batch utility imports the data class of every event source, which takes longer than the rest of our code
together (docs/performance.md). This loop does the same job.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from payments.runtime.calls import CONCURRENCY
from payments.runtime.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from aws_lambda_powertools.utilities.typing import LambdaContext


# The time that the function needs to return its answer after it stops waiting for records.
ANSWER_SECONDS = 0.5


class DeadlineError(Exception):
    """Too little time is left, so the record will be delivered again."""


class Delivery(NamedTuple):
    """A message as its queue delivers it: its body, how often it was received, and when it was sent."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    sent_at: datetime

    @classmethod
    def of(cls, record: dict[str, Any]) -> Delivery:
        """Read a record of Lambda's event."""
        attributes = record["attributes"]
        sent_at = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC)
        receive_count = int(attributes["ApproximateReceiveCount"])
        return cls(record["messageId"], record["receiptHandle"], record["body"], receive_count, sent_at)


class Worker(NamedTuple):
    """A function's actions for a delivery, and for one that has no time left, and its fields for the log.

    ``skip`` returns whether the delivery is done nevertheless: it is not delivered again.
    """

    handle: Callable[[Delivery], None]
    skip: Callable[[Delivery], bool]
    # From the body; empty if that cannot be read.
    log_fields: Callable[[str], dict[str, Any]]


def work(event: dict[str, Any], context: LambdaContext, worker: Worker, *, seconds: float) -> dict[str, Any]:
    """Handle every record and return the list of those that failed (ReportBatchItemFailures).

    ``seconds`` is the longest that one record should take: with less time left, a record is skipped. A record that
    takes too long anyway does not hold up its neighbours: the function waits for it until it must answer, and
    then skips it too.
    """
    batch = _Batch(context, worker, seconds)
    pool = ThreadPoolExecutor(CONCURRENCY)
    try:
        started = [(record, pool.submit(batch.handle, record)) for record in event["Records"]]
        failures = [record["messageId"] for record, handling in started if not batch.wait(record, handling)]
    finally:
        # Do not wait for a thread that hangs. Its idempotency key keeps it from charging twice.
        pool.shutdown(wait=False)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


class _Batch:
    """One call's records."""

    def __init__(self, context: LambdaContext, worker: Worker, seconds: float) -> None:
        self._context = context
        self._worker = worker
        self._seconds = seconds

    def _seconds_left(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000

    def handle(self, record: dict[str, Any]) -> bool:
        """Handle a record, or skip it if there is no time for it; say whether it is done."""
        try:
            delivery = Delivery.of(record)
            if self._seconds_left() < self._seconds:
                if self._worker.skip(delivery):
                    return True
                raise DeadlineError("no time was left to start")  # noqa: TRY301 - reported like any other failure
            self._worker.handle(delivery)
        except Exception as error:  # noqa: BLE001
            # SQS delivers the message again, and finally moves it to the dead-letter queue. Its neighbours continue.
            self._log("not done", record, error)
            return False
        return True

    def wait(self, record: dict[str, Any], handling: Future[bool]) -> bool:
        """Wait for a record until the function must answer, then skip it; return whether it is done."""
        try:
            return handling.result(timeout=max(self._seconds_left() - ANSWER_SECONDS, 0))
        except TimeoutError:
            self._log("not done in time", record)
        try:
            return self._worker.skip(Delivery.of(record))
        except Exception as error:  # noqa: BLE001 - as above: SQS delivers the message again
            self._log("not done", record, error)
        return False

    def _log(self, what: str, record: dict[str, Any], error: Exception | None = None) -> None:
        why: dict[str, Any] = {"error": type(error).__name__, "reason": str(error)} if error else {}
        logger.warning(what, message_id=record["messageId"], **self._worker.log_fields(str(record.get("body"))), **why)
