"""The one client that a function has, with time-outs that fit inside its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Up to ten records are worked on at once, each over a connection of its own.
CONCURRENCY = 10

# What a service says when it has too much to do, or has failed itself: nothing is wrong with the request.
_BUSY = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "Throttling",
    "TransactionInProgressException",
}
_SERVER_ERROR = 500


class UnavailableError(Exception):
    """AWS did not serve a call; it is safe to repeat it."""


def client(service: str) -> Any:  # noqa: ANN401 - botocore makes its clients' types at run time
    """Return a client of an AWS service: botocore's own, which takes half the time of boto3 to import."""
    config = Config(
        connect_timeout=1,
        read_timeout=1,
        # One repeat: who called comes again by itself, a client by the contract, a message by its queue.
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=CONCURRENCY,
    )
    return botocore.session.get_session().create_client(service, config=config)


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response["Error"]["Code"] in _BUSY or status >= _SERVER_ERROR


@contextmanager
def available() -> Iterator[None]:
    """Turn AWS's "not now" into UnavailableError, and leave every other error as it is."""
    try:
        yield
    except ClientError as error:
        if _is_busy(error):
            raise UnavailableError(error.response["Error"]["Code"]) from error
        raise
    except (NoConnectionError, HTTPClientError) as error:
        raise UnavailableError(type(error).__name__) from error
