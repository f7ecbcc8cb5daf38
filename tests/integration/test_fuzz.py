"""Any event at any handler gives an answer, a list of messages to retry, or an error to retry; never half a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.domain.errors import PoisonError
from payments.domain.message import Message, Task
from payments.handlers import notifier, processor, reader, reconciler, refunder, relay, validator
from payments.runtime.handler import FunctionError
from payments.runtime.messages import _MessageForm, decode_task, encode
from payments.runtime.queues import QueueSender
from payments.runtime.topic import TopicPublisher
from payments.table.items import to_item
from payments.usecases.announce import Announcer
from payments.usecases.relay import Relay
from tests.support.aws import LEDGER, REQUEST, TABLE, Context, api_event, cold, payment, queue_event, stream_record

if TYPE_CHECKING:
    from collections.abc import Iterator

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTEXT: Any = Context()

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*REQUEST, "description", "metadata", "refund_id", "reason", "extra"])
objects = st.dictionaries(fields, values, max_size=8)
bodies = st.one_of(
    st.text(max_size=60),
    objects.map(json.dumps),
    objects.map(lambda changes: json.dumps(REQUEST | changes)),
    st.just(json.dumps(REQUEST)),
    st.builds(
        lambda text, size: json.dumps(REQUEST | {"description": text * size}),
        st.text(max_size=5),
        st.integers(0, 10**5),
    ),
)
headers = st.none() | st.dictionaries(
    st.sampled_from(["Idempotency-Key", "idempotency-key", "x"]), st.text(max_size=20)
)
MESSAGE = json.loads(encode(Message("payment.validated", payment())))
TASK = json.loads(encode(Task(event="payment.validated", transaction_id="good")))


def changed(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One of our messages or images with some members changed or removed."""
    return st.builds(
        lambda changes, gone: {name: value for name, value in (whole | changes).items() if name not in gone},
        st.dictionaries(st.sampled_from([*whole]), values, max_size=2),
        st.sets(st.sampled_from([*whole]), max_size=1),
    )


messages = st.one_of(
    st.text(max_size=40),
    values.map(json.dumps),
    changed(MESSAGE).map(json.dumps),
    changed(TASK).map(json.dumps),
    changed(MESSAGE["payment"]).map(lambda inner: json.dumps(MESSAGE | {"payment": inner})),
)


@pytest.fixture(autouse=True)
def fresh(dynamodb: Any) -> Iterator[None]:
    with cold(*(function.wired for function in (validator, refunder, reader, processor, reconciler))):
        yield


def kept(dynamodb: Any) -> dict[str, Any]:
    items = [item for table in (TABLE, LEDGER) for item in dynamodb.scan(TableName=table)["Items"]]
    return {json.dumps(item, sort_keys=True): True for item in items}


@FUZZ
@given(body=bodies, headers=headers, base64=st.booleans())
def test_a_request_is_accepted_or_refused_and_a_refused_one_writes_nothing(
    dynamodb: Any, body: str, headers: dict[str, str] | None, base64: bool
) -> None:
    for handler, resource, path in (
        (validator.handler, "/payments", None),
        (refunder.handler, "/payments/{transaction_id}/refunds", {"transaction_id": "order-1"}),
    ):
        before = kept(dynamodb)
        event = api_event(body, resource=resource, path=path, headers=headers) | {"isBase64Encoded": base64}
        answer = handler(event, CONTEXT)
        assert answer["statusCode"] in {202, 400, 404, 409, 413, 422}
        told = json.loads(answer["body"])
        if answer["statusCode"] != 202:
            assert told["type"].startswith("/problems/")
            assert answer["headers"]["Content-Type"] == "application/problem+json"
            assert kept(dynamodb) == before


@FUZZ
@given(
    resource=st.sampled_from(
        [
            "/payments/{transaction_id}",
            "/payments/{transaction_id}/refunds/{refund_id}",
            "/customers/{customer_id}/payments",
        ]
    ),
    name=st.text(min_size=1, max_size=40),
    query=st.none() | st.dictionaries(st.sampled_from(["limit", "next_token", "x"]), st.text(max_size=60), max_size=3),
)
def test_the_reader_answers_any_request(resource: str, name: str, query: dict[str, str] | None) -> None:
    path = {"transaction_id": name, "refund_id": name, "customer_id": name}
    answer = reader.handler(api_event(resource=resource, path=path, query=query), CONTEXT)
    assert answer["statusCode"] in {200, 400, 404}
    json.loads(answer["body"])


