"""Announce an outcome as a CloudEvent (CloudEvents 1.0, structured JSON) on an SNS topic."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from payments.aws import UnavailableError, available, refused
from payments.money import Money
from payments.relaying import batches
from payments.telemetry import logger
from payments.transitions import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from payments.model import Message

# A CloudEvent as JSON, and what subscribers can filter by; by a name of the caller's.
Letters = dict[str, tuple[str, dict[str, str]]]

# Ample for a call. One that takes longer, on a bad day, may be cut off: the batch comes again, under the same ids.
PUBLISH_SECONDS = 2.0


def cloud_event(message: Message, source: str) -> dict[str, Any]:
    """Return the CloudEvent of a message.

    Its id is made of the payment's id and version: every repeat of the announcement has the same one.
    """
    payment = message.payment
    data = {
        "transaction_id": payment.transaction_id,
        "customer_id": payment.customer_id,
        "amount": str(payment.money),
        "currency": payment.currency,
        "status": payment.status,
        "version": payment.version,
        "created_at": payment.created_at,
        "gateway_reference": payment.gateway_reference,
        "failure_code": payment.failure_code,
        "next_action": (payment.next_action or None) if payment.status in OPEN else None,
        "metadata": payment.metadata,
        "amount_refunded": str(payment.refunded) if payment.refunded.minor else None,
    }
    if message.refund_id is not None:
        refund = payment.refunds[message.refund_id]
        data["refund"] = {
            name: value
            for name, value in {
                "refund_id": message.refund_id,
                "amount": str(Money(refund.amount_minor, payment.currency)),
                "status": refund.status,
                "created_at": refund.created_at,
                "reason": refund.reason,
                "gateway_reference": refund.gateway_reference,
                "failure_code": refund.failure_code,
            }.items()
            if value is not None
        }
    if message.dispute_id is not None:
        dispute = payment.disputes[message.dispute_id]
        data["dispute"] = {
            "dispute_id": message.dispute_id,
            "amount": str(Money(dispute.amount_minor, payment.currency)),
            "status": dispute.status,
            "reason": dispute.reason,
        }
    return {
        "specversion": "1.0",
        "id": f"{payment.transaction_id}.{payment.version}",
        "source": source,
        "type": message.event,
        "subject": payment.transaction_id,
        "time": payment.updated_at,
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if value is not None},
    }


class Announcer:
    """Publishes announcements behind an SNS client."""

    def __init__(self, client: Any, topic_arn: str, source: str) -> None:  # noqa: ANN401 - botocore's
        self._client = client
        self._topic_arn = topic_arn
        self.source = source

    def announce(self, messages: dict[str, Message], *, in_time: Callable[[], bool]) -> dict[str, str]:
        """Publish messages, by a name of the caller's, and return why any was not published, by its name."""
        events: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
        failures: dict[str, str] = {}
        for name, message in messages.items():
            try:
                events[name] = cloud_event(message, self.source), attributes(message)
            except Exception as error:  # noqa: BLE001
                # The message comes again, and in the end goes to the dead-letter queue. Its neighbours go on.
                logger.error("no event could be written", error=type(error).__name__, **message.named())
                failures[name] = type(error).__name__
        return failures | self.publish(events, in_time=in_time)

    def publish(
        self, events: dict[str, tuple[dict[str, Any], dict[str, str]]], *, in_time: Callable[[], bool]
    ) -> dict[str, str]:
        """Publish CloudEvents, each with what subscribers can filter by, and return why any was not published.

        At most two calls are made for each event, and after the first none when ``in_time`` says no.
        """
        names = iter(events)
        return self._publish_all(
            (
                {(name := next(names)): (body, events[name][1]) for body in bodies}
                for bodies in batches([msgspec.json.encode(event).decode() for event, _ in events.values()])
            ),
            # A function may have three seconds in all: the first call does not ask.
            chain([True], iter(in_time, None)),
        )

    def _publish_all(self, groups: Iterable[Letters], in_time: Iterator[bool]) -> dict[str, str]:
        failures: dict[str, str] = {}
        for letters in groups:
            failures |= self._publish(letters, in_time) if next(in_time) else dict.fromkeys(letters, "no time was left")
        return failures

    def _publish(self, letters: Letters, in_time: Iterator[bool]) -> dict[str, str]:
        """Publish by one call; where SNS refuses the call, publish each letter alone: a bad one fails no other."""
        try:
            return self._call(letters)
        except UnavailableError as error:
            return dict.fromkeys(letters, str(error))
        except ClientError as error:
            reason = error.response["Error"]["Code"]
        if len(letters) == 1:
            logger.error("SNS refuses an announcement", reason=reason)
            return dict.fromkeys(letters, reason)
        return self._publish_all(({name: letter} for name, letter in letters.items()), in_time)

    def _call(self, letters: Letters) -> dict[str, str]:
        names = list(letters)
        with available():
            answer = self._client.publish_batch(
                TopicArn=self._topic_arn,
                PublishBatchRequestEntries=[
                    {
                        "Id": str(number),
                        "Message": body,
                        "MessageAttributes": {
                            name: {"DataType": "String", "StringValue": value} for name, value in filters.items()
                        },
                    }
                    for number, (body, filters) in enumerate(letters.values())
                ],
            )
        return {names[number]: why for number, why in refused(answer, len(names)).items()}


def attributes(message: Message) -> dict[str, str]:
    """Return what subscribers can filter by."""
    return {"event_type": message.event, "currency": message.payment.currency, "status": message.payment.status}
