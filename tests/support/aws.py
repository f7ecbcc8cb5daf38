"""AWS in memory, and events as Lambda sends them."""

from __future__ import annotations

import copy
import io
import json
import logging
import socket
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from payments.domain.payment import Payment
from payments.runtime import client
from payments.table import store
from payments.table.items import to_item
from payments.table.store import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "ap-southeast-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}
TABLE = "payment-transactions-test"
LEDGER = "payment-simulator-ledger-test"
INDEX = "customer-index"
OPEN_INDEX = "open-index"
GATEWAY_INDEX = "gateway-index"
CHARGED_INDEX = "charged-index"
# The payments table's indexes, each with its keys.
INDEXES = {
    INDEX: ("customer_shard", "created_at"),
    OPEN_INDEX: ("open_shard", "open_from"),
    CHARGED_INDEX: ("charged_on", "transaction_id"),
    GATEWAY_INDEX: ("gateway_reference",),
}

REQUEST = {
    "transaction_id": "order-1",
    "customer_id": "ada",
    "amount": "12.50",
    "currency": "EUR",
    "payment_method": "pm_sim_approved",
}


@dataclass
class Context:
    """A Lambda context with a given time left."""

    remaining: int = 30_000
    function_name: str = "test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:ap-southeast-1:000000000000:function:test"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        **CREDENTIALS,
        "TABLE_NAME": TABLE,
        "SIMULATOR_TABLE_NAME": LEDGER,
        "CUSTOMER_INDEX_NAME": INDEX,
        "OPEN_INDEX_NAME": OPEN_INDEX,
        "GATEWAY_INDEX_NAME": GATEWAY_INDEX,
        "CHARGED_INDEX_NAME": CHARGED_INDEX,
        "PAGE_TOKEN_SEAL": "seal",
        "RESTORED": "false",
        "RECONCILE_AFTER_SECONDS": "900",
        "DEFAULT_CURRENCY": "USD",
        "GATEWAY": "simulator",
        "MAX_RECEIVE_COUNT": "3",
        "EVENT_SOURCE": "/payments/test",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_LAMBDA_FUNCTION_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep unit tests quick: tests that need a server or a process belong in tests/integration."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unit tests must not open sockets or start processes: move this test to tests/integration")

    for name in ("bind", "connect"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


class Worst:
    """Moto's DynamoDB, with answers that the real one may give and moto never does.

    Pages hold two items. Half of a batch is returned unprocessed. A read that is not strongly consistent misses the
    item's last write. Moto checks a condition and then writes, in two steps: here both happen at once.
    """

    PAGE = 2
    KEYS = {TABLE: "transaction_id", LEDGER: "idempotency_key"}  # noqa: RUF012

    def __init__(self, call: Callable[[str, dict[str, Any]], Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._before: dict[tuple[str, str], dict[str, Any]] = {}

    def __call__(self, operation: str, request: dict[str, Any]) -> Any:
        with self._lock:
            match operation:
                case "PutItem" | "UpdateItem" | "DeleteItem":
                    return self._write(operation, request)
                case "GetItem":
                    return self._read(request["TableName"], request["Key"], request)
                case "BatchGetItem":
                    return self._read_batch(request["RequestItems"])
                case "Query" | "Scan":
                    request = request | {"Limit": min(request.get("Limit", self.PAGE), self.PAGE)}
                case "DeleteTable":
                    self._before.clear()
            return self._call(operation, request)

    def _name(self, table: str, key: dict[str, Any]) -> tuple[str, str]:
        return table, key[self.KEYS.get(table, "transaction_id")]["S"]

    def _write(self, operation: str, request: dict[str, Any]) -> Any:
        table = request["TableName"]
        key = request.get("Key") or {
            self.KEYS.get(table, "transaction_id"): request["Item"][self.KEYS.get(table, "transaction_id")]
        }
        before = self._call("GetItem", {"TableName": table, "Key": key})
        answer = self._call(operation, request)
        self._before[self._name(table, key)] = before
        return answer

    def _read(self, table: str, key: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        name = self._name(table, key)
        if not options.get("ConsistentRead") and name in self._before:
            return copy.deepcopy(self._before[name])
        answer: dict[str, Any] = self._call("GetItem", {"TableName": table, "Key": key})
        return answer

    def _read_batch(self, tables: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, list[Any]] = {}
        left: dict[str, Any] = {}
        for table, wanted in tables.items():
            served = (len(wanted["Keys"]) + 1) // 2
            answers = [self._read(table, key, wanted) for key in wanted["Keys"][:served]]
            found[table] = [answer["Item"] for answer in answers if "Item" in answer]
            if wanted["Keys"][served:]:
                left[table] = wanted | {"Keys": wanted["Keys"][served:]}
        return {"Responses": found, "UnprocessedKeys": left}


# While moto is active, it intercepts every call of boto: so not for longer than this folder's tests.
@pytest.fixture(scope="package")
def moto_client() -> Iterator[Any]:
    """One client for all tests, since creating one takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        moto = client.connect("dynamodb")
        moto._make_api_call = Worst(moto._make_api_call)  # noqa: SLF001
        yield moto


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Captures the functions' log output."""
    written = io.StringIO()
    handlers = [handler for handler in logging.getLogger("test").handlers if isinstance(handler, logging.StreamHandler)]
    assert handlers
    streams = [handler.setStream(written) for handler in handlers]
    yield written
    for handler, stream in zip(handlers, streams, strict=True):
        handler.setStream(stream)


def _schema(*keys: str) -> list[dict[str, str]]:
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]


def create_table(moto: Any, name: str, key: str, indexes: dict[str, tuple[str, ...]]) -> None:
    attributes = {key, *chain.from_iterable(indexes.values())}
    of_indexes = [
        {"IndexName": index, "KeySchema": _schema(*keys), "Projection": {"ProjectionType": "KEYS_ONLY"}}
        for index, keys in indexes.items()
    ]
    moto.create_table(
        TableName=name,
        KeySchema=_schema(key),
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in sorted(attributes)],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": of_indexes} if of_indexes else {}),
    )


@pytest.fixture
def dynamodb(moto_client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A DynamoDB with both tables, empty, behind the functions' client."""
    monkeypatch.setattr(client, "connect", lambda service: {"dynamodb": moto_client}[service])
    # The wait before a partly unprocessed batch is retried.
    monkeypatch.setattr(store, "_PAUSE_SECONDS", 0)
    create_table(moto_client, TABLE, "transaction_id", INDEXES)
    create_table(moto_client, LEDGER, "idempotency_key", {})
    yield moto_client
    for name in (TABLE, LEDGER):
        moto_client.delete_table(TableName=name)


@contextmanager
def cold(*cached: Any) -> Iterator[None]:
    """Empty what functions keep from their cold start, such as ``validator.wired``, before a test and after it."""
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def table(dynamodb: Any) -> Table:
    return Table(dynamodb, TABLE)


def item(dynamodb: Any, transaction_id: str = "order-1") -> dict[str, Any]:
    """A payment as the table stores it."""
    found: dict[str, Any] = dynamodb.get_item(
        TableName=TABLE, Key={"transaction_id": {"S": transaction_id}}, ConsistentRead=True
    )["Item"]
    return found


def payment(**changes: Any) -> Payment:
    """A payment as the validator writes it."""
    values: dict[str, Any] = {
        "transaction_id": "order-1",
        "customer_id": "ada",
        "amount_minor": 1250,
        "currency": "EUR",
        "payment_method": "pm_sim_approved",
        "status": "validated",
        "version": 1,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "fingerprint": "f",
    }
    return Payment(**(values | changes))


def state(table: Table) -> Payment:
    """The payment that `payment` makes, as the table holds it now."""
    found = table.get("order-1")
    assert found
    return found


def api_event(
    body: Any = None,
    *,
    resource: str = "/payments",
    path: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A request as API Gateway's proxy integration passes it."""
    return {
        "resource": resource,
        "httpMethod": "POST" if body is not None else "GET",
        "headers": headers,
        "pathParameters": path,
        "queryStringParameters": query,
        "requestContext": {"requestId": str(uuid.uuid4())},
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


def queue_event(bodies: list[str], receive_count: int = 1) -> dict[str, Any]:
    """A batch as Lambda receives it from a queue."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": str(receive_count),
                    "SentTimestamp": str(int(time.time() * 1000)),
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:ap-southeast-1:000000000000:q",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def stream_record(new: Payment | None, old: Payment | None = None) -> dict[str, Any]:
    """A record as it appears in the table's stream."""
    images = {"NewImage": new, "OldImage": old}
    return {
        "eventName": "REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
        "dynamodb": {"SequenceNumber": "1"} | {name: to_item(image) for name, image in images.items() if image},
    }
