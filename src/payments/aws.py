"""The one client that a function has, with time-outs that fit inside its own, and made in little time."""

from __future__ import annotations

import os
import sys
import zlib
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.loaders import JSONFileLoader, Loader
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from botocore.awsrequest import AWSResponse
    from botocore.session import Session

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
    "ThrottlingException",
    "Throttling",
    "TransactionInProgressException",
}
_SERVER_ERROR = 500


class UnavailableError(Exception):
    """AWS did not serve a call; it is safe to repeat it."""


class _Undocumented(ModuleType):
    """Stands for a module that writes documentation: whatever it is asked for is a class that does nothing."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda *_, **__: None})


def _session() -> Session:
    """Return a session of botocore, without the part that writes a help text for each call of each client.

    It brings twenty modules, HTML's entities among them, and takes a tenth of the start. Where it is there already, it
    stays.
    """
    for name in ("botocore.docs.docstring", "botocore.docs.service"):
        sys.modules.setdefault(name, _Undocumented(name))
    import botocore.session  # noqa: PLC0415 - it imports them

    return botocore.session.get_session()


class _Files(JSONFileLoader):
    """Reads botocore's descriptions of AWS, over a megabyte of JSON, with msgspec: several times as fast."""

    def _load_file(self, full_path: str, open_method: Callable[[str, str], BinaryIO]) -> Any:  # noqa: ANN401 - JSON
        if not os.path.isfile(full_path):  # noqa: PTH113 - botocore's paths are strings, and pathlib takes time to import
            return None
        with open_method(full_path, "rb") as file:
            return msgspec.json.decode(file.read())


class _OneService(Loader):
    """Takes it that botocore knows the service, and does not look through its 400 others, twice, to see."""

    FILE_LOADER_CLASS = _Files

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return [self._service]


def client(service: str) -> Any:  # noqa: ANN401 - botocore makes its clients' types at run time
    """Return a client of an AWS service: botocore's own, which takes half the time of boto3 to import."""
    config = Config(
        connect_timeout=1,
        read_timeout=1,
        # One repeat: who called comes again by itself, a client by the contract, a message by its queue.
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=CONCURRENCY,
    )
    session = _session()
    session.register_component("data_loader", _OneService(service))
    session.register("after-call", _whole)
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        # Where Lambda puts them. Without this, botocore makes itself ready to look in ten other places first.
        session.set_credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN"))
    return session.create_client(service, config=config)


def _whole(**after: Any) -> None:  # noqa: ANN401 - botocore's event
    """Refuse an answer that is not what DynamoDB has sent.

    botocore repeats the call, and takes an answer that is cut again for an empty one: no such payment.
    """
    answer: AWSResponse = after["http_response"]
    told = answer.headers.get("x-amz-crc32")
    if told is not None and zlib.crc32(answer.content) != int(told):
        raise UnavailableError("ChecksumMismatch")


def refused(answer: dict[str, Any], count: int) -> dict[int, str]:
    """Return which entries of a batch of so many SQS or SNS did not take, by their numbers, and why.

    Those are all that it does not say it took: an answer that was cut on its way is read as an empty one.
    """
    taken = {entry["Id"] for entry in answer.get("Successful", [])}
    why = {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
    return {number: why.get(str(number), "NoAnswer") for number in range(count) if str(number) not in taken}


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
    except (NoConnectionError, HTTPClientError, ResponseParserError) as error:
        raise UnavailableError(type(error).__name__) from error
