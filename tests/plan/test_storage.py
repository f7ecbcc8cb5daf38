"""The modules that store data, once applied: their settings as AWS reports them, not as the plan does."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pytest_terraform import terraform

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.plan


@pytest.fixture(scope="module", autouse=True)
def in_the_embedded_aws(terraform_environment: dict[str, str]) -> Iterator[None]:
    """Terraform and boto3 find the embedded AWS in the process's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in terraform_environment.items():
            if os.environ.get(name) != value:
                patch.setenv(name, value)
        yield


def told(storage: Any, output: str) -> str:
    value = storage.outputs[output]["value"]
    assert isinstance(value, str)
    return value


@terraform("storage", scope="module")
def test_a_queue_is_encrypted_refuses_plain_http_and_gives_up_into_its_dead_letter_queue(storage: Any) -> None:
    sqs = boto3.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=told(storage, "queue_url"), AttributeNames=["All"])["Attributes"]
    dead = sqs.get_queue_attributes(QueueUrl=told(storage, "dead_letter_queue_url"), AttributeNames=["All"])[
        "Attributes"
    ]
    assert attributes["KmsMasterKeyId"] == dead["KmsMasterKeyId"] == told(storage, "key_arn")
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 3
    assert (attributes["VisibilityTimeout"], attributes["ReceiveMessageWaitTimeSeconds"]) == ("180", "20")
    assert int(dead["MessageRetentionPeriod"]) == 14 * 24 * 3600
    for policy in (attributes["Policy"], dead["Policy"]):
        (statement,) = json.loads(policy)["Statement"]
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@terraform("storage", scope="module")
def test_a_table_streams_and_is_paid_by_request(storage: Any) -> None:
    table = boto3.client("dynamodb").describe_table(TableName=told(storage, "table_name"))["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["SSEDescription"]["Status"] == "ENABLED"


@terraform("storage", scope="module")
def test_a_topic_is_encrypted_and_a_key_rotates(storage: Any) -> None:
    attributes = boto3.client("sns").get_topic_attributes(TopicArn=told(storage, "topic_arn"))["Attributes"]
    assert attributes["KmsMasterKeyId"] == told(storage, "key_arn")
    keys = boto3.client("kms")
    assert keys.get_key_rotation_status(KeyId=told(storage, "key_id"))["KeyRotationEnabled"] is True
    (alias,) = keys.list_aliases(KeyId=told(storage, "key_id"))["Aliases"]
    assert alias["AliasName"] == "alias/payment-storage-test"
