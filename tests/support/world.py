"""The whole pipeline in memory: the real handlers over a table, its stream, the queues and a gateway that can all fail.

Every call that leaves a handler stops the handler. The driver of the world decides when it continues, and how the call
ends: well, refused, without a reply although it took effect, twice, or not at all because the process has died. So
handlers run in any interleaving on one thread, and every run can be repeated and shrunk.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import GreenletExit, getcurrent, greenlet
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from ops.restoring import marked
from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import OPEN
from payments.gateways.port import (
    Approved,
    Charge,
    Declined,
    Outcome,
    RateLimited,
    Refund,
    RefundReported,
    Unknown,
    metadata_of,
)
from payments.handlers import notifier, processor, reconciler, refunder, relay, validator
from payments.runtime import queue_batch
from payments.runtime.queues import QueueSender
from payments.runtime.topic import TopicPublisher
from payments.table.indexes import GatewayIndex, OpenIndex
from payments.table.store import Table
from payments.usecases import reconcile as reconciling
from payments.usecases.announce import Announcer
from payments.usecases.charge import Charging
from payments.usecases.hear import Hearing
from payments.usecases.reconcile import Reconciler
from payments.usecases.relay import Relay
from payments.usecases.settle import Settling
from tests.support.aws import Context, api_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

TABLE = "payments"
SCOPE = "test"
MAX_RECEIVE_COUNT = 3
GATEWAY_FORGETS = timedelta(hours=24)
STARTED = datetime(2026, 1, 1, tzinfo=UTC)

# How a call can end: well; refused before it took effect; reply lost after it took effect; reply lost and the call
# repeated by the SDK; process dead before it took effect; process dead after.
FATES = ("well", "refused", "lost", "repeated", "dead before", "dead after")


class Inline:
    """A pool that runs the work at once, in the caller's thread."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - it is the future's
            future.set_exception(error)
        return future

    def map(self, work: Callable[[Any], Any], values: Any) -> Iterator[Any]:
        return map(work, values)

    def shutdown(self, *, wait: bool) -> None:
        pass


@dataclass
class WorldTask:
    """A handler call in progress. ``waits_for`` names the outgoing call at which it is stopped."""

    name: str
    run: greenlet
    skew: timedelta
    waits_for: str = ""
    faulted: bool = False


@dataclass
class WorldMessage:
    """A message in a queue, delivered ``count`` times; hidden while a handler has it."""

    number: int
    body: str
    count: int = 0
    hidden: int = 0


@dataclass
class WorldQueue:
    """A standard queue, in any order and at least once, and its dead-letter queue."""

    messages: list[WorldMessage] = field(default_factory=list)
    dead: list[WorldMessage] = field(default_factory=list)


@dataclass
class WorldEntry:
    """The gateway's entry for a key."""

    request: Charge | Refund
    at: datetime
    outcome: Approved | Declined


