"""Webhooks on the running stack, with IAM enforced: what a receiver gets, and what happens if it fails."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from standardwebhooks.webhooks import Webhook

from ops.payment import new_payment
from tests.support.commands import Run
from tests.support.deployed import SECRET_TTL_SECONDS, role_of
from tests.support.receiver import Answer, Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack
    from tests.support.receiver import Receiver


pytestmark = pytest.mark.e2e

SOON = 40.0


def a_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


@dataclass
class Hooks:
    """The endpoints' receivers and secrets."""

    stack: Stack
    receivers: dict[str, Receiver]
    secrets: dict[str, list[str]] = field(default_factory=dict)

    @property
    def manager(self) -> SecretsManagerClient:
        return self.stack.session().client(
            "secretsmanager", endpoint_url=self.stack.endpoint, verify=self.stack.trusted
        )

    def put(self, endpoint: str, *secrets: str) -> None:
        """Put an endpoint's secrets, as an operator does."""
        self.secrets[endpoint] = list(secrets)
        name = self.stack.outputs["webhooks"][endpoint]["secret_name"]
        self.manager.put_secret_value(SecretId=name, SecretString=json.dumps({"secrets": secrets}))

    def wait(self, endpoint: str, transaction_id: str, seconds: float = SOON) -> Received | None:
        return self.receivers[endpoint].wait(about(transaction_id), seconds)

    def of(self, endpoint: str, transaction_id: str) -> list[Received]:
        return [request for request in self.receivers[endpoint].received if about(transaction_id)(request)]


def about(transaction_id: str) -> Callable[[Received], bool]:
    return lambda request: bool(json.loads(request.body)["subject"] == transaction_id)


@pytest.fixture(scope="module")
def hooks(stack: Stack, receivers: dict[str, Receiver]) -> Hooks:
    hooks = Hooks(stack, receivers)
    for endpoint in receivers:
        hooks.put(endpoint, a_secret())
    receivers["refusals"].answer = lambda _: Answer(410)
    receivers["slow"].answer = lambda _: Answer(wait=30)
    time.sleep(SECRET_TTL_SECONDS)
    return hooks


def pay(api: Api, **changes: Any) -> str:
    changes = {"payment_method": "pm_card_visa"} | changes
    payment = new_payment(transaction_id=f"hook-{uuid.uuid4().hex[:12]}", **changes)
    answer = api.post(payment)
    assert answer.status_code == 202, answer.text
    return str(payment["transaction_id"])


def test_a_receiver_gets_a_webhook_and_can_verify_it(api: Api, hooks: Hooks, inbox: Inbox) -> None:
    hooks.receivers["shop"].answer = lambda _: Answer(204)
    transaction_id = pay(api)
    received = hooks.wait("shop", transaction_id)
    assert received is not None
    event = Webhook(hooks.secrets["shop"][0]).verify(received.body, received.headers)
    assert received.path == "/shop"
    assert received.headers["webhook-id"] == f"{transaction_id}.2" == event["id"]
    assert event == inbox.wait(lambda event: event["subject"] == transaction_id, SOON)


def test_an_endpoint_is_sent_only_what_it_asks_for_and_a_slow_one_delays_none(
    api: Api, hooks: Hooks, stack: Stack
) -> None:
    hooks.receivers["shop"].answer = lambda _: Answer(204)
    before = time.monotonic()
    payments = [pay(api) for _ in range(5)]
    for transaction_id in payments:
        received = hooks.wait("shop", transaction_id)
        assert received is not None
    assert time.monotonic() - before < SOON
    # Deliveries to the slow endpoint time out meanwhile: its messages wait.
    assert hooks.wait("slow", payments[0]) is not None
    queue = stack.outputs["webhooks"]["slow"]["dead_letter_queue_url"]
    letters: set[str] = set()
    deadline = time.monotonic() + 90
    while not set(payments) <= letters and time.monotonic() < deadline:
        answer = stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        letters |= {json.loads(message["Body"])["subject"] for message in answer.get("Messages", [])}
    assert set(payments) <= letters
    assert {len(hooks.of("slow", transaction_id)) for transaction_id in payments} == {3}
    assert not any(hooks.of("refusals", transaction_id) for transaction_id in payments)


