"""Publishes CloudEvents on an SNS topic, in batches."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from payments.domain.errors import UnavailableError
from payments.runtime.calls import available, batches, refused
from payments.runtime.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# CloudEvents as JSON, each with the attributes that subscribers can filter by, keyed by the caller's names.
Entries = dict[str, tuple[str, dict[str, str]]]

# Ample for a call. One that takes longer, on a bad day, may be cut off: the batch is delivered again, with the same
# ids.
PUBLISH_SECONDS = 2.0


class TopicPublisher:
    """An SNS topic, behind a client."""

    def __init__(self, client: Any, topic_arn: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._topic_arn = topic_arn

    def publish(
        self, events: dict[str, tuple[dict[str, Any], dict[str, str]]], *, in_time: Callable[[], bool]
    ) -> dict[str, str]:
        """Publish CloudEvents, each with attributes for subscribers' filters, and return why any was not published.

        At most two calls are made for each event, and none after the first once ``in_time`` returns False.
        """
        names = iter(events)
        return self._publish_all(
            (
                {(name := next(names)): (body, events[name][1]) for body in bodies}
                for bodies in batches([msgspec.json.encode(event).decode() for event, _ in events.values()])
            ),
            # A function may have only three seconds, so the first call is always made.
            chain([True], iter(in_time, None)),
        )

    def _publish_all(self, groups: Iterable[Entries], in_time: Iterator[bool]) -> dict[str, str]:
        failures: dict[str, str] = {}
        for entries in groups:
            failures |= self._publish(entries, in_time) if next(in_time) else dict.fromkeys(entries, "no time was left")
        return failures

    def _publish(self, entries: Entries, in_time: Iterator[bool]) -> dict[str, str]:
        """Publish in one call; if SNS refuses the call, publish each entry alone: a bad one fails no other."""
        try:
            return self._call(entries)
        except UnavailableError as error:
            return dict.fromkeys(entries, str(error))
        except ClientError as error:
            reason = error.response["Error"]["Code"]
        if len(entries) == 1:
            logger.error("SNS refuses an announcement", reason=reason)
            return dict.fromkeys(entries, reason)
        return self._publish_all(({name: entry} for name, entry in entries.items()), in_time)

    def _call(self, entries: Entries) -> dict[str, str]:
        names = list(entries)
        with available():
            answer = self._client.publish_batch(
                TopicArn=self._topic_arn,
                PublishBatchRequestEntries=[
                    {"Id": str(number), "Message": body, "MessageAttributes": _attributes(filters)}
                    for number, (body, filters) in enumerate(entries.values())
                ],
            )
        return {names[number]: reason for number, reason in refused(answer, len(names)).items()}


def _attributes(filters: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in filters.items()}