class FakeGateway:
    """A gateway that honours idempotency keys for a day, and keeps its books permanently."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys: dict[str, WorldEntry] = {}
        self.books: list[WorldEntry] = []

    def charge(self, charge: Charge) -> Outcome:
        return self._call("charge", charge)

    def refund(self, refund: Refund) -> Outcome:
        return self._call("refund", refund)

    def lookup(self, request: Charge | Refund) -> Approved | Declined | None:
        def find() -> Approved | Declined | None:
            # Searches the books, not the keys, which expire.
            same = [one for one in self.books if _what(one.request) == _what(request)]
            return same[0].outcome if same else None

        try:
            found: Approved | Declined | None = self.world.io("gateway.lookup", find)
        except (ClientError, ReadTimeoutError) as error:
            raise UnavailableError("no answer") from error
        return found

    def _call(self, name: str, request: Charge | Refund) -> Outcome:
        try:
            outcome: Outcome = self.world.io(f"gateway.{name}", lambda: self._do(request))
        except ReadTimeoutError:
            return Unknown("no reply")
        except ClientError:
            return RateLimited()
        return outcome

    def _do(self, request: Charge | Refund) -> Outcome:
        known = self.keys.get(request.key)
        if known and self.world.clock - known.at < GATEWAY_FORGETS:
            return known.outcome if known.request == request else Unknown("the key was used for another request")
        outcome: Approved | Declined
        if isinstance(request, Charge):
            declined = "declined" in request.payment_method
        else:
            declined = request.money.minor > self._left(request)
        number = len(self.books)
        outcome = Declined("refused") if declined else Approved(f"ref-{number}")
        self.keys[request.key] = entry = WorldEntry(request, self.world.clock, outcome)
        self.books.append(entry)
        return outcome

    def send_back(self, entry: WorldEntry) -> list[RefundReported]:
        """The customer's bank sends a refund back. Return what the gateway reports of the refund, in order.

        Its key still has the first answer.
        """
        refund, outcome = entry.request, entry.outcome
        assert isinstance(refund, Refund)
        assert isinstance(outcome, Approved)
        failed = Declined("sent_back", outcome.reference)
        self.books[self.books.index(entry)] = WorldEntry(refund, entry.at, failed)
        metadata = metadata_of(refund, SCOPE)
        return [
            RefundReported("event", outcome.reference, metadata, refund.money, reported)
            for reported in (outcome, failed)
        ]

    def sent_back(self, transaction_id: str) -> set[str]:
        """The refunds of a payment that a bank has sent back."""
        return {
            one.request.refund_id
            for one in self.books
            if isinstance(one.request, Refund)
            and one.request.transaction_id == transaction_id
            and one.outcome == Declined("sent_back", getattr(one.outcome, "reference", None))
        }

    def _left(self, refund: Refund) -> int:
        charged = sum(one.request.money.minor for one in self.approved(Charge, refund.transaction_id))
        return charged - sum(one.request.money.minor for one in self.approved(Refund, refund.transaction_id))

    def approved(self, kind: type[Charge | Refund], transaction_id: str) -> list[WorldEntry]:
        return [
            one
            for one in self.books
            if isinstance(one.request, kind)
            and one.request.transaction_id == transaction_id
            and isinstance(one.outcome, Approved)
        ]


def _what(request: Charge | Refund) -> tuple[str, ...]:
    if isinstance(request, Charge):
        return ("charge", request.transaction_id)
    return ("refund", request.transaction_id, request.refund_id)


class World:
    """The whole pipeline, and the handler calls in progress."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = STARTED
        self.tasks: list[WorldTask] = []
        self.stream: list[dict[str, Any]] = []
        self.queues = {"p": WorldQueue(), "n": WorldQueue()}
        self.announced: list[dict[str, Any]] = []
        self.gateway = FakeGateway(self)
        # What the gateway has reported and nobody has taken.
        self.reports: list[RefundReported] = []
        self.answers: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.faults: Counter[str] = Counter()
        self.contexts: dict[int, WorldTask] = {}
        self.restored = False
        self._numbers = iter(range(10**9))
        self._backend = DynamoDBBackend("ap-southeast-1", "000000000000")
        self._backend.create_table(
            TABLE,
            schema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
            throughput=None,
            attr=[{"AttributeName": "transaction_id", "AttributeType": "S"}],
            global_indexes=None,
            indexes=None,
            streams=None,
            billing_mode="PAY_PER_REQUEST",
            sse_specification=None,
            tags=[],
            deletion_protection_enabled=False,
            warm_throughput=None,
        )
        self._wire(patch)

    def _wire(self, patch: pytest.MonkeyPatch) -> None:
        table = Table(self, TABLE)
        charging = Charging(table, self.gateway, self.now)
        charges = GatewayIndex(self, TABLE, "gateway-index")
        self._hearing = Hearing(table, charges, Settling(table, self.now), SCOPE, self.now)
        patch.setattr(queue_batch, "ThreadPoolExecutor", Inline)
        patch.setattr(reconciling, "ThreadPoolExecutor", Inline)
        patch.setattr(validator, "wired", lambda: (table, "USD", {}))
        patch.setattr(validator, "now", self.now)
        patch.setattr(refunder, "wired", lambda: table)
        patch.setattr(refunder, "now", self.now)
        patch.setattr(relay, "wired", lambda: Relay(QueueSender(self, "p", "n", "dead")))
        patch.setattr(processor, "wired", lambda: (self._charging(table), MAX_RECEIVE_COUNT))
        patch.setattr(notifier, "wired", lambda: Announcer(TopicPublisher(self, "topic"), "/payments/test"))
        index = OpenIndex(self, TABLE, "open-index")
        after = timedelta(minutes=15)
        patch.setattr(reconciler, "wired", lambda: (Reconciler(table, charging, self.now), index, after))
        patch.setattr(reconciler, "now", self.now)

    def _charging(self, table: Table) -> Charging:
        return Charging(table, self.gateway, self.now, restored=self.restored)

    def now(self) -> datetime:
        """The time on the clock of the handler that asks."""
        task = self.contexts.get(id(getcurrent()))
        return self.clock + (task.skew if task else timedelta())

    # --- The handler calls in progress --------------------------------------------------------------------------------

    def start(self, name: str, handle: Callable[[], None], skew: timedelta = timedelta()) -> WorldTask:
        """Start a handler, and stop at its first outgoing call."""
        task = WorldTask(name, greenlet(handle), skew)
        self.contexts[id(task.run)] = task
        self.tasks.append(task)
        self._resumed(task, task.run.switch())
        return task

    def go_on(self, task: WorldTask, fate: str = "well") -> None:
        """Let a handler continue with the call at which it is stopped."""
        if fate != "well":
            task.faulted = True
            self.faults[f"{task.waits_for}: {fate}"] += 1
        self._resumed(task, task.run.switch(fate))

    def _resumed(self, task: WorldTask, waits_for: Any) -> None:
        if task.run.dead:
            self.tasks.remove(task)
            del self.contexts[id(task.run)]
        else:
            task.waits_for = waits_for

    def io(self, name: str, effect: Callable[[], Any]) -> Any:
        """Stop at a call until the driver decides how it ends."""
        fate = getcurrent().parent.switch(name)
        if fate == "dead before":
            raise GreenletExit
        if fate == "refused":
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
        result = effect()
        if fate == "repeated":
            result = effect()
        if fate == "dead after":
            raise GreenletExit
        if fate == "lost":
            raise ReadTimeoutError(endpoint_url=name)
        return result

    # --- DynamoDB -----------------------------------------------------------------------------------------------------

    def item(self, transaction_id: str) -> dict[str, Any] | None:
        found = self._backend.get_item(TABLE, {"transaction_id": {"S": transaction_id}})
        return copy.deepcopy(found.to_json()["Attributes"]) if found else None

    def items(self) -> list[dict[str, Any]]:
        names = [item.hash_key.value for item in self._backend.tables[TABLE].all_items()]
        return [item for name in names if (item := self.item(name))]

    def lose(self, item: dict[str, Any]) -> None:
        """An item is deleted by mistake."""
        self._backend.delete_item(TABLE, {"transaction_id": item["transaction_id"]})

    def put_back(self, item: dict[str, Any]) -> None:
        """An operator puts a backup's item back."""
        put_back = marked(item, self.clock, self.item(item["transaction_id"]["S"]))
        self.start("put back", lambda: self.put_item(TableName=TABLE, Item=put_back))

    def restore(self, items: list[dict[str, Any]]) -> None:
        """Restore the table from a backup: its stream is new, and the operator has set the functions' restore mark."""
        for item in self.items():
            self.lose(item)
        for item in items:
            self._backend.put_item(TABLE, copy.deepcopy(item))
        self.stream.clear()
        self.restored = True

    def _change(self, transaction_id: str, change: Callable[[], Any], *, wants_old: bool) -> dict[str, Any]:
        old = self.item(transaction_id)
        try:
            change()
        except ConditionalCheckFailed as error:
            response: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}
            if wants_old and old:
                response["Item"] = old
            raise ClientError(response, "write") from error
        new = self.item(transaction_id)
        if new != old:
            images = {"NewImage": new} | ({"OldImage": old} if old else {})
            self.stream.append({"eventName": "MODIFY" if old else "INSERT", "dynamodb": images})
        return {}

    def put_item(self, **request: Any) -> Any:
        assert request["TableName"] == TABLE

        def put() -> dict[str, Any]:
            name = request["Item"]["transaction_id"]["S"]
            condition = request.get("ConditionExpression")
            return self._change(
                name,
                lambda: self._backend.put_item(TABLE, copy.deepcopy(request["Item"]), condition_expression=condition),
                wants_old=request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
            )

        return self.io("dynamodb.put_item", put)

    def get_item(self, **request: Any) -> Any:
        def get() -> dict[str, Any]:
            item = self.item(request["Key"]["transaction_id"]["S"])
            return {"Item": item} if item else {}

        return self.io("dynamodb.get_item", get)

    def batch_get_item(self, **request: Any) -> Any:
        ((name, asked),) = request["RequestItems"].items()
        assert (name, asked["ConsistentRead"]) == (TABLE, True)

        def get() -> dict[str, Any]:
            found = [self.item(key["transaction_id"]["S"]) for key in asked["Keys"]]
            return {"Responses": {TABLE: [item for item in found if item]}}

        return self.io("dynamodb.batch_get_item", get)

    def update_item(self, **request: Any) -> Any:
        def update() -> dict[str, Any]:
            return self._change(
                request["Key"]["transaction_id"]["S"],
                lambda: self._backend.update_item(
                    TABLE,
                    request["Key"],
                    request["UpdateExpression"],
                    request.get("ExpressionAttributeNames") or {},
                    copy.deepcopy(request["ExpressionAttributeValues"]),
                    condition_expression=request.get("ConditionExpression"),
                ),
                wants_old=False,
            )

        return self.io("dynamodb.update_item", update)

    def query(self, **request: Any) -> Any:
        """Answer from the open index, as of now or a moment ago: the reconciler starts from it."""
        values = request["ExpressionAttributeValues"]

        def find() -> dict[str, Any]:
            found = [
                {name: item[name] for name in ("transaction_id", "open_shard", "open_from")}
                for item in self.items()
                if item.get("open_shard") == values[":shard"] and item["open_from"]["S"] <= values[":moment"]["S"]
            ]
            return {"Items": sorted(found, key=lambda item: item["open_from"]["S"])}

        # Sixteen shards would be sixteen steps, and fifteen of them would find nothing.
        found = find()
        return self.io("dynamodb.query", find) if found["Items"] else found

    # --- SQS and SNS --------------------------------------------------------------------------------------------------

    def send_message_batch(self, **request: Any) -> Any:
        def send() -> dict[str, Any]:
            for entry in request["Entries"]:
                message = WorldMessage(next(self._numbers), entry["MessageBody"])
                self.queues[request["QueueUrl"]].messages.append(message)
            return {"Successful": request["Entries"]}

        return self.io("sqs.send_message_batch", send)

    def publish_batch(self, **request: Any) -> Any:
        def publish() -> dict[str, Any]:
            self.announced += [json.loads(entry["Message"]) for entry in request["PublishBatchRequestEntries"]]
            return {"Successful": request["PublishBatchRequestEntries"]}

        return self.io("sns.publish_batch", publish)

    # --- What triggers the handlers -----------------------------------------------------------------------------------

    def post(self, path: dict[str, str] | None, body: dict[str, Any], skew: timedelta = timedelta()) -> WorldTask:
        """A client posts a payment, or a refund if there is a path; the answer is kept."""
        resource = "/payments" if path is None else "/payments/{transaction_id}/refunds"
        handle = validator.handler if path is None else refunder.handler

        def call() -> None:
            answer = handle(api_event(body, resource=resource, path=path), Context())  # type: ignore[arg-type]
            about = body["transaction_id"] if path is None else path["transaction_id"]
            told = {"status": answer["statusCode"], "body": json.loads(answer["body"])}
            self.answers.append((about, body, told))

        return self.start("post" if path is None else "refund", call, skew)

    def relay(self, size: int) -> WorldTask:
        """Give the relay the head of the stream. Records that it does not take stay, and hold up those after them."""
        records = self.stream[:size]

        def call() -> None:
            try:
                relay.handler({"Records": copy.deepcopy(records)}, Context())  # type: ignore[arg-type]
            except Exception:  # noqa: BLE001, S110 - Lambda keeps the batch
                pass
            else:
                del self.stream[: len(records)]

        return self.start("relay", call)

    def deliver(self, queue: str, messages: list[WorldMessage], skew: timedelta = timedelta()) -> WorldTask | None:
        """Give a queue's consumer a batch; messages delivered too often go to the dead-letter queue instead."""
        place = self.queues[queue]
        given: list[WorldMessage] = []
        for message in messages:
            if message.count >= MAX_RECEIVE_COUNT and not message.hidden:
                place.messages.remove(message)
                place.dead.append(message)
            else:
                message.count += 1
                message.hidden += 1
                given.append(message)
        if not given:
            return None
        records = [
            {
                "messageId": str(message.number),
                "receiptHandle": str(message.number),
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.count), "SentTimestamp": "0"},
                "eventSource": "aws:sqs",
            }
            for message in given
        ]
        handle = {"p": processor.handler, "n": notifier.handler}[queue]

        def call() -> None:
            try:
                result: Any = handle({"Records": records}, Context())  # type: ignore[arg-type]
                failed = {one["itemIdentifier"] for one in (result or {}).get("batchItemFailures", [])}
                for message in given:
                    if str(message.number) not in failed and message in place.messages:
                        place.messages.remove(message)
            except Exception:  # noqa: BLE001, S110 - Lambda keeps the batch
                pass
            finally:
                for message in given:
                    message.hidden -= 1

        return self.start({"p": "process", "n": "notify"}[queue], call, skew)

    def reconcile(self, skew: timedelta = timedelta()) -> WorldTask:
        """The schedule calls the reconciler."""

        def call() -> None:
            # The schedule ignores a failure and calls again.
            with suppress(Exception):
                reconciler.handler({}, Context())  # type: ignore[arg-type]

        return self.start("reconcile", call, skew)

    def hear(self, report: RefundReported) -> WorldTask:
        """The gateway reports something, until it is taken."""

        def call() -> None:
            with suppress(UnavailableError):
                self._hearing.hear(report)
                if report in self.reports:
                    self.reports.remove(report)

        return self.start("hear", call)

    def send_poison(self, body: str) -> None:
        """Somebody puts a message that is not ours on the processor's queue."""
        self.queues["p"].messages.append(WorldMessage(next(self._numbers), body))

    def redrive(self, queue: str) -> None:
        """An operator redrives a dead-letter queue: its messages arrive as new ones."""
        place = self.queues[queue]
        place.messages += [WorldMessage(next(self._numbers), message.body) for message in place.dead]
        place.dead.clear()

    # --- The end ------------------------------------------------------------------------------------------------------

    def finish_tasks(self) -> None:
        while self.tasks:
            self.go_on(self.tasks[0])

    def settle(self) -> None:
        """Let everything finish without faults, except the messages in dead-letter queues."""
        self.finish_tasks()
        for _ in range(1000):
            if self.stream:
                before = len(self.stream)
                self.relay(10)
                self.finish_tasks()
                assert len(self.stream) < before or self.stream[0]["eventName"] == "REMOVE", "the relay is stuck"
                continue
            if self.reports:
                self.hear(self.reports[-1])
                self.finish_tasks()
                continue
            waiting = [(name, queue) for name, queue in self.queues.items() if queue.messages]
            if not waiting:
                return
            for name, queue in waiting:
                self.deliver(name, queue.messages[:10])
                self.finish_tasks()
        raise AssertionError("the world never settles")

    def dead_ids(self) -> set[str]:
        """The payments that have a message in a dead-letter queue."""
        bodies = [message.body for queue in self.queues.values() for message in queue.dead]
        named = [json.loads(body) for body in bodies if '"transaction_id"' in body]
        return {one.get("payment", one)["transaction_id"] for one in named}

    def open_ids(self) -> set[str]:
        """The payments that are not final, or that have a refund that is not final."""
        return {
            item["transaction_id"]["S"]
            for item in self.items()
            if item["status"]["S"] in OPEN
            or any(refund["M"]["status"]["S"] in OPEN for refund in item["refunds"]["M"].values())
        }