def test_a_failure_is_tried_again_later_each_time_under_the_same_id(api: Api, hooks: Hooks) -> None:
    left = [Answer(500), Answer(302, {"location": "/elsewhere"}), Answer(200)]
    hooks.receivers["shop"].answer = lambda _: left.pop(0) if len(left) > 1 else left[0]
    transaction_id = pay(api)
    deadline = time.monotonic() + SOON
    while len(hooks.of("shop", transaction_id)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    attempts = hooks.of("shop", transaction_id)
    assert len(attempts) == 3
    assert {attempt.path for attempt in attempts} == {"/shop"}
    assert {attempt.headers["webhook-id"] for attempt in attempts} == {f"{transaction_id}.2"}
    assert len({attempt.body for attempt in attempts}) == 1
    first, second, third = attempts
    # 2 s and 4 s, up to a fifth less; the mapping polls at its own pace.
    assert second.at - first.at >= 1.5
    assert third.at - second.at >= 3
    assert int(third.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    Webhook(hooks.secrets["shop"][0]).verify(third.body, third.headers)


def test_a_secret_is_rotated_with_two_valid_ones(api: Api, hooks: Hooks) -> None:
    hooks.receivers["shop"].answer = lambda _: Answer(204)
    old, new = hooks.secrets["shop"][0], a_secret()
    hooks.put("shop", new, old)
    time.sleep(SECRET_TTL_SECONDS + 1)
    received = hooks.wait("shop", pay(api))
    assert received is not None
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(received.body, received.headers)


def verdict(payments: Run, check: str) -> str:
    (found,) = [one for one in payments("doctor", "--json").json["findings"] if one["check"] == check]
    return str(found["verdict"])


def test_410_switches_an_endpoint_off_until_it_is_switched_on(
    api: Api, hooks: Hooks, stack: Stack, payments: Run
) -> None:
    declined = {"payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"}
    refused = pay(api, **declined)
    assert hooks.wait("refusals", refused) is not None
    name = stack.outputs["webhooks"]["refusals"]["secret_name"]
    version, label = until_labelled(hooks.manager, name)
    assert verdict(payments, "webhook refusals") == "fail"
    hooks.receivers["refusals"].answer = lambda _: Answer(204)
    time.sleep(SECRET_TTL_SECONDS + 1)
    before = len(hooks.receivers["refusals"].received)
    waiting = pay(api, **declined)
    assert hooks.wait("shop", waiting) is not None
    time.sleep(3)
    assert len(hooks.receivers["refusals"].received) == before

    hooks.manager.update_secret_version_stage(SecretId=name, VersionStage=label, RemoveFromVersionId=version)
    assert verdict(payments, "webhook refusals") == "ok"
    time.sleep(SECRET_TTL_SECONDS + 1)
    again = pay(api, **declined)
    received = hooks.wait("refusals", again)
    assert received is not None
    Webhook(hooks.secrets["refusals"][0]).verify(received.body, received.headers)


def until_labelled(manager: SecretsManagerClient, name: str) -> tuple[str, str]:
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        current = manager.get_secret_value(SecretId=name)
        label = f"SWITCHED_OFF-{current['VersionId']}"
        if label in current["VersionStages"]:
            return current["VersionId"], label
        time.sleep(0.2)
    raise AssertionError("the endpoint was not switched off")


def test_a_function_reads_no_other_endpoints_secret(hooks: Hooks, stack: Stack) -> None:
    """IAM refuses the role of one endpoint's function the other endpoint's secret."""
    own, others = (stack.outputs["webhooks"][endpoint]["secret_name"] for endpoint in ("shop", "slow"))
    manager = role_of(stack, stack.outputs["webhooks"]["shop"]["function_name"])("secretsmanager")
    assert manager.get_secret_value(SecretId=own)["SecretString"]
    with pytest.raises(ClientError, match="AccessDenied"):
        manager.get_secret_value(SecretId=others)


def test_an_operator_tries_an_endpoint(payments: Run, hooks: Hooks) -> None:
    hooks.receivers["shop"].answer = lambda _: Answer(204)
    tried = payments("webhooks", "test", "shop", "--json")
    assert (tried.status, tried.json["status"]) == (0, 204)
    received = hooks.wait("shop", tried.json["webhook_id"])
    assert received is not None
    event = Webhook(hooks.secrets["shop"][0]).verify(received.body, received.headers)
    assert (event["type"], event["id"]) == ("payment.test", tried.json["webhook_id"])


def test_a_given_up_webhook_is_listed_and_sent_again(payments: Run, api: Api, hooks: Hooks) -> None:
    hooks.receivers["slow"].answer = lambda _: Answer(500)
    transaction_id = pay(api)
    given_up: dict[str, str] = {}
    deadline = time.monotonic() + SOON
    while transaction_id not in given_up and time.monotonic() < deadline:
        letters = payments("dlq", "peek", "webhook-slow", "--limit", "100", "--json").json
        given_up = {letter["transaction_id"]: letter["event"] for letter in letters}
    assert given_up.get(transaction_id) == "payment.processed"
    tried = len(hooks.of("slow", transaction_id))
    hooks.receivers["slow"].answer = lambda _: Answer(204)
    sent = payments("dlq", "redrive", "webhook-slow", "--yes", "--json")
    assert (sent.status, sent.json["kept"]) == (0, 0)
    while len(attempts := hooks.of("slow", transaction_id)) == tried and time.monotonic() < deadline + SOON:
        time.sleep(0.1)
    assert len(attempts) == tried + 1
    assert {attempt.headers["webhook-id"] for attempt in attempts} == {f"{transaction_id}.2"}
