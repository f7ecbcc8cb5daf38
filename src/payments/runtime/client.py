"""Creates AWS clients quickly, with time-outs that fit inside the function's own."""

from __future__ import annotations

import os
import sys
import zlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader

from payments.domain.errors import UnavailableError
from payments.runtime.calls import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from botocore.awsrequest import AWSResponse
    from botocore.session import Session


class _Undocumented(ModuleType):
    """Stands for a module that writes documentation: each of its attributes is a class that does nothing."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda *_, **__: None})


def _session() -> Session:
    """Return a botocore session, without the part that writes a help text for each call of each client.

    That part imports twenty modules, HTML's entities among them, and takes a tenth of the cold start. If it is already
    imported, it stays.
    """
    for name in ("botocore.docs.docstring", "botocore.docs.service"):
        sys.modules.setdefault(name, _Undocumented(name))
    import botocore.session  # noqa: PLC0415 - it imports them

    return botocore.session.get_session()


class _Files(JSONFileLoader):
    """Reads botocore's descriptions of AWS, over a megabyte of JSON, with msgspec, which is several times as fast."""

    def _load_file(self, full_path: str, open_method: Callable[[str, str], BinaryIO]) -> Any:  # noqa: ANN401 - JSON
        if not os.path.isfile(full_path):  # noqa: PTH113 - botocore's paths are strings, and pathlib takes time to import
            return None
        with open_method(full_path, "rb") as file:
            return msgspec.json.decode(file.read())


class _OneService(Loader):
    """Assumes that botocore knows the service, instead of twice searching the list of all 400 services."""

    FILE_LOADER_CLASS = _Files

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return [self._service]


def connect(service: str) -> Any:  # noqa: ANN401 - botocore makes its clients' types at run time
    """Return a botocore client for an AWS service: botocore takes half as long to import as boto3."""
    config = Config(
        connect_timeout=1,
        read_timeout=1,
        # One repeat: the caller retries by itself, a client by the contract, a message by its queue.
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=CONCURRENCY,
    )
    session = _session()
    session.register_component("data_loader", _OneService(service))
    session.register("after-call", _check)
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        # Lambda puts the credentials there. Otherwise botocore would prepare to search ten other places first.
        session.set_credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN"))
    return session.create_client(service, config=config)


def _check(**after: Any) -> None:  # noqa: ANN401 - botocore's event
    """Refuse an answer that differs from what DynamoDB sent.

    botocore itself repeats the call, but reads a second incomplete answer as an empty one: no such payment.
    """
    answer: AWSResponse = after["http_response"]
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and zlib.crc32(answer.content) != int(checksum):
        raise UnavailableError("ChecksumMismatch")