@FUZZ
@given(others=st.lists(messages, max_size=4), place=st.integers(0, 4))
def test_an_invalid_message_fails_alone_at_the_processor_and_at_the_notifier(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, others: list[str], place: int
) -> None:
    good = encode(Task(event="payment.validated", transaction_id="good"))
    dynamodb.put_item(TableName=TABLE, Item=to_item(payment(transaction_id="good")))
    batch = [*others[:place], good, *others[place:]]
    result = processor.handler(queue_event(batch), CONTEXT)
    failed = {one["itemIdentifier"] for one in result["batchItemFailures"]}
    assert f"m{batch.index(good)}" not in failed
    assert all(is_task(body) for number, body in enumerate(batch) if f"m{number}" not in failed)

    class NoTopic:
        def publish_batch(self, **request: Any) -> dict[str, Any]:
            return {"Successful": request["PublishBatchRequestEntries"], "Failed": []}

    monkeypatch.setattr(notifier, "wired", lambda: Announcer(TopicPublisher(NoTopic(), "topic"), "/payments/test"))
    result = notifier.handler(queue_event(batch), CONTEXT)
    failed = {one["itemIdentifier"] for one in result["batchItemFailures"]}
    assert failed == {f"m{number}" for number, body in enumerate(batch) if not readable(body)}


def is_task(body: str) -> bool:
    try:
        decode_task(body)
    except PoisonError:
        return False
    return True


def readable(body: str) -> bool:
    try:
        message = msgspec.json.decode(body, type=_MessageForm)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    return message.refund_id is None or message.refund_id in message.payment.refunds


attributes = st.recursive(
    st.fixed_dictionaries({"S": st.text(max_size=20)})
    | st.fixed_dictionaries({"N": st.text(max_size=8)})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    lambda inner: st.fixed_dictionaries({"M": st.dictionaries(st.text(max_size=5), inner, max_size=2)}),
    max_leaves=3,
)
IMAGE = to_item(payment())


@FUZZ
@given(
    changes=st.dictionaries(st.sampled_from([*IMAGE]), attributes, max_size=2),
    gone=st.sets(st.sampled_from([*IMAGE]), max_size=1),
    kind=st.sampled_from(["INSERT", "MODIFY", "REMOVE"]),
    old=st.booleans(),
)
def test_any_record_is_relayed_or_set_aside_and_its_neighbour_is_relayed(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], gone: set[str], kind: str, old: bool
) -> None:
    sent: dict[str, list[str]] = {}

    class NoQueue:
        def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            sent.setdefault(QueueUrl, []).extend(entry["MessageBody"] for entry in Entries)
            return {"Successful": Entries}

    monkeypatch.setattr(relay, "wired", lambda: Relay(QueueSender(NoQueue(), "p", "n", "dead")))
    image = {name: value for name, value in (IMAGE | changes).items() if name not in gone}
    record = {"eventName": kind, "dynamodb": {"NewImage": image} | ({"OldImage": IMAGE} if old else {})}
    neighbour = stream_record(payment(transaction_id="neighbour"))
    assert relay.handler({"Records": [record, neighbour]}, CONTEXT) == {"batchItemFailures": []}
    assert any("neighbour" in body for body in sent["p"])
    assert all(map(is_task, sent["p"]))
    assert all(map(readable, sent.get("n", [])))


@FUZZ
@given(event=st.dictionaries(st.sampled_from(["transaction_ids", "older_than_seconds", "x"]), values, max_size=2))
def test_the_reconciler_counts_or_says_that_it_cannot(event: dict[str, Any]) -> None:
    try:
        counts = reconciler.handler(event, CONTEXT)
    except FunctionError as error:
        assert str(error) == "ValueError"
    else:
        assert all(isinstance(count, int) for count in counts.values())
