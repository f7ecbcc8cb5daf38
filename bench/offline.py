"""Run the unchanged functions in this process, with an AWS that answers at once, to measure their own work."""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import statistics
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qsl

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from local import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, ModuleType

BATCH = 10
CHARGE_SECONDS = 0.2
FUNCTIONS = tuple(sorted(file.stem for file in (ROOT / "src/payments/handlers").glob("[a-z]*.py")))
# The functions that a payment passes through, and the reader.
WAY = ("validator", "relay", "processor", "notifier", "reader")
# The environment that Terraform gives the functions, with no AWS behind it.
ENVIRONMENT = {
    "AMOUNT_LIMITS": "{}",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "ap-southeast-1",
    "AWS_DEFAULT_REGION": "ap-southeast-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "CHARGED_INDEX_NAME": "charged-index",
    "CUSTOMER_INDEX_NAME": "customer-index",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.ap-southeast-1.amazonaws.com/000000000000/relay-dlq",
    "DEFAULT_CURRENCY": "USD",
    "ENVIRONMENT": "bench",
    "EVENT_SOURCE": "/payments/bench",
    "GATEWAY": "simulator",
    "GATEWAY_INDEX_NAME": "gateway-index",
    "MAX_RECEIVE_COUNT": "3",
    "NOTIFIER_QUEUE_URL": "https://sqs.ap-southeast-1.amazonaws.com/000000000000/notifier",
    "OPEN_INDEX_NAME": "open-index",
    "PAGE_TOKEN_SEAL": "none",
    "POWERTOOLS_METRICS_NAMESPACE": "Payments",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "PROCESSOR_QUEUE_URL": "https://sqs.ap-southeast-1.amazonaws.com/000000000000/processor",
    "QUEUE_URL": "https://sqs.ap-southeast-1.amazonaws.com/000000000000/webhook",
    "RECONCILE_AFTER_SECONDS": "900",
    "RESTORED": "false",
    "RETRY_DELAYS_SECONDS": "30 60",
    "SECRET_NAME": "webhook",
    "SECRET_TTL_SECONDS": "300",
    "SIMULATOR_TABLE_NAME": "ledger",
    "TABLE_NAME": "payments",
    "TIMEOUT_SECONDS": "15",
    "TOPIC_ARN": "arn:aws:sns:ap-southeast-1:000000000000:announcements",
    "WEBHOOK_URL": "https://receiver.example.com/",
}


class _Body:
    """A response's body as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._content


@dataclass
class NoAws:
    """Answers each call inside the process, and remembers the last item and the last messages."""

    calls: list[str] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    def __call__(self, request: Any, event_name: str, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore's
        """Answer a request, as a handler of botocore's before-send event."""
        operation = event_name.rpartition(".")[2]
        self.calls.append(operation)
        if operation == "PublishBatch":
            return _response(request.url, "text/xml", _published(request.body))
        asked = json.loads(request.body)
        answers: dict[str, dict[str, Any]] = {"GetItem": {"Item": self.item}}
        if operation == "BatchGetItem":
            ((table, keys),) = asked["RequestItems"].items()
            answers[operation] = {"Responses": {table: [self.item | key for key in keys["Keys"]]}}
        if operation == "PutItem":
            self.item = asked["Item"]
        if operation == "SendMessageBatch":
            self.sent = [entry["MessageBody"] for entry in asked["Entries"]]
            answers[operation] = {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]]}
        return _response(request.url, "application/x-amz-json-1.0", json.dumps(answers.get(operation, {})).encode())


def _published(body: Any) -> bytes:  # noqa: ANN401 - botocore's
    ids = [value for name, value in parse_qsl(body) if name.endswith(".Id")]
    members = "".join(f"<member><Id>{id_}</Id></member>" for id_ in ids)
    return (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed/>'
        f"<Successful>{members}</Successful></PublishBatchResult></PublishBatchResponse>"
    ).encode()


def _response(url: str, kind: str, body: bytes) -> AWSResponse:
    headers = HTTPHeaders()
    headers["content-type"] = kind
    return AWSResponse(url, 200, headers, _Body(body))


