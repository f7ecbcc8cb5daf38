"""An endpoint that is down for days: no message in its queue may expire without a delivery or a dead letter.

The real function reads a simulated queue, which hides a limited number of messages and drops those that are too old.
Numbers are a thousandth of SQS's, and times a tenth of the default delays, so that days take seconds.
"""

from __future__ import annotations

import heapq
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from payments.handlers import deliverer
from payments.runtime import queue_batch
from payments.webhooks import delivery
from payments.webhooks.delivery import Deliverer, RetryQueue
from payments.webhooks.endpoint import DeliveryError, Endpoint
from payments.webhooks.secret import Signing
from tests.support.aws import Context
from tests.support.world import Inline

if TYPE_CHECKING:
    from collections.abc import Callable

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
DELAYS = [3, 6, 30, 90, 360, 1080, 2160, 3960]
RETENTION = 34_560
# The most messages in flight: SQS's limit, and the deliverer's target.
LIMIT, MOST_HIDDEN = 120, 100
VISIBILITY = 180
WORKERS = 2
# The overhead of a batch, and for how long SQS may report an outdated number of hidden messages.
BATCH_SECONDS, STALE_SECONDS = 0.15, 20


@dataclass
class HeldMessage:
    """A message of the queue."""

    number: int
    sent: float
    received: int = 0
    visible_at: float = 0


