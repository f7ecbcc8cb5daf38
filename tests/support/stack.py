"""A deployment whose AWS and API give the answers that a test sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

import requests
from botocore.exceptions import ClientError

from ops.client import Api, Keys
from ops.dead_letters import QueueClient, StackQueue
from ops.stack import Stack

ARN = "arn:aws:sqs:ap-southeast-1:000000000000:payment-validator-dlq-dev"


OUTPUTS: dict[str, Any] = {
    "alarms_topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:payment-alarms-dev",
    "announcements_topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:payment-announcements-dev",
    "api_gateway_id": "abc123",
    "api_gateway_url": "https://abc123.execute-api.ap-southeast-1.amazonaws.com/prod",
    "api_stage_name": "prod",
    "dynamodb_table_name": "payment-transactions-dev",
    "function_names": {name: f"payment-{name}-dev" for name in ("relay", "processor", "notifier", "reconciler")},
    "gateway": {"name": "simulator", "comparer_function_name": None, "secret_names": {}, "webhook_url": None},
    "processor_dlq_url": "https://sqs/payment-processor-dlq-dev",
    "processor_queue_url": "https://sqs/payment-processor-to-notifier-dev",
    "reconciler_function_name": "payment-reconciler-dev",
    "region": "ap-southeast-1",
    "relay_dlq_url": "https://sqs/payment-relay-dlq-dev",
    "validator_dlq_url": "https://sqs/payment-validator-dlq-dev",
    "validator_queue_url": "https://sqs/payment-validator-to-processor-dev",
}


@dataclass
class FakeStack:
    """A stack whose clients a test sets up."""

    outputs: dict[str, Any] = field(default_factory=lambda: dict(OUTPUTS))
    endpoint: str | None = None
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str, **_config: object) -> Any:
        if service not in self.clients:
            self.clients[service] = MagicMock()
            self.clients[service].exceptions.ClientError = ClientError
        return self.clients[service]

    gateway = Stack.gateway
    dynamodb = property(lambda self: self.client("dynamodb"))
    functions = property(lambda self: self.client("lambda"))
    sns = property(lambda self: self.client("sns"))


def refused(code: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "so it says"}}, operation)


def said(status: int, body: object, headers: dict[str, str] | None = None) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = json.dumps(body).encode()  # noqa: SLF001 - how requests is given a body
    answer.headers.update(headers or {})
    return answer


API = Api("https://api", "ap-southeast-1", Keys("AKID", "secret", "token"))


def message(number: int, body: str = "{}") -> dict[str, Any]:
    return {
        "MessageId": f"m{number}",
        "ReceiptHandle": f"r{number}",
        "Body": body,
        "Attributes": {"SentTimestamp": "1767225600000", "ApproximateReceiveCount": "1"},
    }


@dataclass
class FakeQueue:
    """SQS with one dead-letter queue, and a record of the calls in order."""

    messages: list[dict[str, Any]]
    refuse: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def get_queue_attributes(self, **_asked: object) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": ARN, "ApproximateNumberOfMessages": str(len(self.messages))}}

    def start_message_move_task(self, **_asked: object) -> None:
        raise refused("InvalidAction", "StartMessageMoveTask")

    def receive_message(self, **asked: Any) -> dict[str, Any]:
        taken = self.messages[: asked["MaxNumberOfMessages"]]
        self.messages = self.messages[len(taken) :]
        return {"Messages": taken}

    def _each(self, what: str, name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.done += [f"{what} {entry[name]}" for entry in entries if entry[name] not in self.refuse]
        return {"Failed": [{"Id": entry["Id"], "Code": "x"} for entry in entries if entry[name] in self.refuse]}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == OUTPUTS["validator_queue_url"]
        return self._each("send", "MessageBody", Entries)

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return self._each("delete", "ReceiptHandle", Entries)

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> None:  # noqa: N803
        self._each("put back", "ReceiptHandle", Entries)


def post(stack: FakeStack, sqs: Any) -> tuple[QueueClient, StackQueue]:
    stack.clients["sqs"] = sqs
    made = QueueClient(stack)  # type: ignore[arg-type]
    return made, made.queue("validator")


def records(*numbers: int) -> list[dict[str, Any]]:
    return [{"eventName": "MODIFY", "dynamodb": {"SequenceNumber": str(number)}} for number in numbers]


def set_return(stack: FakeStack, service: str, method: str, value: Any) -> None:
    getattr(stack.client(service), method).return_value = value
