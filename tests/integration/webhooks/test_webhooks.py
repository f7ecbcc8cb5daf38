"""Webhooks: the signature, the allowed addresses, and the handling of failed deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import botocore.session
import pytest
import trustme
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from local import ROOT
from local.hcl import Module
from payments.domain.message import WORK
from payments.handlers import deliverer
from payments.runtime.settings import words
from payments.runtime.telemetry import flush
from payments.usecases import relay as relaying
from payments.usecases.compare import Difference, DifferenceKind
from payments.webhooks.delivery import (
    MAX_RETRY_AFTER_SECONDS,
    MOST_HIDDEN,
    Deliverer,
    GoneError,
    LeftAloneError,
    RetryQueue,
    SwitchedOffError,
)
from payments.webhooks.endpoint import AddressError, DeliveryError, Endpoint, is_refused, trust
from payments.webhooks.secret import OFF, EndpointSecret, SecretError, signers
from tests.support.aws import CREDENTIALS, Context, queue_event
from tests.support.receiver import Answer, Received, Receiver

MODULE = Module(ROOT / "modules/webhooks")
LOOPBACK = ("127.0.0.0/8",)
BODY = json.dumps(
    {
        "specversion": "1.0",
        "id": "order-1.2",
        "subject": "order-1",
        "type": "payment.processed",
        "data": {"name": "\u00e4"},
    }
)
NAME = "payment-webhook-shop-test"
DELAYS = [30, 60, 300]


RETENTION = 345_600


def a_state(hidden: int = 0, retention: int = RETENTION, names: list[str] | None = None) -> dict[str, Any]:
    """A queue's attributes as SQS returns them."""
    known = {"ApproximateNumberOfMessagesNotVisible": str(hidden), "MessageRetentionPeriod": str(retention)}
    return {"Attributes": {name: known[name] for name in names or known}}


class Sqs:
    """An SQS that reports how many messages are hidden."""

    def __init__(self, hidden: int = 0, retention: int = RETENTION) -> None:
        self.state = a_state(hidden, retention)
        self.asked = 0

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        return self.state


def a_secret(byte: int = 1) -> str:
    return "whsec_" + base64.b64encode(bytes([byte]) * 32).decode()


# Where webhooks may go