class LambdaContext:
    """A Lambda context with plenty of time left."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:ap-southeast-1:000000000000:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return half a minute."""
        return 30_000


@dataclass
class Functions:
    """The functions' modules, wired to no AWS, with an event for each that carries BATCH payments."""

    modules: dict[str, ModuleType]
    aws: NoAws

    def call(self, function: str) -> Any:  # noqa: ANN401 - what the function returns
        """Call a function with its event."""
        return self.modules[function].handler(self.event(function), LambdaContext())

    def payments_of(self, function: str) -> int:
        """Return how many payments one call of a function handles."""
        return 1 if function in {"validator", "reader"} else BATCH

    def event(self, function: str) -> dict[str, Any]:
        """Return a function's event."""
        event = {
            "validator": self._request,
            "reader": self._question,
            "relay": self._changes,
            "processor": self._messages,
            "notifier": self._outcomes,
        }
        return event[function]()

    def _request(self) -> dict[str, Any]:
        body = {
            "transaction_id": "order-1",
            "customer_id": "ada",
            "amount": "12.50",
            "currency": "EUR",
            "payment_method": "pm_sim_approved",
            "description": "Two tickets",
            "metadata": {"basket": "7"},
        }
        return api_event("/payments", body=json.dumps(body))

    def _question(self) -> dict[str, Any]:
        self._stored()
        return api_event("/payments/{transaction_id}", path={"transaction_id": "order-1"})

    def _stored(self) -> dict[str, Any]:
        # A fresh time at each call: a payment that was accepted long ago takes another path.
        self.modules["validator"].handler(self._request(), LambdaContext())
        return self.aws.item

    def _changes(self, status: str = "validated") -> dict[str, Any]:
        image = self._stored()
        change: dict[str, Any] = {"NewImage": image | {"status": {"S": status}}}
        if status != "validated":
            change["OldImage"] = image
        name = "MODIFY" if "OldImage" in change else "INSERT"
        records = []
        for number in range(BATCH):
            images = {which: item | {"transaction_id": {"S": f"order-{number}"}} for which, item in change.items()}
            records.append({"eventName": name, "dynamodb": images | {"SequenceNumber": str(number)}})
        return {"Records": records}

    def _messages(self, status: str = "validated") -> dict[str, Any]:
        """Return the messages that the relay sends for ten changes, as Lambda receives them from the queue."""
        self.modules["relay"].handler(self._changes(status), LambdaContext())
        records = [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "0"},
            }
            for number, body in enumerate(self.aws.sent)
        ]
        return {"Records": records}

    def _outcomes(self) -> dict[str, Any]:
        return self._messages("processed")


