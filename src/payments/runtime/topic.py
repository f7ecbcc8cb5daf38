"""Publishes CloudEvents on an SNS topic, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from payments.domain.errors import UnavailableError
from payments.runtime.calls import available, batches, refused
from payments.runtime.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable


class TopicPublisher:
    """A topic behind an SNS client."""

    def __init__(self, client: Any, topic_arn: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._topic_arn = topic_arn

    def publish(
        self, events: dict[str, tuple[dict[str, Any], dict[str, str]]], *, in_time: Callable[[], bool]
    ) -> dict[str, str]:
        """Publish CloudEvents, each with what subscribers can filter by, and return why any was not published.

        At most two calls are made for each event, and none when ``in_time`` says no.
        """
        names = iter(events)
        failures: dict[str, str] = {}
        for bodies in batches([msgspec.json.encode(event).decode() for event, _ in events.values()]):
            failures |= self._publish({(name := next(names)): (body, events[name][1]) for body in bodies}, in_time)
        return failures

    def _publish(self, entries: dict[str, tuple[str, dict[str, str]]], in_time: Callable[[], bool]) -> dict[str, str]:
        """Publish in one call; where SNS refuses the call, publish each entry alone: a bad one fails no other."""
        if not in_time():
            return dict.fromkeys(entries, "no time was left")
        try:
            return self._call(entries)
        except UnavailableError as error:
            return dict.fromkeys(entries, str(error))
        except ClientError as error:
            reason = error.response["Error"]["Code"]
        if len(entries) == 1:
            logger.error("SNS refuses an announcement", reason=reason)
            return dict.fromkeys(entries, reason)
        failures: dict[str, str] = {}
        for name, entry in entries.items():
            failures |= self._publish({name: entry}, in_time)
        return failures

    def _call(self, entries: dict[str, tuple[str, dict[str, str]]]) -> dict[str, str]:
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
