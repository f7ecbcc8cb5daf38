"""The table's stream for an operator: payments as they change, and the records that the relay gave up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from local import LocalError
from ops.failures import code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack

StreamRecord = dict[str, Any]
Start = Literal["LATEST", "TRIM_HORIZON"]

# A shard allows five reads a second, and the relay needs four.
POLL_SECONDS = 1.0
_LOOK_FOR_SHARDS_SECONDS = 20.0
# The records are older than the stream keeps them, or the shard is gone with them.
_GONE = {"TrimmedDataAccessException", "ResourceNotFoundException", "ValidationException"}
_EXPIRED = "ExpiredIteratorException"
_PAGE = 1000
_ANSWERS = 50


class TrimmedError(Exception):
    """The stream does not keep these records any more: it forgets after 24 hours."""


def stream_arn(stack: Stack) -> str:
    """Return the ARN of the payments table's stream."""
    table = stack.dynamodb.describe_table(TableName=stack.outputs["dynamodb_table_name"])["Table"]
    arn = table.get("LatestStreamArn")
    if not arn:
        raise LocalError("the payments table has no stream: nothing is charged or announced. Deploy the environment.")
    return arn


def _shards(client: Any, arn: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - botocore's
    query: dict[str, Any] = {"StreamArn": arn}
    while True:
        described = client.describe_stream(**query)["StreamDescription"]
        yield from described["Shards"]
        last = described.get("LastEvaluatedShardId")
        if not last:
            return
        query["ExclusiveStartShardId"] = last


@dataclass
class _Reading:
    """How far a shard is read."""

    iterator: str | None
    last: str | None = None


@dataclass
class Feed:
    """Every change of a payment, as it comes. A stream allows two readers: the relay and this one."""

    stack: Stack
    start: Start = "LATEST"
    _client: Any = field(default=None, init=False)
    _arn: str = field(default="", init=False)
    _shards: dict[str, _Reading] = field(default_factory=dict, init=False)
    _looked: float = field(default=float("-inf"), init=False)

    def poll(self) -> list[StreamRecord]:
        """Return the records that have come since the last poll."""
        if self._client is None:
            self._client = self.stack.client("dynamodbstreams")
            self._arn = stream_arn(self.stack)
        if time.monotonic() - self._looked > _LOOK_FOR_SHARDS_SECONDS:
            self._look()
        return [record for shard, reading in self._shards.items() for record in self._read(shard, reading)]

    def _look(self) -> None:
        """Find new shards. One that comes while we read is read from its beginning."""
        first = not self._shards
        for shard in _shards(self._client, self._arn):
            if shard["ShardId"] not in self._shards:
                start = self.start if first else "TRIM_HORIZON"
                self._shards[shard["ShardId"]] = _Reading(self._iterator(shard["ShardId"], start))
        self._looked = time.monotonic()

    def _iterator(self, shard: str, kind: str, after: str | None = None) -> str:
        query = {"StreamArn": self._arn, "ShardId": shard, "ShardIteratorType": kind}
        if after:
            query["SequenceNumber"] = after
        return str(self._client.get_shard_iterator(**query)["ShardIterator"])

    def _read(self, shard: str, reading: _Reading) -> list[StreamRecord]:
        records: list[StreamRecord] = []
        while reading.iterator is not None:
            try:
                answer = self._client.get_records(ShardIterator=reading.iterator, Limit=_PAGE)
            except self._client.exceptions.ClientError as error:
                if code_of(error) != _EXPIRED:
                    raise
                kind = "AFTER_SEQUENCE_NUMBER" if reading.last else self.start
                reading.iterator = self._iterator(shard, kind, reading.last)
                continue
            reading.iterator = answer.get("NextShardIterator")
            records += answer["Records"]
            if not answer["Records"]:
                break
            reading.last = answer["Records"][-1]["dynamodb"]["SequenceNumber"]
        return records


def records_between(stack: Stack, arn: str, shard: str, first: str, last: str) -> list[StreamRecord]:
    """Return a shard's records from one sequence number to another, both included.

    Raises TrimmedError if the stream no longer keeps them.
    """
    client = stack.client("dynamodbstreams")
    records: list[StreamRecord] = []
    try:
        iterator = client.get_shard_iterator(
            StreamArn=arn, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=first
        )["ShardIterator"]
        # An empty answer does not mean that there are no more records.
        for _ in range(_ANSWERS):
            if not iterator:
                break
            answer = client.get_records(ShardIterator=iterator, Limit=_PAGE)
            for record in answer["Records"]:
                number = int(record["dynamodb"]["SequenceNumber"])
                if number <= int(last):
                    records.append(record)
                if number >= int(last):
                    return records
            iterator = answer.get("NextShardIterator")
    except client.exceptions.ClientError as error:
        if code_of(error) not in _GONE:
            raise
        raise TrimmedError(code_of(error)) from error
    raise TrimmedError("the last record is not there")
