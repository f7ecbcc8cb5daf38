"""Least privilege with IAM enforced: each role can do what it is allowed, and nothing that only other roles need.

The matrix comes from the deployed policies: a probe under each function's own role calls every action that any
function may do, on every resource that the policies name.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deployed import unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack

pytestmark = pytest.mark.e2e

PROBE = """
import boto3

def handler(event, context):
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except client.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
"""
# An announcement of no event: the embedded AWS accepts even an empty message, which receivers could not read.
NOTHING = json.dumps({"specversion": "1.0", "id": "probe", "subject": "probe", "type": "probe", "data": {}})
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
# Services whose every action a probe can call without side effects. Left out are actions without a resource to limit
# (X-Ray, network interfaces), those on each function's own log group, and keys, which have a test below.
PROBED = {"dynamodb", "sqs", "sns"}


@dataclass(frozen=True, order=True)
class Right:
    """An action on a resource."""

    action: str
    resource: str

    def call(self) -> dict[str, Any]:
        """Return a call of the action that changes nothing, allowed or not."""
        name = self.resource.rpartition("/")[2] if ":table/" in self.resource else self.resource.rpartition(":")[2]
        table = self.resource.partition(":table/")[2].partition("/")[0]
        key_name = "idempotency_key" if "ledger" in table else "transaction_id"
        key = {key_name: {"S": "probe"}}
        url = f"https://queue/{self.resource.split(':')[4] if self.resource.count(':') > 4 else ''}/{name}"
        never = {"ConditionExpression": "attribute_exists(no_such_attribute)"}
        calls: dict[str, tuple[str, str, dict[str, Any]]] = {
            "dynamodb:PutItem": ("dynamodb", "put_item", {"TableName": table, "Item": key} | never),
            "dynamodb:UpdateItem": ("dynamodb", "update_item", {"TableName": table, "Key": key} | never),
            "dynamodb:GetItem": ("dynamodb", "get_item", {"TableName": table, "Key": key}),
            "dynamodb:BatchGetItem": ("dynamodb", "batch_get_item", {"RequestItems": {table: {"Keys": [key]}}}),
            "dynamodb:Query": (
                "dynamodb",
                "query",
                {
                    "TableName": table,
                    "IndexName": name,
                    "KeyConditionExpression": "#key = :nobody",
                    "ExpressionAttributeNames": {"#key": "open_shard" if "open" in name else "customer_shard"},
                    "ExpressionAttributeValues": {":nobody": {"S": "nobody"}},
                },
            ),
            # No message may hold that character: even an allowed call sends nothing.
            "sqs:SendMessage": ("sqs", "send_message", {"QueueUrl": url, "MessageBody": "\x01"}),
            "sqs:DeleteMessage": ("sqs", "delete_message", {"QueueUrl": url, "ReceiptHandle": "no-such-message"}),
            "sqs:GetQueueAttributes": (
                "sqs",
                "get_queue_attributes",
                {"QueueUrl": url, "AttributeNames": ["QueueArn"]},
            ),
            "sns:Publish": ("sns", "publish", {"TopicArn": self.resource, "Message": NOTHING}),
        }
        service, operation, parameters = calls[self.action]
        return {"service": service, "operation": operation, "parameters": parameters}


# ReceiveMessage would take a message. The embedded AWS refuses stream calls to every role, since its own poller reads
# the stream; tests/plan checks those rights with all others.
NOT_CALLED = {
    "sqs:ReceiveMessage",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}


def rights(stack: Stack, role: str) -> set[Right]:
    """Return what a role's policies allow on the probed services."""
    found = set()
    # The policies from Terraform, without those that local/iam.py adds for the embedded AWS.
    document: Any = stack.iam.get_role_policy(RoleName=role, PolicyName="work")["PolicyDocument"]
    for statement in (json.loads(document) if isinstance(document, str) else document)["Statement"]:
        found |= {Right(action, resource) for action in statement["Action"] for resource in statement["Resource"]}
    return {right for right in found if right.action.split(":")[0] in PROBED}


@pytest.fixture(scope="module")
def roles(stack: Stack) -> dict[str, set[Right]]:
    """Each function's rights."""
    return {function: rights(stack, role) for function, role in stack.outputs["function_names"].items()}


@pytest.fixture(scope="module")
def probes(stack: Stack) -> Iterator[dict[str, str]]:
    """A function under each function's role."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("probe.py", PROBE)
    made = {}
    for function, name in stack.outputs["function_names"].items():
        role = stack.functions.get_function_configuration(FunctionName=name)["Role"]
        made[function] = unique(f"probe-{function}")
        stack.functions.create_function(
            FunctionName=made[function],
            Role=role,
            Runtime="python3.13",
            Handler="probe.handler",
            Code={"ZipFile": packed.getvalue()},
            Timeout=20,
        )
    yield made
    for name in made.values():
        stack.functions.delete_function(FunctionName=name)


def ask(stack: Stack, probe: str, call: dict[str, Any]) -> str:
    answer = stack.functions.invoke(FunctionName=probe, Payload=json.dumps(call).encode())
    said = json.loads(answer["Payload"].read())
    assert isinstance(said, str), said
    return said


def queue_urls(stack: Stack) -> dict[str, str]:
    return {url.rpartition("/")[2]: url for url in stack.sqs.list_queues()["QueueUrls"]}


def test_each_role_can_do_its_work_and_nothing_that_the_others_need(
    stack: Stack, roles: dict[str, set[Right]], probes: dict[str, str]
) -> None:
    everything = {right for own in roles.values() for right in own if right.action not in NOT_CALLED}
    assert len(everything) >= 15
    urls = queue_urls(stack)
    wrong = []
    for function, own in roles.items():
        for right in sorted(everything):
            call = right.call()
            if "QueueUrl" in call["parameters"]:
                call["parameters"]["QueueUrl"] = urls[right.resource.rpartition(":")[2]]
            said = ask(stack, probes[function], call)
            if (said in REFUSED) is (right in own):
                wrong.append((function, right, said))
    assert wrong == []


def test_no_role_can_use_a_key_but_through_its_service(stack: Stack, probes: dict[str, str]) -> None:
    keys = stack.session().client("kms", endpoint_url=stack.endpoint, verify=stack.trusted)
    aliases = [
        one["AliasName"] for one in keys.list_aliases()["Aliases"] if one["AliasName"].startswith("alias/payment-")
    ]
    assert len(aliases) >= 5
    wrong = []
    for function, probe in probes.items():
        for alias in aliases:
            key = keys.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
            call = {
                "service": "kms",
                "operation": "generate_data_key",
                "parameters": {"KeyId": key, "KeySpec": "AES_256"},
            }
            said = ask(stack, probe, call)
            if said not in REFUSED:
                wrong.append((function, alias, said))
    assert wrong == []
