"""Reads the answers of AWS calls: success, "not now", or success for a part of a batch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from payments.domain.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


# Up to ten records are handled at once, each over a connection of its own.
CONCURRENCY = 10

# The errors of a service that is overloaded or has failed itself: nothing is wrong with the request.
_BUSY = {
    "InternalServerError",
    # KMS, reported by SNS and SQS.
    "KMSThrottling",
    "KmsThrottled",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    # SNS's own code.
    "Throttled",
    "ThrottlingException",
    "Throttling",
    "TransactionInProgressException",
}

_SERVER_ERROR = 500

_TOO_MANY_REQUESTS = 429

# SQS and SNS accept ten messages of together 256 KB in one call.
MAX_ENTRIES = 10

MAX_BYTES = 256 * 1024

# Bytes in addition to a body: its id, its attributes, their names.
OVERHEAD = 512


def batches(bodies: list[str]) -> Iterator[list[str]]:
    """Split a list of message bodies into batches that SQS or SNS accepts in one call."""
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode()) + OVERHEAD
        if batch and (len(batch) == MAX_ENTRIES or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def refused(answer: dict[str, Any], count: int) -> dict[int, str]:
    """Return which of a batch's ``count`` entries SQS or SNS refused, by number, and why.

    Those are all that it does not say it took: an answer that was cut off is read as an empty one.
    """
    taken = {entry["Id"] for entry in answer.get("Successful", [])}
    why = {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
    return {number: why.get(str(number), "NoAnswer") for number in range(count) if str(number) not in taken}


def busy(code: str) -> bool:
    """Return whether a code means "not now", and not that the request is wrong."""
    return code in _BUSY


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return busy(error.response["Error"]["Code"]) or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR


@contextmanager
def available() -> Iterator[None]:
    """Turn AWS's "not now" into UnavailableError, and leave every other error unchanged."""
    try:
        yield
    except ClientError as error:
        if _is_busy(error):
            raise UnavailableError(error.response["Error"]["Code"]) from error
        raise
    except (NoConnectionError, HTTPClientError, ResponseParserError) as error:
        raise UnavailableError(type(error).__name__) from error
