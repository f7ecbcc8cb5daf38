"""The table's stream, as payments watch and the console follow it."""

from __future__ import annotations

from typing import Any

import pytest

from local import LocalError
from ops.payment import view_of
from ops.stream import Feed
from payments.table.items import to_item
from tests.support.aws import payment
from tests.support.stack import FakeStack, records, refused


def test_a_feed_continues_after_its_last_record_and_reads_new_shards_whole(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.stream._LOOK_FOR_SHARDS_SECONDS", -1)
    stack.dynamodb.describe_table.return_value = {"Table": {"LatestStreamArn": "arn"}}
    streams = stack.client("dynamodbstreams")
    first, second = {"ShardId": "a"}, {"ShardId": "b"}
    streams.describe_stream.side_effect = [
        {"StreamDescription": {"Shards": [first]}},
        {"StreamDescription": {"Shards": [first], "LastEvaluatedShardId": "a"}},
        {"StreamDescription": {"Shards": [second]}},
    ]
    streams.get_shard_iterator.return_value = {"ShardIterator": "i"}
    empty: dict[str, Any] = {"Records": [], "NextShardIterator": "i"}
    streams.get_records.side_effect = [
        {"Records": records(7), "NextShardIterator": "i"},
        empty,
        refused("ExpiredIteratorException"),
        empty,
        {"Records": records(8), "NextShardIterator": None},
    ]
    feed = Feed(stack)  # type: ignore[arg-type]
    assert feed.poll() == records(7)
    assert feed.poll() == records(8)
    asked = [call.kwargs for call in streams.get_shard_iterator.call_args_list]
    assert [(one["ShardId"], one["ShardIteratorType"], one.get("SequenceNumber")) for one in asked] == [
        ("a", "LATEST", None),
        ("b", "TRIM_HORIZON", None),
        ("a", "AFTER_SEQUENCE_NUMBER", "7"),
    ]


def test_a_table_without_a_stream_is_named(stack: FakeStack) -> None:
    stack.dynamodb.describe_table.return_value = {"Table": {}}
    with pytest.raises(LocalError, match="no stream"):
        Feed(stack).poll()  # type: ignore[arg-type]


def test_a_shown_change_holds_no_payment_method() -> None:
    view = view_of({"dynamodb": {"NewImage": to_item(payment())}})
    assert view is not None
    assert not {"payment_method", "fingerprint"} & view.keys()
    assert view_of({"dynamodb": {}}) is None
    assert view_of({"dynamodb": {"NewImage": {"transaction_id": {"S": "x"}}}}) is None