def api_event(
    resource: str,
    *,
    path: dict[str, str] | None = None,
    body: str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a request as API Gateway passes it."""
    return {
        "resource": resource,
        "headers": headers or {},
        "pathParameters": path,
        "queryStringParameters": query,
        "requestContext": {"requestId": "00000000-0000-0000-0000-000000000000"},
        "body": body,
        "isBase64Encoded": False,
    }


@contextmanager
def functions(charge_seconds: float = 0) -> Iterator[Functions]:
    """Wire the functions to an AWS that answers at once and a gateway that approves after some time."""
    with mock.patch.dict(os.environ, ENVIRONMENT):
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_LAMBDA_FUNCTION_NAME"):
            os.environ.pop(name, None)
        import importlib  # noqa: PLC0415

        from payments.gateways import simulator  # noqa: PLC0415 - after the environment, as on Lambda
        from payments.gateways.port import Approved  # noqa: PLC0415
        from payments.runtime import client  # noqa: PLC0415 - after the environment, as on Lambda

        no_aws = NoAws()
        make = client.connect

        def connect(service: str) -> Any:  # noqa: ANN401
            created = make(service)
            created.meta.events.register("before-send", no_aws)
            return created

        def charge(*_: object) -> Approved:
            if charge_seconds:
                time.sleep(charge_seconds)
            return Approved("sim_1")

        with mock.patch.object(client, "connect", connect), mock.patch.object(simulator.Simulator, "charge", charge):
            modules = {name: importlib.import_module(f"payments.handlers.{name}") for name in FUNCTIONS}
            for module in modules.values():
                module.wired.cache_clear()
            try:
                yield Functions(modules, no_aws)
            finally:
                for module in modules.values():
                    module.wired.cache_clear()


@contextmanager
def silent() -> Iterator[None]:
    """Let the functions log as usual, but discard the output."""
    from payments.runtime.telemetry import logger  # noqa: PLC0415

    with open(os.devnull, "w", encoding="utf-8") as nowhere, mock.patch.object(sys, "stdout", nowhere):  # noqa: PTH123
        handlers = [handler for handler in logger._logger.handlers if hasattr(handler, "setStream")]  # noqa: SLF001
        streams = [handler.setStream(nowhere) for handler in handlers]
        try:
            yield
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                handler.setStream(stream)


def batch_ratio(runs: int = 5) -> float:
    """Return how long a batch of BATCH charges takes, as a multiple of one charge: 1 means that all ran in parallel."""
    with functions(CHARGE_SECONDS) as wired, silent():
        wired.call("processor")
        taken: list[float] = []
        for _ in range(runs):
            event = wired.event("processor")
            started = time.perf_counter()
            answer = wired.modules["processor"].handler(event, LambdaContext())
            taken.append(time.perf_counter() - started)
            if answer != {"batchItemFailures": []}:
                raise RuntimeError(f"the batch was not processed: {answer}")
    return statistics.median(taken) / CHARGE_SECONDS


class Count(NamedTuple):
    """How many Python functions a payment calls: those in the package payments, and all of them."""

    own: float
    total: float


def count_calls(function: str) -> Count:
    """Count the Python functions that a warm function calls for a payment. The count does not depend on the machine."""
    own_folder = str(ROOT / "src")
    counts = [0, 0]

    def on_event(frame: FrameType, what: str, _: object) -> None:
        if what == "call":
            counts[1] += 1
            counts[0] += frame.f_code.co_filename.startswith(own_folder)

    with functions() as wired, silent():
        wired.call(function)
        wired.call(function)
        event = wired.event(function)
        # The processor uses threads.
        threading.setprofile(on_event)
        sys.setprofile(on_event)
        try:
            wired.modules[function].handler(event, LambdaContext())
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        payments = wired.payments_of(function)
    return Count(counts[0] / payments, counts[1] / payments)


class _OneAfterAnother:
    """Stands in for a pool of threads, and runs everything in the caller's thread."""

    def __init__(self, _: int) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, *, wait: bool) -> None:
        pass


class Work(NamedTuple):
    """A function's processor time for a payment in ms, the calls that it makes, and the largest parts of that time."""

    cpu_ms: float
    calls: Count
    top: list[tuple[str, float]]


def measure(function: str, runs: int = 200) -> Work:
    """Measure a warm function's own work for a payment."""
    with functions() as wired, silent():
        for _ in range(20):
            wired.call(function)
        events = [wired.event(function) for _ in range(runs)]
        handler: Callable[..., Any] = wired.modules[function].handler
        started = time.process_time()
        for event in events:
            handler(event, LambdaContext())
        cpu = time.process_time() - started
        profile = cProfile.Profile()
        # A profile covers only one thread.
        with mock.patch("payments.runtime.queue_batch.ThreadPoolExecutor", _OneAfterAnother):
            profile.enable()
            for event in events[:50]:
                handler(event, LambdaContext())
            profile.disable()
        payments = wired.payments_of(function)
    return Work(cpu * 1000 / runs / payments, count_calls(function), _top(profile))


# The owners of the code that the time is spent in.
_PARTS = (
    ("payments", str(ROOT / "src")),
    ("Powertools", "aws_lambda_powertools"),
    ("botocore", "botocore"),
    ("logging", "/logging/"),
    ("json", "/json/"),
)


def _top(profile: cProfile.Profile) -> list[tuple[str, float]]:
    parts: dict[str, float] = {}
    statistics_of: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, own, _, _) in statistics_of.items():
        part = next((name for name, where in _PARTS if where in file), "the rest of Python")
        parts[part] = parts.get(part, 0) + own
    whole = sum(parts.values())
    return sorted(((name, own / whole) for name, own in parts.items()), key=lambda part: -part[1])