# Every block that is not public, from the registries of special-purpose addresses (RFC 6890 and its successors).
PRIVATE = [
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:db8::/32",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]


@given(st.sampled_from(PRIVATE).flatmap(lambda block: st.ip_addresses(network=str(block))))
def test_no_address_of_a_special_block_is_reached(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert is_refused(str(address))


@given(
    st.sampled_from([block for block in PRIVATE if block.version == 4]).flatmap(
        lambda block: st.ip_addresses(v=4, network=str(block))
    )
)
def test_nor_by_its_form_in_ipv6(address: ipaddress.IPv4Address) -> None:
    for form in (f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}", f"2002:{address.packed.hex(':', 2)}::1"):
        assert is_refused(form)


@given(st.ip_addresses().filter(lambda address: not any(address in block for block in PRIVATE)))
def test_every_address_that_is_reached_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if not is_refused(str(address)):
        assert address.is_global


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_the_public_internet_is_reached(address: str) -> None:
    assert not is_refused(address)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1%eth0", "255.255.255.255", "::"])
def test_the_metadata_and_their_like_are_not(address: str) -> None:
    assert is_refused(address)


def test_what_a_setting_allows_is_reached_and_no_more() -> None:
    allowed = [ipaddress.ip_network("127.0.0.0/8")]
    assert not is_refused("127.0.0.1", allowed)
    assert not is_refused("::ffff:127.0.0.1", allowed)
    assert is_refused("10.0.0.1", allowed)
    assert is_refused("::1", allowed)


@pytest.mark.parametrize(
    "url", ["http://a.example/", "ftp://a.example/", "https://", "https://u:p@a.example/", "https://a.example/#f"]
)
def test_a_url_that_is_no_plain_https_one_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        Endpoint.of(url, 1)


def test_a_url_keeps_its_port_path_and_query() -> None:
    endpoint = Endpoint.of("https://a.example:8443/hook?x=1", 1)
    assert (endpoint.host, endpoint.port, endpoint.path) == ("a.example", 8443, "/hook?x=1")
    assert Endpoint.of("https://a.example", 1).port == 443
    assert Endpoint.of("https://a.example", 1).path == "/"


# A receiver on loopback, with a certificate of its own authority


class WebhookWorld:
    """A receiver, a secret and a queue, and deliverers between them."""

    def __init__(self, receiver: Receiver, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
        self.receiver = receiver
        self.hidden: dict[str, int] = {}
        self.values: list[tuple[str, list[str]]] = []
        self.reads = 0
        self.ticks = 0.0
        self.moment = datetime.now(UTC)
        self.looked_up: list[str] = []
        self.put([a_secret()])
        self.trust = trust()
        authority.configure_trust(self.trust)
        self.resolve: Callable[[str], list[str]] = lambda _: ["127.0.0.1"]
        self._lookup = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str, port: int, *arguments: Any, **options: Any) -> Any:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            self.looked_up.append(host)
            return [(2, 1, 6, "", (address, port)) for address in self.resolve(host)]
        return self._lookup(host, port, *arguments, **options)

    # The part of Secrets Manager that the deliverer uses
    def put(self, secrets: list[str]) -> None:
        self.values.append((json.dumps({"secrets": secrets}), ["AWSCURRENT"]))

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        assert SecretId == NAME
        self.reads += 1
        text, stages = self.values[-1]
        return {"VersionId": f"v{len(self.values)}", "VersionStages": list(stages), "SecretString": text}

    def update_secret_version_stage(self, SecretId: str, VersionStage: str, MoveToVersionId: str) -> None:  # noqa: N803
        assert SecretId == NAME
        self.values[int(MoveToVersionId[1:]) - 1][1].append(VersionStage)

    # The part of SQS that it uses
    def change_message_visibility(self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert QueueUrl == "queue"
        self.hidden[ReceiptHandle] = VisibilityTimeout

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "queue"
        return a_state(names=AttributeNames)

    def deliverer(self, *, seconds: float = 5, host: str = "hooks.example.test", path: str = "/hook") -> Deliverer:
        endpoint = Endpoint.of(f"https://{host}:{self.receiver.port}{path}", seconds, LOOPBACK)
        secret = EndpointSecret(self, NAME, 60, lambda: self.ticks)
        return Deliverer(endpoint, secret, RetryQueue(self, "queue", DELAYS), lambda: self.moment, self.trust)

    def deliver(self, body: str = BODY, deliveries: int = 1, **changes: Any) -> Received:
        self.deliverer(**changes).work(body, "r", deliveries, self.moment)
        return self.receiver.received[-1]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def world(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookWorld]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.test").configure_cert(context)
    with Receiver(context) as receiver:
        yield WebhookWorld(receiver, authority, monkeypatch)


def answering(world: WebhookWorld, *answers: Answer) -> None:
    """Give these answers in turn, then repeat the last one."""
    left = list(answers)
    world.receiver.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


# The signature


def test_a_webhook_is_the_cloud_event_signed_by_the_scheme(world: WebhookWorld) -> None:
    received = world.deliver()
    assert received.path == "/hook"
    assert received.body.decode() == BODY
    assert received.headers["webhook-id"] == "order-1.2"
    assert received.headers["webhook-timestamp"] == str(int(world.moment.timestamp()))
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert received.headers["host"] == f"hooks.example.test:{world.receiver.port}"
    assert Webhook(a_secret()).verify(received.body, received.headers)["id"] == "order-1.2"


@pytest.mark.parametrize(
    ("header", "value"), [("webhook-id", "order-1.3"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")]
)
def test_a_changed_webhook_fails_verification(world: WebhookWorld, header: str, value: str) -> None:
    received = world.deliver()
    with pytest.raises(WebhookVerificationError):
        Webhook(a_secret()).verify(received.body, received.headers | {header: value})
    with pytest.raises(WebhookVerificationError):
        Webhook(a_secret()).verify(received.body + b" ", received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(a_secret(9)).verify(received.body, received.headers)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_or_future_timestamp_is_not_verified(world: WebhookWorld, minutes: int) -> None:
    world.moment += timedelta(minutes=minutes)
    received = world.deliver()
    with pytest.raises(WebhookVerificationError):
        Webhook(a_secret()).verify(received.body, received.headers)


def test_two_secrets_make_two_signatures_and_either_verifies(world: WebhookWorld) -> None:
    world.put([a_secret(1), a_secret(2)])
    received = world.deliver()
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for byte in (1, 2):
        Webhook(a_secret(byte)).verify(received.body, received.headers)


@given(st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3), st.text(min_size=1))
def test_the_signature_is_the_schemes_formula(keys: list[bytes], text: str) -> None:
    """Calculated here by hand, so that the library cannot change it unnoticed."""
    listed = {"secrets": ["whsec_" + base64.b64encode(key).decode() for key in keys]}
    moment = datetime.now(UTC).replace(microsecond=0)
    stamp = str(int(moment.timestamp()))
    body = json.dumps(text, ensure_ascii=True)
    made = [signer.sign("order-1.2", moment, body) for signer in signers(json.dumps(listed))]
    signed = f"order-1.2.{stamp}.{body}".encode()
    assert made == ["v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    headers = {"webhook-id": "order-1.2", "webhook-timestamp": stamp, "webhook-signature": " ".join(made)}
    for secret in listed["secrets"]:
        assert Webhook(secret).verify(body, headers) == text


@pytest.mark.parametrize("event_id", ["order-1", "a.1.5", "a\r\nx: y.1", "", "a.x", "\u00e4.1"])
def test_an_id_that_could_be_confused_is_never_signed(world: WebhookWorld, event_id: str) -> None:
    with pytest.raises(Exception, match="id is not one of ours"):
        world.deliver(json.dumps({"id": event_id}))
    with pytest.raises(Exception, match="not a CloudEvent"):
        world.deliver("{not json")
    assert world.receiver.received == []


# The secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_x",
        '{"secrets": []}',
        '{"secrets": "whsec_x"}',
        json.dumps({"secrets": [a_secret().removeprefix("whsec_")]}),
        json.dumps({"secrets": ["whsec_" + base64.b64encode(b"short").decode()]}),
        json.dumps({"secrets": ["whsec_" + base64.b64encode(bytes(65)).decode()]}),
        json.dumps({"secrets": ["whsec_***"]}),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SecretError) as raised:
        signers(text)
    assert "whsec_x" not in str(raised.value)


def test_an_invalid_secret_is_left_out_and_logged(log: io.StringIO) -> None:
    (signer,) = signers(json.dumps({"secrets": ["whsec_wrong", a_secret()]}))
    assert signer.sign("a.1", datetime.now(UTC), "b") == Webhook(a_secret()).sign("a.1", datetime.now(UTC), "b")
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["given"], line["valid"]) == ("ERROR", 2, 1)
    assert "whsec_" not in log.getvalue()


def test_the_secret_is_read_once_and_again_when_its_time_is_over(world: WebhookWorld) -> None:
    sender = world.deliverer()
    for _ in range(3):
        sender.work(BODY, "r", 1, world.moment)
    assert world.reads == 1
    world.put([a_secret(2)])
    world.ticks = 59
    sender.work(BODY, "r", 1, world.moment)
    Webhook(a_secret(1)).verify(world.receiver.received[-1].body, world.receiver.received[-1].headers)
    world.ticks = 60
    sender.work(BODY, "r", 1, world.moment)
    Webhook(a_secret(2)).verify(world.receiver.received[-1].body, world.receiver.received[-1].headers)
    assert world.reads == 2


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Secrets Manager that has the endpoint's secret, without a value."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client: Any = botocore.session.get_session().create_client("secretsmanager")
        client.create_secret(Name=NAME)
        yield client
        # Another test's mock may be active around this one, and both share one AWS.
        client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


def test_a_secret_without_a_value_is_logged(manager: Any, log: io.StringIO) -> None:
    with pytest.raises(SecretError, match="no value yet"):
        EndpointSecret(manager, NAME, 60).read()
    assert '"ERROR"' in log.getvalue()


def test_the_switch_is_a_label_of_the_secrets_version(manager: Any) -> None:
    manager.put_secret_value(SecretId=NAME, SecretString=json.dumps({"secrets": [a_secret()]}))
    secret = EndpointSecret(manager, NAME, 60)
    version = secret.read().version
    secret.switch_off()
    secret.switch_off()
    assert secret.read().off
    # The label is stored for the other containers, and for later ones.
    assert EndpointSecret(manager, NAME, 60).read().off
    label = f"SWITCHED_OFF-{version}"
    assert label in manager.describe_secret(SecretId=NAME)["VersionIdsToStages"][version]
    manager.update_secret_version_stage(SecretId=NAME, VersionStage=label, RemoveFromVersionId=version)
    assert not EndpointSecret(manager, NAME, 60).read().off


def test_a_new_secret_switches_the_endpoint_on_and_it_can_be_switched_off_again(manager: Any) -> None:
    for byte in (1, 2):
        manager.put_secret_value(SecretId=NAME, SecretString=json.dumps({"secrets": [a_secret(byte)]}))
        secret = EndpointSecret(manager, NAME, 60)
        assert not secret.read().off
        secret.switch_off()
        assert EndpointSecret(manager, NAME, 60).read().off


# The answer


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(world: WebhookWorld, status: int) -> None:
    answering(world, Answer(status))
    world.deliver()
    assert world.hidden == {}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_any_other_status_is_retried_later(world: WebhookWorld, status: int) -> None:
    answering(world, Answer(status))
    with pytest.raises(DeliveryError, match=str(status)):
        world.deliver()
    assert 24 <= world.hidden["r"] <= 30


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(world: WebhookWorld, status: int) -> None:
    answering(world, Answer(status, {"location": "/elsewhere"}), Answer(200))
    with pytest.raises(DeliveryError, match=str(status)):
        world.deliver()
    assert [request.path for request in world.receiver.received] == ["/hook"]


def test_410_switches_the_endpoint_off_and_nothing_more_is_sent(world: WebhookWorld, log: io.StringIO) -> None:
    answering(world, Answer(410))
    sender = world.deliverer()
    with pytest.raises(GoneError):
        sender.work(BODY, "a", 1, world.moment)
    with pytest.raises(SwitchedOffError):
        sender.work(BODY, "b", 1, world.moment)
    with pytest.raises(SwitchedOffError):
        world.deliverer().work(BODY, "c", 2, world.moment)
    assert len(world.receiver.received) == 1
    assert world.values[-1][1] == ["AWSCURRENT", "SWITCHED_OFF-v1"]
    # The messages stay in the queue, as after any failure.
    assert set(world.hidden) == {"a", "b", "c"}
    errors = [line for line in map(json.loads, log.getvalue().splitlines()) if line.get("level") == "ERROR"]
    assert [line["message"] for line in errors] == ["the endpoint answered 410 and is switched off"]


def test_what_the_alarms_watch_is_counted(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(world, Answer(204), Answer(500), Answer(410))
    flush()  # what other tests have counted
    capsys.readouterr()
    counted: list[dict[str, float]] = []
    for _ in range(4):
        handle(world, monkeypatch, [a_body(1)])
        written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        counted.append({name: sum(value) for emf in written for name, value in emf.items() if name.startswith("Web")})
        assert all(emf["service"] for emf in written)
    assert counted == [
        {"WebhookDelivered": 1},
        {"WebhookFailed": 1},
        {"WebhookFailed": 1, "WebhookSwitchedOff": 1},
        {"WebhookFailed": 1, "WebhookSwitchedOff": 1},
    ]
    watched = {name for name in MODULE.entries("name") if name.startswith("Webhook")}
    assert watched == {"WebhookFailed", "WebhookSwitchedOff"}


def test_410_is_logged_if_the_switch_cannot_be_set(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    answering(world, Answer(410))

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateSecretVersionStage")

    monkeypatch.setattr(world, "update_secret_version_stage", refuse)
    with pytest.raises(GoneError):
        world.deliver()
    assert "was not switched off" in log.getvalue()


def test_a_retry_has_the_same_id_and_body_and_a_new_timestamp(world: WebhookWorld) -> None:
    answering(world, Answer(500), Answer(200))
    with pytest.raises(DeliveryError):
        world.deliver()
    world.moment += timedelta(seconds=31)
    world.deliver(deliveries=2)
    first, second = world.receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 31
    Webhook(a_secret()).verify(second.body, second.headers)


# Time


def test_an_endpoint_that_never_answers_is_given_up(world: WebhookWorld) -> None:
    answering(world, Answer(wait=5))
    started = time.monotonic()
    with pytest.raises(DeliveryError, match="Timeout"):
        world.deliver(seconds=0.5)
    assert time.monotonic() - started < 2


def test_an_endpoint_that_drips_its_answer_is_given_up(world: WebhookWorld) -> None:
    answering(world, Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"x-drip: drop\r\n" * 50, pause=0.05))
    started = time.monotonic()
    with pytest.raises(DeliveryError):
        world.deliver(seconds=0.7)
    assert time.monotonic() - started < 2


def test_a_body_that_never_ends_is_not_waited_for(world: WebhookWorld) -> None:
    answering(world, Answer(200, pieces=(b"x" * 100,) * 100, pause=0.1))
    started = time.monotonic()
    world.deliver(seconds=0.7)
    assert time.monotonic() - started < 2


def test_a_large_body_is_not_read_to_its_end(world: WebhookWorld) -> None:
    sent: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(2000):
            sent.append(number)
            yield b"x" * 65536

    answer = Answer(200)
    answer.pieces = pieces()  # type: ignore[assignment]
    answering(world, answer)
    world.deliver()
    time.sleep(0.3)
    assert len(sent) < 1000


def test_nobody_listens(world: WebhookWorld) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        world.receiver.port, kept = probe.getsockname()[1], world.receiver.port
        with pytest.raises(DeliveryError, match="ConnectionRefusedError"):
            world.deliver()
        world.receiver.port = kept


# The connection goes to the address that was checked


def test_a_name_that_leads_anywhere_private_is_refused(world: WebhookWorld) -> None:
    world.resolve = lambda _: ["127.0.0.1", "10.0.0.1"]
    with pytest.raises(AddressError):
        world.deliver()
    assert world.receiver.received == []
    assert world.hidden


def test_a_literal_private_address_is_refused(world: WebhookWorld) -> None:
    with pytest.raises(AddressError):
        world.deliver(host="[::1]")


def test_a_name_that_is_rebound_is_not_asked_again(world: WebhookWorld) -> None:
    answers = iter([["127.0.0.1"]])
    world.resolve = lambda _: next(answers, ["169.254.169.254"])
    world.deliver()
    assert world.looked_up == ["hooks.example.test"]
    # TLS still uses the name, not the address.
    assert world.receiver.names == ["hooks.example.test"]


def test_the_next_address_is_tried(world: WebhookWorld) -> None:
    world.resolve = lambda _: ["127.0.0.2", "127.0.0.1"]
    world.deliver()


def test_an_unknown_name_is_tried_again_later(world: WebhookWorld) -> None:
    def unknown(_: str) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    world.resolve = unknown
    with pytest.raises(DeliveryError, match="not resolved"):
        world.deliver()


def test_another_names_certificate_is_refused(world: WebhookWorld) -> None:
    with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
        world.deliver(host="other.example.test")
    assert world.receiver.received == []


def test_an_unknown_authority_is_refused(world: WebhookWorld) -> None:
    world.trust = trust()
    with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
        world.deliver()
    assert world.receiver.received == []


# The time of the next delivery


def longest(_: float, high: float) -> float:
    return high


def test_the_delays_grow_and_the_last_failure_is_given_up_at_once() -> None:
    queue = RetryQueue(Sqs(), "queue", DELAYS, longest)
    assert [queue.delay(deliveries, 0) for deliveries in range(1, 5)] == [30, 60, 300, 0]


@given(st.integers(1, 3), st.floats(0, 1e9))
def test_a_delay_is_never_shorter_than_asked_for_nor_longer_than_the_queue_has_room_for(
    deliveries: int, asked: float
) -> None:
    delay = RetryQueue(Sqs(), "queue", DELAYS).delay(deliveries, 0, asked)
    assert 0.8 * DELAYS[deliveries - 1] <= delay <= max(DELAYS[deliveries - 1], MAX_RETRY_AFTER_SECONDS)
    assert delay >= min(int(asked), MAX_RETRY_AFTER_SECONDS)


def test_what_failed_together_does_not_come_back_together() -> None:
    queue = RetryQueue(Sqs(), "queue", [3600])
    assert len({queue.delay(1, 0) for _ in range(50)}) > 10


@pytest.mark.parametrize(
    ("hidden", "part"), [(0, 1), (50_000, 1), (60_000, 0.8), (75_000, 0.5), (99_000, 0.02), (100_000, 0), (119_000, 0)]
)
def test_the_more_messages_are_hidden_the_shorter_each_is(hidden: int, part: float) -> None:
    queue = RetryQueue(Sqs(hidden), "queue", [39_600], longest)
    assert queue.delay(1, 0) == round(39_600 * part)
    assert queue.delay(1, 0, 1e9) == round(39_600 * part)


@given(
    st.lists(st.integers(1, 39_600), min_size=1, max_size=20),
    st.integers(3600, 1_209_599),
    st.floats(0, 1),
    st.floats(0, 1e9),
)
def test_no_message_is_hidden_until_it_expires(
    delays: list[int], retention: int, received_at: float, asked: float
) -> None:
    """A message reaches its last delivery, at any age at its first, and with any delay that the endpoint asks for."""
    queue = RetryQueue(Sqs(retention=retention), "queue", delays)
    age = received_at * (retention - 60)
    for deliveries in range(1, len(delays) + 1):
        age += queue.delay(deliveries, age, asked)
    assert age < retention


def test_the_queues_state_is_read_once_in_ten_seconds() -> None:
    sqs, ticks = Sqs(), [0.0]
    queue = RetryQueue(sqs, "queue", [3600], longest, lambda: ticks[0])
    for ticks[0] in (0, 5, 9.9):
        queue.delay(1, 0)
    assert sqs.asked == 1
    ticks[0] = 10
    sqs.state = a_state(hidden=100_000)
    assert queue.delay(1, 0) == 0


def test_where_the_queues_state_is_not_told_it_is_what_was_last_known(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    sqs, ticks = Sqs(hidden=75_000), [0.0]
    queue = RetryQueue(sqs, "queue", [3600], longest, lambda: ticks[0])
    assert queue.delay(1, 0) == 1800

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "RequestThrottled"}}, "GetQueueAttributes")

    monkeypatch.setattr(sqs, "get_queue_attributes", refuse)
    ticks[0] = 10
    assert queue.delay(1, 0) == 1800
    assert "the queue's state is not known" in log.getvalue()
    assert RetryQueue(sqs, "queue", [3600], longest).delay(1, 0) == 3600


# An endpoint that has been down for a long time


def fail(world: WebhookWorld, sender: Deliverer, times: int) -> None:
    for _ in range(times):
        with pytest.raises(DeliveryError):
            sender.work(BODY, "r", 1, world.moment)


def test_a_dead_endpoint_is_tried_once_in_a_while_and_by_every_message_when_it_is_back(world: WebhookWorld) -> None:
    answering(world, Answer(500))
    sender = world.deliverer()
    fail(world, sender, 9)
    world.moment += timedelta(minutes=15)
    fail(world, sender, 1)
    tried = len(world.receiver.received)
    assert tried == 10
    # During the pause, messages are postponed as after any failure.
    world.hidden.clear()
    with pytest.raises(LeftAloneError):
        sender.work(BODY, "s", 1, world.moment)
    assert 24 <= world.hidden["s"] <= 30
    world.moment += timedelta(seconds=59)
    fail(world, sender, 1)
    assert len(world.receiver.received) == tried
    # Tried again, and still down.
    world.moment += timedelta(seconds=1)
    fail(world, sender, 2)
    assert len(world.receiver.received) == tried + 1
    answering(world, Answer(204))
    world.moment += timedelta(minutes=1)
    for _ in range(3):
        sender.work(BODY, "r", 1, world.moment)
    assert len(world.receiver.received) == tried + 4


def test_an_endpoint_that_fails_for_a_short_time_or_now_and_then_is_tried_by_every_message(world: WebhookWorld) -> None:
    answering(world, Answer(500))
    sender = world.deliverer()
    fail(world, sender, 30)
    world.moment += timedelta(minutes=14)
    fail(world, sender, 1)
    answering(world, Answer(204))
    sender.work(BODY, "r", 1, world.moment)
    answering(world, Answer(500))
    for _ in range(9):
        world.moment += timedelta(hours=1)
        fail(world, sender, 1)
    assert len(world.receiver.received) == 41


@pytest.mark.parametrize("dated", [False, True])
def test_an_endpoint_that_asks_for_time_gets_it(world: WebhookWorld, dated: bool) -> None:
    asked = format_datetime(world.moment + timedelta(seconds=601), usegmt=True) if dated else "600"
    answering(world, Answer(429, {"retry-after": asked}))
    with pytest.raises(DeliveryError):
        world.deliver()
    assert 599 <= world.hidden["r"] <= 601


@pytest.mark.parametrize("asked", ["soon", "-5", "", "Mon, 99 Jan"])
def test_an_invalid_retry_after_is_ignored(world: WebhookWorld, asked: str) -> None:
    answering(world, Answer(503, {"retry-after": asked}))
    with pytest.raises(DeliveryError):
        world.deliver()
    assert world.hidden["r"] <= 30


def test_a_message_that_cannot_be_postponed_is_still_delivered_again(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "Throttling"}}, "ChangeMessageVisibility")

    monkeypatch.setattr(world, "change_message_visibility", refuse)
    answering(world, Answer(500))
    with pytest.raises(DeliveryError, match="500"):
        world.deliver()
    refused, postponed = map(json.loads, log.getvalue().splitlines())
    assert refused["message"] == "not postponed"
    # An operator may look for an announcement by either id.
    assert (postponed["message"], f"{postponed['transaction_id']}.2") == ("postponed", postponed["webhook_id"])


# The function


def handle(world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, bodies: list[str], **changes: Any) -> list[str]:
    sender = world.deliverer(**changes)
    monkeypatch.setattr(deliverer, "wired", lambda: (sender, 5.0))
    answer = deliverer.handler(queue_event(bodies), Context())  # type: ignore[arg-type]
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def a_body(number: int) -> str:
    return json.dumps({"id": f"order-{number}.2"})


@pytest.mark.parametrize("refund_id", [None, "r" * 64])
def test_a_difference_between_the_books_is_delivered_too(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, refund_id: str | None
) -> None:
    """Its id does not come from a payment's version."""
    difference = Difference(DifferenceKind.NOT_AT_GATEWAY, "o" * 64, refund_id, gateway_reference="pi_" + "x" * 60)
    event, _ = difference.event("/payments/test", date(2026, 1, 1), "2026-01-02T00:00:00Z")
    assert handle(world, monkeypatch, [json.dumps(event)]) == []
    assert world.receiver.received[0].headers["webhook-id"] == event["id"]


def test_a_failed_message_is_retried_alone(world: WebhookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.receiver.answer = lambda request: Answer(500 if b"order-1." in request.body else 204)
    assert handle(world, monkeypatch, [a_body(number) for number in range(3)]) == ["m1"]
    assert set(world.hidden) == {"r1"}
    assert world.reads == 1


def test_a_batch_is_delivered_at_once(world: WebhookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(world, Answer(wait=0.5))
    started = time.monotonic()
    assert handle(world, monkeypatch, [a_body(number) for number in range(10)]) == []
    assert time.monotonic() - started < 3


def test_none_is_started_that_could_not_be_finished(world: WebhookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = world.deliverer()
    monkeypatch.setattr(deliverer, "wired", lambda: (sender, 5.0))
    answer = deliverer.handler(queue_event([a_body(1)]), Context(remaining=9_000))  # type: ignore[arg-type]
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert (world.receiver.received, world.hidden) == ([], {})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    others=st.lists(
        st.one_of(
            st.text(max_size=40),
            st.recursive(st.none() | st.text() | st.integers(), lambda part: st.lists(part, max_size=2)).map(
                json.dumps
            ),
            st.builds(
                lambda key, value: json.dumps({key: value}),
                st.sampled_from(["id", "subject", "data"]),
                st.none()
                | st.integers()
                | st.text(max_size=80)
                | st.from_regex(r"[a-z]{1,3}\.[0-9]{1,12}", fullmatch=True),
            ),
        ),
        max_size=4,
    ),
    place=st.integers(0, 4),
)
def test_a_message_that_is_no_announcement_is_never_posted_and_holds_up_nothing(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, others: list[str], place: int
) -> None:
    world.receiver.received.clear()
    bodies = [*others[:place], a_body(7), *others[place:]]
    failed = handle(world, monkeypatch, bodies)
    posted = sorted(one.body.decode() for one in world.receiver.received)
    assert posted == sorted(body for number, body in enumerate(bodies) if f"m{number}" not in failed)
    assert a_body(7) in posted
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", json.loads(body)["id"]) for body in posted)


def test_no_log_holds_a_secret_a_body_or_a_url(
    world: WebhookWorld, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    answering(world, Answer(500), Answer(204))
    handle(world, monkeypatch, [a_body(1)], path="/token-in-the-path")
    handle(world, monkeypatch, [a_body(1)], path="/token-in-the-path")
    assert "delivered" in log.getvalue()
    for secret in (a_secret(), "token-in-the-path", world.receiver.received[0].headers["webhook-signature"]):
        assert secret not in log.getvalue()


def test_the_function_is_wired_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WEBHOOK_URL": "https://hooks.example.test/hook",
        "SECRET_NAME": NAME,
        "SECRET_TTL_SECONDS": "300",
        "QUEUE_URL": "https://sqs/queue",
        "RETRY_DELAYS_SECONDS": "30 60",
        "TIMEOUT_SECONDS": "15",
        "ALLOWED_PRIVATE_CIDRS": "127.0.0.0/8",
    }.items():
        monkeypatch.setenv(name, value)
    _, seconds = deliverer.wired.__wrapped__()  # type: ignore[attr-defined]
    assert seconds == 15.0


def test_words_are_split() -> None:
    assert (words("N", {"N": "a b"}), words("N", {"N": ""}), words("N", {})) == (["a", "b"], [], [])


# Values that are written in two places


def test_the_events_that_an_endpoint_may_ask_for_are_those_that_are_announced() -> None:
    of_a_charge = {f"payment.{status}" for status in relaying._OF_A_CHARGE}  # noqa: SLF001
    announced = (of_a_charge | set(relaying._OF_A_REFUND.values())) - WORK  # noqa: SLF001
    announced |= {"payment.disputed", "payment.dispute_closed", "gateway.difference"}
    assert set(Module(ROOT).local("webhook_events")) == announced


def test_the_most_hidden_messages_are_the_modules_too() -> None:
    bounds = [rule["condition"] for rule in MODULE.nested("variable", "thresholds", inside="validation")]
    assert any(f"var.thresholds.hidden_messages < {MOST_HIDDEN}" in bound for bound in bounds)
    assert MODULE.default("thresholds", "hidden_messages") == MOST_HIDDEN // 2


def test_the_label_is_the_policys_too() -> None:
    assert f'"{OFF}*"' in (ROOT / "modules/webhooks/main.tf").read_text()
