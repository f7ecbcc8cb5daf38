"""Payments through the running stack: how many a second, for how many calls, whether many cost more each."""

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
# A fifth of a payment a second is far below what any machine does: who waits longer waits for what will not come.
_SECONDS_PER_PAYMENT = 5
_ACCEPTED = 202
_TOO_MANY = 429


@dataclass(frozen=True)
class Measured:
    """A number of payments, worked off."""

    payments: int
    seconds: float
    accept_ms: list[float]
    cpu_ms: dict[str, float]
    client_cpu_ms: float
    calls: dict[str, float]

    @property
    def calls_per_payment(self) -> float:
        """All functions' calls."""
        return sum(self.calls.values())

    @property
    def cost(self) -> float:
        """The functions' processor time in the clients': those do the same whatever the table holds.

        A busy machine makes both dearer alike, so this is what can be compared between two times of day.
        """
        return self.functions_cpu_ms / self.client_cpu_ms

    @property
    def functions_cpu_ms(self) -> float:
        """All functions' processor time for a payment."""
        return sum(value for name, value in self.cpu_ms.items() if name != "server")


class Client:
    """A client that keeps its connection, and signs its requests."""

    def __init__(self, bench: Bench) -> None:
        self._url = f"{bench.stack.api_url}/payments"
        keys = Credentials(bench.keys.access_key_id, bench.keys.secret_access_key)
        self._signer = SigV4Auth(keys, "execute-api", bench.stack.region)
        self._session = requests.Session()
        # Else the session asks the environment for proxies and a certificate at every request.
        self._session.trust_env = False
        self._session.verify = bench.stack.trusted or True

    def post(self) -> float:
        """Post a payment that will be approved; return how long it took, in ms."""
        number = uuid.uuid4()
        payment = {
            "transaction_id": f"bench-{_letters(number.int)}",
            # A customer's payments share a partition of the index: here are 4096 customers.
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
    """Write a number in letters: of random digits, one in a thousand would make a card number."""
    return f"{number:x}".translate(str.maketrans("0123456789", "ghijklmnop"))


def post(bench: Bench, payments: int, clients: int) -> list[float]:
    """Post payments from so many clients at once; return how long each took, in ms."""
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
    """Hold the stream and the queues back until all payments are posted: every batch that follows is a full one."""
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
            raise LocalError(f"{url} did not fill up with {messages} messages")
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
    """Return how many payments the table holds, by status: what was announced must be there."""
    statuses: dict[str, int] = {}
    for page in bench.stack.dynamodb.get_paginator("scan").paginate(
        TableName=bench.stack.outputs["dynamodb_table_name"],
        ProjectionExpression="#status",
        ExpressionAttributeNames={"#status": "status"},
    ):
        for item in page["Items"]:
            statuses[item["status"]["S"]] = statuses.get(item["status"]["S"], 0) + 1
    return statuses
