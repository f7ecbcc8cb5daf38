"""The Stripe gateway, and a whole stack with it, in front of a fake Stripe."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

from payments.domain.payment import Payment
from payments.gateways.stripe.events import signing_secrets
from payments.gateways.stripe.gateway import StripeGateway
from payments.handlers import notifier, processor, reconciler, refunder, relay, stripe_webhook, validator
from payments.runtime.queues import QueueSender
from payments.runtime.secrets import Secret
from payments.runtime.topic import TopicPublisher
from payments.table.indexes import GatewayIndex, OpenIndex
from payments.table.store import Table
from payments.usecases.announce import Announcer
from payments.usecases.charge import Charging
from payments.usecases.hear import Hearing
from payments.usecases.reconcile import Reconciler
from payments.usecases.relay import Relay
from payments.usecases.settle import Settling
from tests.support.aws import GATEWAY_INDEX, OPEN_INDEX, TABLE, Context, api_event, queue_event
from tests.support.stripe_server import KEY, FakeStripe, signed

if TYPE_CHECKING:
    import pytest

SIGNING = "whsec_the_one_of_today"
MAX_RECEIVE_COUNT = 3


class Vault:
    """The part of Secrets Manager that reading a secret needs."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0
        self.error: Exception | None = None

    def get_secret_value(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return {"SecretString": self.text}


def gateway_to(
    fake: FakeStripe, *, scope: str = "test", vault: Vault | None = None, seconds: float = 5.0
) -> StripeGateway:
    secret = Secret(vault or Vault(KEY), "payment-stripe-test", str.strip, 300)
    return StripeGateway(secret, scope, seconds, fake.address)


class StripeStack:
    """The real handlers over a table with a stream, queues and a topic in memory, and a fake Stripe.

    ``wait`` moves time forward, for the handlers and for Stripe. ``lose_replies`` is how many of the next writes to
    the table take effect without a reply.
    """

    def __init__(self, dynamodb: Any, fake: FakeStripe, patch: pytest.MonkeyPatch) -> None:
        self.fake = fake
        self.lose_replies = 0
        self.announced: list[dict[str, Any]] = []
        self._dynamodb = dynamodb
        self._stream: list[dict[str, Any]] = []
        self._queues: dict[str, list[tuple[str, int]]] = {"p": [], "n": [], "dead": []}
        self.table = table = Table(self, TABLE)
        charging = Charging(table, gateway_to(fake), self.now)
        index = OpenIndex(self, TABLE, OPEN_INDEX)
        hearing = Hearing(table, GatewayIndex(self, TABLE, GATEWAY_INDEX), Settling(table, self.now), "test", self.now)
        secret = Secret(Vault(json.dumps({"secrets": [SIGNING]})), "s", signing_secrets, 300)
        patch.setattr(validator, "wired", lambda: (table, "USD", {}))
        patch.setattr(validator, "now", self.now)
        patch.setattr(refunder, "wired", lambda: table)
        patch.setattr(refunder, "now", self.now)
        patch.setattr(relay, "wired", lambda: Relay(QueueSender(self, "p", "n", "dead")))
        patch.setattr(processor, "wired", lambda: (charging, MAX_RECEIVE_COUNT))
        patch.setattr(notifier, "wired", lambda: Announcer(TopicPublisher(self, "topic"), "/payments/test"))
        patch.setattr(
            reconciler, "wired", lambda: (Reconciler(table, charging, self.now), index, timedelta(minutes=15))
        )
        patch.setattr(reconciler, "now", self.now)
        patch.setattr(stripe_webhook, "wired", lambda: (hearing, secret))

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.fake.now(), UTC)

    def wait(self, **time: float) -> None:
        self.fake.clock_skew += timedelta(**time).total_seconds()

    # What the handlers call.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def put_item(self, **request: Any) -> Any:
        return self._write(request["Item"]["transaction_id"]["S"], lambda: self._dynamodb.put_item(**request))

    def update_item(self, **request: Any) -> Any:
        return self._write(request["Key"]["transaction_id"]["S"], lambda: self._dynamodb.update_item(**request))

    def _write(self, transaction_id: str, write: Any) -> Any:
        before = self._item(transaction_id)
        answer = write()
        images = {"NewImage": self._item(transaction_id)} | ({"OldImage": before} if before else {})
        self._stream.append({"eventName": "MODIFY" if before else "INSERT", "dynamodb": images})
        if self.lose_replies:
            self.lose_replies -= 1
            raise ReadTimeoutError(endpoint_url="dynamodb")
        return answer

    def _item(self, transaction_id: str) -> Any:
        key = {"transaction_id": {"S": transaction_id}}
        return self._dynamodb.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")

    def send_message_batch(self, **request: Any) -> Any:
        self._queues[request["QueueUrl"]] += [(entry["MessageBody"], 1) for entry in request["Entries"]]
        return {"Successful": request["Entries"]}

    def publish_batch(self, **request: Any) -> Any:
        self.announced += [json.loads(entry["Message"]) for entry in request["PublishBatchRequestEntries"]]
        return {"Successful": request["PublishBatchRequestEntries"]}

    # What a test does.

    def pay(self, method: str) -> None:
        body = {"transaction_id": "order-1", "customer_id": "ada", "amount": "12.50", "currency": "EUR"}
        answer: Any = validator.handler(api_event(body | {"payment_method": method}), Context())  # type: ignore[arg-type]
        assert answer["statusCode"] == 202
        self.run()

    def refund(self, refund_id: str = "r1", amount: str | None = None) -> Any:
        body = {"refund_id": refund_id} | ({"amount": amount} if amount else {})
        event = api_event(body, resource="/payments/{transaction_id}/refunds", path={"transaction_id": "order-1"})
        answer: Any = refunder.handler(event, Context())  # type: ignore[arg-type]
        self.run()
        return answer["statusCode"]

    def tell(self, event: dict[str, Any]) -> Any:
        """Post an event as Stripe does, and return the answer, before anything that follows from it happens."""
        body, signature = signed(event, SIGNING)
        posted = api_event(body, resource="/gateways/stripe/webhook") | {"headers": {"Stripe-Signature": signature}}
        answer: Any = stripe_webhook.handler(posted, Context())  # type: ignore[arg-type]
        return json.loads(answer["body"]).get("result", answer["statusCode"])

    def reconcile(self, *transaction_ids: str) -> dict[str, int]:
        asked = {"transaction_ids": list(transaction_ids)} if transaction_ids else {}
        counts: dict[str, int] = reconciler.handler(asked, Context())  # type: ignore[arg-type]
        self.run()
        return counts

    def relay(self) -> None:
        """Give the relay the stream's records; a call that fails leaves them there."""
        relay.handler({"Records": self._stream}, Context())  # type: ignore[arg-type]
        self._stream.clear()

    def run(self) -> None:
        """Run until the stream and the queues are empty."""
        while self._stream or self._queues["p"] or self._queues["n"]:
            if self._stream:
                self.relay()
            for queue, handle in (("p", processor.handler), ("n", notifier.handler)):
                waiting, self._queues[queue] = self._queues[queue], []
                for body, count in waiting:
                    result: Any = handle(queue_event([body], count), Context())  # type: ignore[arg-type]
                    if result["batchItemFailures"]:
                        self._queues[queue if count < MAX_RECEIVE_COUNT else "dead"].append((body, count + 1))

    @property
    def payment(self) -> Payment:
        found = self.table.get("order-1")
        assert found
        return found
