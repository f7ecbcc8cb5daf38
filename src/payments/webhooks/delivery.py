"""Deliver announcements to an endpoint, signed by the Standard Webhooks scheme, and postpone failed deliveries."""

from __future__ import annotations

import random
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from payments.domain.errors import PoisonError, UnavailableError
from payments.runtime.calls import available
from payments.runtime.telemetry import logger, measure
from payments.webhooks.endpoint import DeliveryError, Endpoint, post, trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from payments.webhooks.secret import EndpointSecret


CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

USER_AGENT = "payments-webhooks/1"

# The longest wait that an endpoint may ask for.
MAX_RETRY_AFTER_SECONDS = 3600

# SQS hides about 120,000 messages of a standard queue. At the limit a long poll returns nothing, without an error
# (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html): deliveries stop, and messages
# that are never received expire without a dead letter. From half of this number on, the delays shrink, down to none.
MOST_HIDDEN = 100_000

# How long a container uses the queue's state before it reads it again.
STATE_SECONDS = 10.0

# When a container considers an endpoint down, and how long it pauses after each try.
DEAD_AFTER = timedelta(minutes=15)

DEAD_AFTER_FAILURES = 10

LEFT_ALONE_FOR = timedelta(minutes=1)

_SUCCESS = range(200, 300)

_GONE = 410

# The scheme joins its parts with full stops, so the id must be unambiguous: its own full stop comes only before digits.
# The ids of a payment's event, of its refund's or dispute's, and of a difference between the gateway's books and ours.
_EVENT_ID = re.compile(
    r"[A-Za-z0-9_-]{1,64}\.[0-9]{1,10}(-(refund|dispute)-[A-Za-z0-9_-]{1,64})?|difference\.[A-Za-z0-9_.-]{1,245}"
)


class GoneError(DeliveryError):
    """The endpoint answered 410: it wants no more webhooks."""


class SwitchedOffError(DeliveryError):
    """The endpoint is switched off: nothing is sent until someone switches it on again."""


class LeftAloneError(DeliveryError):
    """The endpoint is down and was tried a moment ago."""


class _State(NamedTuple):
    """How many messages of a queue are hidden, and how many seconds it keeps a message."""

    hidden: int
    retention: float


class RetryQueue:
    """The endpoint's queue: a failed message stays hidden, longer each time.

    A hidden message is in flight, and SQS limits those. So the delays shrink when many messages are hidden, and no
    message stays hidden until it expires. docs/webhooks.md has the arithmetic.
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
        """Return how many seconds to hide a message of this age that has failed this many times.

        After the last delivery it is not hidden: the next receive moves it to the dead-letter queue.
        """
        tries_left = len(self._delays) + 1 - deliveries
        if tries_left <= 0:
            return 0
        state = self._read()
        delay = self._delays[deliveries - 1]
        # Up to a fifth less, so that messages that failed together are not retried together.
        wanted = max(self._jitter(0.8 * delay, delay), min(retry_after, MAX_RETRY_AFTER_SECONDS))
        room = min(max(2 * (1 - state.hidden / MOST_HIDDEN), 0), 1)
        time_left = max(state.retention - age, 0)
        return round(min(wanted * room, time_left / (tries_left + 1)))

    def _read(self) -> _State:
        """Return the queue's state, at most ten seconds old; the last known state if SQS does not answer."""
        if self._clock() >= self._until:
            self._until = self._clock() + STATE_SECONDS
            names = ["ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod"]
            try:
                with available():
                    answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
                attributes = answer["Attributes"]
                self._state = _State(int(attributes[names[0]]), float(attributes[names[1]]))
            except (ClientError, UnavailableError) as error:
                logger.warning("the queue's state is not known", reason=type(error).__name__)
        return self._state

    def postpone(self, receipt: str, seconds: int) -> None:
        """Hide a message for this long; if that fails, the queue's own visibility time-out applies."""
        try:
            with available():
                self._client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
                )
        except (ClientError, UnavailableError) as error:
            logger.warning("not postponed", reason=type(error).__name__)


class Breaker:
    """A circuit breaker: an endpoint that has been down for a while is tried only now and then, not by every message.

    Without it, a function that waits for a hanging endpoint does not reach the next messages.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._failing_since = self._open_until = datetime.min.replace(tzinfo=UTC)

    def check(self, moment: datetime) -> None:
        """Raise LeftAloneError if the endpoint must not be tried now."""
        if moment < self._open_until:
            raise LeftAloneError("the endpoint is down, and was tried a moment ago")

    def failed(self, moment: datetime) -> None:
        """Record a failed delivery."""
        with self._lock:
            if self._failures == 0:
                self._failing_since = moment
            self._failures += 1
            if self._failures >= DEAD_AFTER_FAILURES and moment - self._failing_since >= DEAD_AFTER:
                self._open_until = moment + LEFT_ALONE_FOR

    def succeeded(self) -> None:
        """Record a successful delivery."""
        with self._lock:
            self._failures = 0


class _Event(Struct, frozen=True):
    id: str
    # The payment's id.
    subject: str = ""

    def log_fields(self) -> dict[str, Any]:
        """Return the event's fields for the log."""
        return {"webhook_id": self.id, "transaction_id": self.subject}


class Deliverer:
    """Delivers messages to one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        secret: EndpointSecret,
        queue: RetryQueue,
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
        """Deliver a message, or postpone it and raise the reason."""
        try:
            self._deliver(body, deliveries)
        except Exception as error:
            measure("WebhookFailed")
            age = (self._clock() - sent).total_seconds()
            seconds = self._queue.delay(deliveries, age, getattr(error, "retry_after", 0))
            self._queue.postpone(receipt, seconds)
            logger.info("postponed", deliveries=deliveries, seconds=seconds, **log_fields(body))
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
        logger.info("delivered", status=status, deliveries=deliveries, **event.log_fields())

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
            # The next 410 will try again.
            logger.error("the endpoint answered 410 and was not switched off", reason=type(error).__name__)
        else:
            logger.error("the endpoint answered 410 and is switched off")


def log_fields(body: str) -> dict[str, Any]:
    """Return an announcement's fields for the log; none if the message is not ours."""
    try:
        return _event(body).log_fields()
    except PoisonError:
        return {}


def _event(body: str) -> _Event:
    """Read the required fields of a CloudEvent; raises PoisonError if the message is not one of our announcements."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise PoisonError("not a CloudEvent of ours") from error
    if not _EVENT_ID.fullmatch(event.id):
        raise PoisonError("the CloudEvent's id is not one of ours")
    return event


def _seconds(retry_after: str | None, now: datetime) -> float:
    """Return the wait that an endpoint asks for, which it gives in seconds or as a date."""
    if retry_after is None:
        return 0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max((parsedate_to_datetime(retry_after) - now).total_seconds(), 0)
    except (TypeError, ValueError):
        return 0
