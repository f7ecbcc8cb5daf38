"""Deliver announcements to an HTTPS endpoint, signed by the Standard Webhooks scheme.

The endpoint is somebody else's: it may be slow, dead, or aim at what only we can reach. So every wait has an end, no
redirect is followed, and the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ipaddress
import random
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct
from standardwebhooks import Webhook

from payments.aws import UnavailableError, available
from payments.model import PoisonError
from payments.telemetry import logger, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
USER_AGENT = "payments-webhooks/1"
# Enough to let an endpoint finish its answer; nobody reads it.
MAX_ANSWER_BYTES = 16 * 1024
CONNECT_SECONDS = 5.0
# The longest wait that an endpoint may ask for.
MAX_RETRY_AFTER_SECONDS = 3600

# SQS hides about 120,000 messages of a standard queue. At the limit a long poll returns nothing, without an error
# (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html): nothing is delivered then,
# and what is never received expires without a dead letter. From half of this number on the delays shrink, to none.
MOST_HIDDEN = 100_000
# For how long a container goes by what it knows of the queue.
STATE_SECONDS = 10.0
# When a container takes an endpoint for dead, and how long it leaves a dead one alone after each try.
DEAD_AFTER = timedelta(minutes=15)
DEAD_AFTER_FAILURES = 10
LEFT_ALONE_FOR = timedelta(minutes=1)

# The staging label of a secret's version that says that its endpoint is switched off, before the version's id.
OFF = "SWITCHED_OFF-"

_SUCCESS = range(200, 300)
_GONE = 410
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SECRET_BYTES = range(24, 65)
# What the scheme joins by full stops must not be confused: the id's own one stands before digits only.
# Of a payment, of its refund or dispute, and of a difference between the gateway's books and the table.
_EVENT_ID = re.compile(
    r"[A-Za-z0-9_-]{1,64}\.[0-9]{1,10}(-(refund|dispute)-[A-Za-z0-9_-]{1,64})?|difference\.[A-Za-z0-9_.-]{1,245}"
)

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
# Reached through a translator or a relay, they lead to an IPv4 address that nobody would have checked; or they are
# reserved, and not all versions of Python say so.
_NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(block) for block in ("2001::/23", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")
)


class DeliveryError(Exception):
    """A message was not delivered: it comes again."""

    def __init__(self, reason: str, retry_after: float = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class AddressError(DeliveryError):
    """The endpoint's name leads to an address that no webhook may be sent to."""


class GoneError(DeliveryError):
    """The endpoint answered 410: it wants no more."""


class SwitchedOffError(DeliveryError):
    """The endpoint is switched off: nothing is sent until someone switches it on again."""


class LeftAloneError(DeliveryError):
    """The endpoint is dead and was tried a moment ago."""


class SecretError(DeliveryError):
    """There is no secret to sign with."""


@dataclass(frozen=True)
class Endpoint:
    """Where webhooks go, how long a delivery may take, and which private networks it may be in: on a laptop only."""

    host: str
    port: int
    path: str
    seconds: float
    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, url: str, seconds: float, allowed: Iterable[str] = ()) -> Endpoint:
        """Return the endpoint of a URL; raises ValueError where that is no plain https one."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("a webhook's URL must be https://host/path, with no user and no fragment")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, parts.port or 443, path, seconds, tuple(map(ipaddress.ip_network, allowed)))


def is_refused(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Say whether an address is none of the public internet's, and in no network that is ``allowed``."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in network for network in allowed):
        return False
    if any(ip in network for network in _NEVER) or (ip.version == 6 and ip not in _PUBLIC_V6):  # noqa: PLR2004
        return True
    return not ip.is_global or ip.is_multicast or ip.is_reserved


def addresses(endpoint: Endpoint) -> list[str]:
    """Resolve the endpoint's name once; raises AddressError where any of its addresses is refused."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError("the endpoint's name was not resolved") from error
    resolved = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if any(is_refused(address, endpoint.allowed) for address in resolved):
        raise AddressError("the endpoint's name leads to an address that is not public")
    return resolved


