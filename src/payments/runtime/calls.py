"""What an AWS call can answer: success, "not now", or success for a part of a batch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from payments.domain.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


# Up to ten records are worked on at once, each over a connection of its own.
CONCURRENCY = 10

# What a service says when it has too much to do, or has failed itself: nothing is wrong with the request.
_BUSY = {
    "InternalServerError",
    # KMS, by the mouth of SNS and of SQS.
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

# SQS and SNS take ten messages, and 256 KB of them, in a call.
MAX_ENTRIES = 10

MAX_BYTES = 256 * 1024

# What goes with a body: its id, its attributes, their names.
OVERHEAD = 512


def batches(bodies: list[str]) -> Iterator[list[str]]:
    """Cut a list of message bodies into batches that SQS or SNS takes in one call."""
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
    """Return which entries of a batch of so many SQS or SNS did not take, by their numbers, and why.

    Those are all that it does not say it took: an answer that was cut on its way is read as an empty one.
    """
    taken = {entry["Id"] for entry in answer.get("Successful", [])}
    why = {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
    return {number: why.get(str(number), "NoAnswer") for number in range(count) if str(number) not in taken}


def busy(code: str) -> bool:
    """Say whether a code means "not now", and nothing about the request."""
    return code in _BUSY


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return busy(error.response["Error"]["Code"]) or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR


@contextmanager
def available() -> Iterator[None]:
    """Turn AWS's "not now" into UnavailableError, and leave every other error as it is."""
    try:
        yield
    except ClientError as error:
        if _is_busy(error):
            raise UnavailableError(error.response["Error"]["Code"]) from error
        raise
    except (NoConnectionError, HTTPClientError, ResponseParserError) as error:
        raise UnavailableError(type(error).__name__) from error
