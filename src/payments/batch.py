"""Work on a queue's batch: every record at once, each for itself, and none started that could not be finished."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)

from payments.aws import CONCURRENCY
from payments.telemetry import flush, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


class DeadlineError(Exception):
    """Too little time is left to start this record: it comes again, untouched."""


def work(
    event: dict[str, Any], context: LambdaContext, handle: Callable[[SQSRecord], None], *, seconds: float
) -> dict[str, Any]:
    """Give every record to ``handle`` and return the explicit list of those that failed (ReportBatchItemFailures).

    ``seconds`` is the longest that one record may take: with less time left than that, no record is started.
    """
    with ThreadPoolExecutor(CONCURRENCY) as pool:

        def one(record: SQSRecord) -> None:
            try:
                if context.get_remaining_time_in_millis() < seconds * 1000:
                    raise DeadlineError("too little time is left")  # noqa: TRY301 - reported like any other failure
                handle(record)
            except Exception as error:
                # The message comes again, and in the end goes to the dead-letter queue. Its neighbours go on.
                logger.warning("not done", message_id=record.message_id, error=type(error).__name__, reason=str(error))
                raise

        async def in_a_thread(record: SQSRecord) -> None:
            await asyncio.get_running_loop().run_in_executor(pool, one, record)

        processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        result = async_process_partial_response(event, in_a_thread, processor, context)
    flush()
    return dict(result)
