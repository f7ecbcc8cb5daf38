"""Send payments through the running stack: how many a second, with how many calls, and whether cost grows with size."""

from __future__ import annotations

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.stack import per_payment
from local import LocalError

if TYPE_CHECKING:
    from bench.stack import Bench, Process

BATCH = 10
# Every machine processes far more than a fifth of a payment a second: after this time, the rest will not come.
_SECONDS_PER_PAYMENT = 5
_ACCEPTED = 202
_TOO_MANY = 429


@dataclass(frozen=True)
class Measured:
    """The measurements of a number of processed payments."""

    payments: int
    seconds: float
    accept_ms: list[float]
    cpu_ms: dict[str, float]
    client_cpu_ms: float
    calls: dict[str, float]

    @property
    def calls_per_payment(self) -> float:
        """AWS calls for a payment, of all functions together."""
        return sum(self.calls.values())

    @property
    def cost(self) -> float:
        """The functions' processor time divided by the clients', whose work does not depend on the size of the table.

        A busy machine slows both equally, so this ratio can be compared between two times of day.
        """
        return self.functions_cpu_ms / self.client_cpu_ms

    @property
    def functions_cpu_ms(self) -> float:
        """Processor time for a payment, of all functions together."""
        return sum(value for name, value in self.cpu_ms.items() if name != "server")


class Client:
    """A client that keeps its connection open and signs its requests."""

    def __init__(self, bench: Bench) -> None:
        self._url = f"{bench.stack.api_url}/payments"
        keys = Credentials(bench.keys.access_key_id, bench.keys.secret_access_key)
        self._signer = SigV4Auth(keys, "execute-api", bench.stack.region)
        self._session = requests.Session()
        # Otherwise the session looks up proxies and certificates in the environment at every request.
        self._session.trust_env = False
        self._session.verify = bench.stack.trusted or True

    def post(self) -> float:
        """Post a payment that will be approved; return how long it took, in ms."""
        number = uuid.uuid4()
        payment = {
            "transaction_id": f"bench-{_letters(number.int)}",
            # A customer's payments share a partition of the index, so there are 4096 customers here.
            "customer_id": f"customer-{_letters(number.int % 4096)}",
            "amount": "12.50",
            "currency": "EUR",
            "payment_method": "pm_sim_approved",
        }
        body = json.dumps(payment)
        while True:
            request = AWSRequest("POST", self._url, data=body, headers={"content-type": "application/json"})
            self._signer.add_auth(request)
            started = time.perf_counter()
            answer = self._session.post(self._url, data=body, headers=dict(request.headers.items()), timeout=30)
            if answer.status_code == _ACCEPTED:
                return (time.perf_counter() - started) * 1000
            if answer.status_code != _TOO_MANY:
                raise LocalError(f"a payment was refused: {answer.status_code} {answer.text}")
            time.sleep(float(answer.headers.get("Retry-After", 1)))


def _letters(number: int) -> str:
    """Write a number in letters: one in a thousand numbers of random digits would pass as a card number."""
    return f"{number:x}".translate(str.maketrans("0123456789", "ghijklmnop"))


def post(bench: Bench, payments: int, clients: int) -> list[float]:
    """Post payments from several clients at once; return how long each took, in ms."""
    own = threading.local()

    def one(_: int) -> float:
        if not hasattr(own, "client"):
            own.client = Client(bench)
        return float(own.client.post())

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, range(payments)))


def work_off(bench: Bench, payments: int, clients: int) -> Measured:
    """Post payments and wait until the last one is announced."""
    announced, calls, before = bench.announced(), len(bench.calls()), bench.processes()
    started, own = time.monotonic(), time.process_time()
    taken = post(bench, payments, clients)
    own = time.process_time() - own
    bench.wait_for(announced + payments, payments * _SECONDS_PER_PAYMENT)
    seconds = time.monotonic() - started
    return Measured(
        payments,
        seconds,
        sorted(taken),
        _cpu_ms(before, bench.processes(), payments),
        own * 1000 / payments,
        per_payment(bench.calls()[calls:], payments, ledger_of(bench)),
    )


def work_off_backlog(bench: Bench, payments: int, clients: int) -> Measured:
    """Hold back the stream and the queues until all payments are posted, so that every batch is a full one."""
    lambdas = bench.stack.session().client("lambda", endpoint_url=bench.stack.endpoint, verify=bench.stack.trusted)
    names = bench.stack.outputs["function_names"]
    mappings = {
        mapping["FunctionArn"].split(":")[6]: mapping["UUID"]
        for mapping in lambdas.list_event_source_mappings()["EventSourceMappings"]
    }
    announced, calls, before = bench.announced(), len(bench.calls()), bench.processes()
    for mapping in mappings.values():
        lambdas.update_event_source_mapping(UUID=mapping, Enabled=False)
    taken = post(bench, payments, clients)
    started = time.monotonic()
    for function, queue in (("relay", None), ("processor", "validator_queue_url"), ("notifier", "processor_queue_url")):
        if queue:
            _wait_for_queue(bench, bench.stack.outputs[queue], payments)
        lambdas.update_event_source_mapping(UUID=mappings[names[function]], Enabled=True)
    bench.wait_for(announced + payments, payments * _SECONDS_PER_PAYMENT)
    return Measured(
        payments,
        time.monotonic() - started,
        sorted(taken),
        _cpu_ms(before, bench.processes(), payments),
        0,
        per_payment(bench.calls()[calls:], payments, ledger_of(bench)),
    )


def _wait_for_queue(bench: Bench, url: str, messages: int) -> None:
    deadline = time.monotonic() + messages * _SECONDS_PER_PAYMENT
    sqs = bench.stack.sqs
    while True:
        attributes: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        if int(attributes["Attributes"]["ApproximateNumberOfMessages"]) >= messages:
            return
        if time.monotonic() > deadline:
            raise LocalError(f"{url} did not reach {messages} messages in time")
        time.sleep(0.1)


def ledger_of(bench: Bench) -> str:
    """Return the name of the simulator's table."""
    return str(bench.stack.outputs["dynamodb_table_name"]).replace("transactions", "simulator-ledger")


def _cpu_ms(before: dict[str, Process], after: dict[str, Process], payments: int) -> dict[str, float]:
    return {
        name: (process.cpu_seconds - (before[name].cpu_seconds if name in before else 0)) * 1000 / payments
        for name, process in sorted(after.items())
    }


def in_table(bench: Bench) -> dict[str, int]:
    """Return how many payments the table holds, by status: every announced payment must be among them."""
    statuses: dict[str, int] = {}
    for page in bench.stack.dynamodb.get_paginator("scan").paginate(
        TableName=bench.stack.outputs["dynamodb_table_name"],
        ProjectionExpression="#status",
        ExpressionAttributeNames={"#status": "status"},
    ):
        for item in page["Items"]:
            statuses[item["status"]["S"]] = statuses.get(item["status"]["S"], 0) + 1
    return statuses