class _Socket(ssl.SSLSocket):
    """A TLS connection of which no wait outlasts the delivery: a time-out alone starts anew with every byte."""

    deadline = float("inf")

    def _limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the delivery took too long")
        self.settimeout(left)

    def recv_into(self, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as the base class has them
        self._limit()
        return super().recv_into(*arguments, **options)

    def send(self, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as the base class has them
        self._limit()
        return super().send(*arguments, **options)


def trust() -> ssl.SSLContext:
    """Return what TLS is checked by: the system's authorities, and the endpoint's own name."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Socket
    return context


class _Connection(http.client.HTTPSConnection):
    """A connection to addresses that were checked, and to no other: the name is not resolved again."""

    def __init__(self, endpoint: Endpoint, checked: Sequence[str], context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(endpoint.host, endpoint.port, context=context)
        self._checked = checked
        self._trust = context
        self._deadline = deadline

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)

    def _reach(self) -> socket.socket:
        for address in self._checked[:-1]:
            with suppress(OSError):
                return socket.create_connection((address, self.port), min(CONNECT_SECONDS, self._left()))
        return socket.create_connection((self._checked[-1], self.port), min(CONNECT_SECONDS, self._left()))

    def connect(self) -> None:
        """Connect, and check that the certificate is the host name's."""
        plain = self._reach()
        plain.settimeout(self._left())
        tls = self._trust.wrap_socket(plain, server_hostname=self.host)
        if isinstance(tls, _Socket):
            tls.deadline = self._deadline
        self.sock = tls


def post(endpoint: Endpoint, headers: dict[str, str], body: bytes, context: ssl.SSLContext) -> tuple[int, str | None]:
    """Post a body and return the status and the Retry-After header.

    Raises DeliveryError where there is no answer in time, AddressError where the endpoint must not be reached.
    """
    deadline = time.monotonic() + endpoint.seconds
    connection = _Connection(endpoint, addresses(endpoint), context, deadline)
    try:
        connection.request("POST", endpoint.path, body, headers)
        answer = connection.getresponse()
        with suppress(OSError, http.client.HTTPException):
            answer.read(MAX_ANSWER_BYTES)
        return answer.status, answer.headers.get("Retry-After")
    except (OSError, http.client.HTTPException) as error:
        # Not its text, which may be the endpoint's words.
        detail = error.strerror if isinstance(error, OSError) else None
        raise DeliveryError(": ".join(filter(None, [type(error).__name__, detail]))) from error
    finally:
        connection.close()


class _Secrets(Struct, frozen=True):
    secrets: list[str]


def signers(text: str) -> list[Webhook]:
    """Return what signs with each valid secret of a secret's JSON; raises SecretError where there is none."""
    try:
        listed = msgspec.json.decode(text, type=_Secrets).secrets
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise SecretError('the secret must be JSON: {"secrets": ["whsec_..."]}') from error
    valid = [key for key in map(_key, listed) if key is not None]
    if len(valid) < len(listed):
        logger.error("a webhook secret is not valid", given=len(listed), valid=len(valid))
    if not valid:
        raise SecretError("no webhook secret is valid: whsec_ and base64 of 24 to 64 bytes")
    return [Webhook(key) for key in valid]


def _key(secret: str) -> bytes | None:
    if not secret.startswith(_SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in _SECRET_BYTES else None


class Signing(Struct, frozen=True):
    """What the secret said when it was last read."""

    version: str
    signers: list[Webhook]
    off: bool


class Secret:
    """An endpoint's secret in Secrets Manager, read once per container and time to live.

    Its current version also holds the endpoint's switch: a staging label says that it is off. No deployment touches it,
    and a new value, which has no labels yet, switches the endpoint on.
    """

    def __init__(self, client: Any, name: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._name = name
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._read: Signing | None = None
        self._until = 0.0

    def read(self) -> Signing:
        """Return the secret; raises SecretError where it has no value to sign with."""
        with self._lock:
            if self._read is None or self._clock() >= self._until:
                self._read = self._fetch()
                self._until = self._clock() + self._seconds
            return self._read

    def _fetch(self) -> Signing:
        try:
            with available():
                answer = self._client.get_secret_value(SecretId=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            logger.error("the webhook has no secret yet", secret=self._name)
            raise SecretError("the secret has no value yet") from error
        version = answer["VersionId"]
        off = f"{OFF}{version}" in answer["VersionStages"]
        return Signing(version, [] if off else signers(answer["SecretString"]), off)

    def switch_off(self) -> None:
        """Label the secret's version, once; raises UnavailableError or ClientError where that fails."""
        with self._lock:
            read = self._read
            if read is None or read.off:
                return
            with available():
                self._client.update_secret_version_stage(
                    SecretId=self._name, VersionStage=f"{OFF}{read.version}", MoveToVersionId=read.version
                )
            self._read = Signing(read.version, [], off=True)


class _State(NamedTuple):
    """How many messages of a queue are hidden, and for how many seconds it keeps one."""

    hidden: int
    retention: float


class Queue:
    """The endpoint's queue: a message that failed stays hidden, longer each time.

    A hidden message is in flight, and SQS limits those. So the delays shrink when very many messages are hidden, and no
    message is hidden until it expires. docs/webhooks.md has the arithmetic.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - botocore's
        url: str,
        delays: Sequence[int],
        jitter: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._url = url
        self._delays = delays
        self._jitter = jitter
        self._clock = clock
        self._state = _State(0, float("inf"))
        self._until = float("-inf")

    def delay(self, deliveries: int, age: float, retry_after: float = 0) -> int:
        """Return for how many seconds a message is hidden that is so old and has failed this many times.

        After the last delivery it is not hidden at all: the next receive moves it to the dead-letter queue.
        """
        tries_left = len(self._delays) + 1 - deliveries
        if tries_left <= 0:
            return 0
        state = self._read()
        delay = self._delays[deliveries - 1]
        # Up to a fifth less, so that what failed together does not come back together.
        wanted = max(self._jitter(0.8 * delay, delay), min(retry_after, MAX_RETRY_AFTER_SECONDS))
        room = min(max(2 * (1 - state.hidden / MOST_HIDDEN), 0), 1)
        time_left = max(state.retention - age, 0)
        return round(min(wanted * room, time_left / (tries_left + 1)))

    def _read(self) -> _State:
        """Return the queue's state, as it was ten seconds ago at most; as it was last known where SQS does not tell."""
        if self._clock() >= self._until:
            self._until = self._clock() + STATE_SECONDS
            names = ["ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod"]
            try:
                with available():
                    told = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
                self._state = _State(int(told[names[0]]), float(told[names[1]]))
            except (ClientError, UnavailableError) as error:
                logger.warning("the queue's state is not known", reason=type(error).__name__)
        return self._state

    def postpone(self, receipt: str, seconds: int) -> None:
        """Hide a message for so long; where that fails, the queue's own visibility time-out holds."""
        try:
            with available():
                self._client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
                )
        except (ClientError, UnavailableError) as error:
            logger.warning("not postponed", reason=type(error).__name__)


class Breaker:
    """A circuit breaker: an endpoint that has been dead for long is tried once in a while, not by every message.

    Without it, a function that waits for an endpoint that hangs does not get to the messages behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._failing_since = self._open_until = datetime.min.replace(tzinfo=UTC)

    def check(self, moment: datetime) -> None:
        """Raise LeftAloneError where the endpoint must not be tried now."""
        if moment < self._open_until:
            raise LeftAloneError("the endpoint is dead, and was tried a moment ago")

    def failed(self, moment: datetime) -> None:
        """Note a delivery that failed."""
        with self._lock:
            if self._failures == 0:
                self._failing_since = moment
            self._failures += 1
            if self._failures >= DEAD_AFTER_FAILURES and moment - self._failing_since >= DEAD_AFTER:
                self._open_until = moment + LEFT_ALONE_FOR

    def succeeded(self) -> None:
        """Note a delivery that succeeded."""
        with self._lock:
            self._failures = 0


class _Event(Struct, frozen=True):
    id: str
    # The payment's id.
    subject: str = ""

    def named(self) -> dict[str, Any]:
        """Return what the log says of it."""
        return {"webhook_id": self.id, "transaction_id": self.subject}


class Deliverer:
    """Delivers messages to one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        secret: Secret,
        queue: Queue,
        clock: Callable[[], datetime],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._secret = secret
        self._queue = queue
        self._clock = clock
        self._trust = context or trust()
        self._breaker = Breaker()

    def work(self, body: str, receipt: str, deliveries: int, sent: datetime) -> None:
        """Deliver a message, or postpone it and raise what went wrong."""
        try:
            self._deliver(body, deliveries)
        except Exception as error:
            measure("WebhookFailed")
            age = (self._clock() - sent).total_seconds()
            seconds = self._queue.delay(deliveries, age, getattr(error, "retry_after", 0))
            self._queue.postpone(receipt, seconds)
            logger.info("postponed", deliveries=deliveries, seconds=seconds, **named(body))
            raise

    def _deliver(self, body: str, deliveries: int) -> None:
        event = _event(body)
        signing = self._secret.read()
        if signing.off:
            measure("WebhookSwitchedOff")
            raise SwitchedOffError("the endpoint is switched off")
        moment = self._clock().replace(microsecond=0)
        headers = {
            "content-type": CONTENT_TYPE,
            "user-agent": USER_AGENT,
            "webhook-id": event.id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(signer.sign(event.id, moment, body) for signer in signing.signers),
        }
        self._breaker.check(self._clock())
        try:
            status = self._post(headers, body)
        except DeliveryError:
            self._breaker.failed(self._clock())
            raise
        self._breaker.succeeded()
        measure("WebhookDelivered")
        logger.info("delivered", status=status, deliveries=deliveries, **event.named())

    def _post(self, headers: dict[str, str], body: str) -> int:
        status, retry_after = post(self._endpoint, headers, body.encode(), self._trust)
        if status == _GONE:
            self._switch_off()
            raise GoneError("the endpoint answered 410")
        if status not in _SUCCESS:
            raise DeliveryError(f"the endpoint answered {status}", _seconds(retry_after, self._clock()))
        return status

    def _switch_off(self) -> None:
        measure("WebhookSwitchedOff")
        try:
            self._secret.switch_off()
        except (ClientError, UnavailableError) as error:
            # The next 410 tries again.
            logger.error("the endpoint answered 410 and was not switched off", reason=type(error).__name__)
        else:
            logger.error("the endpoint answered 410 and is switched off")


def named(body: str) -> dict[str, Any]:
    """Return what the log says of an announcement; nothing of what is none of ours."""
    try:
        return _event(body).named()
    except PoisonError:
        return {}


def _event(body: str) -> _Event:
    """Read what is needed of a CloudEvent; raises PoisonError where the message is no announcement of ours."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise PoisonError("not a CloudEvent of ours") from error
    if not _EVENT_ID.fullmatch(event.id):
        raise PoisonError("the CloudEvent's id is none of ours")
    return event


def _seconds(retry_after: str | None, now: datetime) -> float:
    """Return how long an endpoint asks to be left alone: a number of seconds, or a date."""
    if retry_after is None:
        return 0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max((parsedate_to_datetime(retry_after) - now).total_seconds(), 0)
    except (TypeError, ValueError):
        return 0