@dataclass
class InFlightQueue:
    """A standard queue: in any order, with a limit of messages in flight, a retention and a dead-letter queue."""

    limit: int = LIMIT
    clock: float = 0
    visible: list[HeldMessage] = field(default_factory=list)
    hidden: dict[int, HeldMessage] = field(default_factory=dict)
    dead: list[HeldMessage] = field(default_factory=list)
    expired: list[HeldMessage] = field(default_factory=list)
    delivered: int = 0
    most_hidden: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - it picks an order
    _due: list[tuple[float, int]] = field(default_factory=list)
    _told: tuple[float, int] = (-STALE_SECONDS, 0)

    def hide(self, letter: HeldMessage, seconds: float) -> None:
        letter.visible_at = self.clock + seconds
        self.hidden[letter.number] = letter
        heapq.heappush(self._due, (letter.visible_at, letter.number))

    def next_due(self) -> float:
        return self._due[0][0] if self._due else float("inf")

    def receive(self) -> list[HeldMessage]:
        while self._due and self._due[0][0] <= self.clock:
            moment, number = heapq.heappop(self._due)
            letter = self.hidden.get(number)
            # It may have been hidden again since.
            if letter is not None and letter.visible_at == moment:
                self.visible.append(self.hidden.pop(number))
        given: list[HeldMessage] = []
        while self.visible and len(given) < 10 and len(self.hidden) < self.limit:
            place = self.chance.randrange(len(self.visible))
            self.visible[place], self.visible[-1] = self.visible[-1], self.visible[place]
            letter = self.visible.pop()
            if self.clock - letter.sent > RETENTION:
                self.expired.append(letter)
            elif letter.received > len(DELAYS):
                self.dead.append(letter)
            else:
                letter.received += 1
                given.append(letter)
                self.hide(letter, VISIBILITY)
        self.most_hidden = max(self.most_hidden, len(self.hidden))
        return given

    # The part of SQS that the deliverer uses
    def change_message_visibility(self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert (QueueUrl, 0 <= VisibilityTimeout <= 43_200) == ("queue", True)
        self.hide(self.hidden[int(ReceiptHandle)], VisibilityTimeout)

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "queue"
        if self.clock - self._told[0] >= STALE_SECONDS:
            self._told = (self.clock, len(self.hidden))
        known = {
            "ApproximateNumberOfMessagesNotVisible": str(self._told[1]),
            "MessageRetentionPeriod": str(RETENTION),
        }
        return {"Attributes": {name: known[name] for name in AttributeNames}}


class FixedSecret:
    """A secret that never changes."""

    def read(self) -> Signing:
        return Signing("v1", [], off=False)


@dataclass
class Death:
    """How an endpoint fails: after how many seconds, and the Retry-After that it sends."""

    seconds: float = 0.05
    retry_after: float = 0


REFUSED, HANGS, ASKS = Death(), Death(seconds=30), Death(retry_after=1e9)


class Simulation:
    """Announcements arrive at a fixed rate; the endpoint is down from the start until it recovers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, death: Death, rate: float, *, limit: int = LIMIT) -> None:
        self.sqs = InFlightQueue(limit)
        self.death = death
        self.rate = rate
        self.sent = 0
        self.alive_at = float("inf")
        self._took = 0.0
        monkeypatch.setattr(delivery, "post", self._post)
        monkeypatch.setattr(queue_batch, "ThreadPoolExecutor", Inline)
        for module in (delivery, queue_batch):
            monkeypatch.setattr(module, "logger", DeadEndpoint())
        monkeypatch.setattr(delivery, "measure", lambda *_: None)
        # Each container knows only its own deliveries.
        self._containers = [self._container() for _ in range(WORKERS)]
        self._monkeypatch = monkeypatch

    def _container(self) -> Deliverer:
        endpoint = Endpoint.of("https://hooks.example.test/", 30)
        chance = random.Random(7)  # noqa: S311 - it spreads delays
        queue = RetryQueue(self.sqs, "queue", DELAYS, chance.uniform, lambda: self.sqs.clock)
        return Deliverer(endpoint, FixedSecret(), queue, self._now)  # type: ignore[arg-type]

    def _now(self) -> datetime:
        return STARTED + timedelta(seconds=self.sqs.clock)

    def _post(self, *_: Any) -> tuple[int, str | None]:
        if self.sqs.clock >= self.alive_at:
            return 204, None
        self._took = max(self._took, self.death.seconds)
        if self.death.retry_after:
            return 503, str(int(self.death.retry_after))
        raise DeliveryError("ConnectionRefusedError")

    def _send_until(self, moment: float) -> None:
        while self.sent / self.rate <= moment:
            self.sqs.visible.append(HeldMessage(self.sent, self.sent / self.rate))
            self.sent += 1

    def run(self, seconds: float) -> None:
        """Let the containers work for this long."""
        turns = [(self.sqs.clock, number) for number in range(WORKERS)]
        while turns[0][0] < seconds:
            self.sqs.clock, worker = heapq.heappop(turns)
            self._send_until(self.sqs.clock)
            given = self.sqs.receive()
            if given:
                took = self._work(worker, given)
            else:
                # At the limit, SQS answers a long poll with no messages.
                soon = min(self.sqs.next_due(), self.sent / self.rate) if not self.sqs.visible else 0.0
                took = max(soon - self.sqs.clock, 1.0)
            heapq.heappush(turns, (self.sqs.clock + took, worker))

    def _work(self, worker: int, letters: list[HeldMessage]) -> float:
        self._took = 0.0
        sender = self._containers[worker]
        self._monkeypatch.setattr(deliverer, "wired", lambda: (sender, 5.0))
        answer = deliverer.handler({"Records": [record(letter) for letter in letters]}, Context())  # type: ignore[arg-type]
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for letter in letters:
            if str(letter.number) not in failed:
                del self.sqs.hidden[letter.number]
                self.sqs.delivered += 1
        return self._took + BATCH_SECONDS


class DeadEndpoint:
    """A log that discards everything."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def record(letter: HeldMessage) -> dict[str, Any]:
    return {
        "messageId": str(letter.number),
        "receiptHandle": str(letter.number),
        "body": json.dumps({"id": f"order-{letter.number}.2", "subject": f"order-{letter.number}"}),
        "attributes": {
            "ApproximateReceiveCount": str(letter.received),
            "SentTimestamp": str(int((STARTED.timestamp() + letter.sent) * 1000)),
        },
    }


def accounted(sqs: InFlightQueue, sent: int) -> None:
    """Check that every message is delivered, a dead letter, or still in the queue and young enough."""
    expired = len(sqs.expired)
    assert expired == 0
    waiting = [*sqs.visible, *sqs.hidden.values()]
    overdue = sum(sqs.clock - letter.sent > RETENTION for letter in waiting)
    assert overdue == 0
    assert sqs.delivered + len(sqs.dead) + len(waiting) == sent


@pytest.mark.parametrize("death", [REFUSED, ASKS], ids=["refused", "asks for an hour"])
@pytest.mark.parametrize("load", [0.5, 4, 20])
def test_the_limit_of_hidden_messages_is_never_met(monkeypatch: pytest.MonkeyPatch, death: Death, load: float) -> None:
    """``load``: the messages that the full schedule would hide, as a multiple of the limit."""
    simulation = Simulation(monkeypatch, death, load * MOST_HIDDEN / sum(DELAYS))
    simulation.run(1.25 * RETENTION)
    accounted(simulation.sqs, simulation.sent)
    assert simulation.sqs.most_hidden < LIMIT


def test_an_endpoint_that_hangs_does_not_let_messages_expire_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine deliveries of half a minute each are more than the containers can handle at this rate."""
    simulation = Simulation(monkeypatch, HANGS, 0.3, limit=10**6)
    monkeypatch.setattr(delivery, "MOST_HIDDEN", 10**6)
    simulation.run(1.75 * RETENTION)
    accounted(simulation.sqs, simulation.sent)


@pytest.mark.parametrize("death", [REFUSED, ASKS], ids=["refused", "asks for an hour"])
def test_a_message_received_late_is_not_hidden_until_it_expires(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    """The mapping was disabled for most of the retention."""
    simulation = Simulation(monkeypatch, death, 0.001)
    simulation.sqs.clock = 0.9 * RETENTION
    simulation.run(1.25 * RETENTION)
    accounted(simulation.sqs, simulation.sent)


def test_what_waits_is_delivered_when_the_endpoint_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(monkeypatch, HANGS, 0.05)
    simulation.alive_at = 20_000
    simulation.run(20_000)
    waiting = len(simulation.sqs.visible) + len(simulation.sqs.hidden)
    tried_out = sum(
        letter.received > len(DELAYS) for letter in [*simulation.sqs.visible, *simulation.sqs.hidden.values()]
    )
    given_up = len(simulation.sqs.dead)
    assert waiting > tried_out
    simulation.run(20_000 + max(DELAYS) + 60)
    accounted(simulation.sqs, simulation.sent)
    assert len(simulation.sqs.dead) <= given_up + tried_out
    assert simulation.sqs.delivered >= waiting - tried_out


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MOST_HIDDEN", MOST_HIDDEN)
