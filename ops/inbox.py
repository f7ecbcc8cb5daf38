"""A receiver of announcements: a temporary queue, subscribed to the stack's topic."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

    from ops.stack import Stack

Event = dict[str, Any]


@dataclass
class Inbox:
    """A queue of one's own for the announcements, as a context manager; it is deleted at the end."""

    stack: Stack
    received: list[Event] = field(default_factory=list, init=False)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    _sqs: SQSClient = field(init=False)
    _sns: SNSClient = field(init=False)
    _queue: str | None = field(default=None, init=False)
    _subscription: str | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._sqs, self._sns = self.stack.sqs, self.stack.sns
        topic = self.stack.outputs["announcements_topic_arn"]
        try:
            self._queue = self._sqs.create_queue(QueueName=f"payments-inbox-{uuid.uuid4().hex[:12]}")["QueueUrl"]
            arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
            subscribed = self._sns.subscribe(
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=arn,
                Attributes={"RawMessageDelivery": "true"},
                ReturnSubscriptionArn=True,
            )
            self._subscription = subscribed["SubscriptionArn"]
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._delete()

    def wait(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """Return the first announcement that is ``wanted``, even an earlier one; None if none arrives in time."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self.received:
                if wanted(event):
                    return event
            if time.monotonic() > deadline:
                return None
            self.receive()

    def of(self, transaction_id: str) -> list[Event]:
        """Return the announcements of a payment so far."""
        self.receive()
        return [event for event in self.received if event["subject"] == transaction_id]

    def receive(self) -> int:
        """Receive the next announcements, at most a batch; return their number."""
        if self._queue is None:
            raise ValueError("the inbox is not open")
        answer = self._sqs.receive_message(
            QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            self.received.append(event)
            self.attributes[event["id"]] = {
                name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()
            }
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return len(answer.get("Messages", []))

    def _delete(self) -> None:
        if self._subscription:
            self._sns.unsubscribe(SubscriptionArn=self._subscription)
        if self._queue:
            self._sqs.delete_queue(QueueUrl=self._queue)
        self._subscription = self._queue = None
