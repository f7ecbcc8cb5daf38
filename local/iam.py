"""What the embedded AWS asks of a role that AWS does not: a permission by a batch call's own name.

In AWS ``sqs:SendMessage`` allows SendMessageBatch too, and ``sns:Publish`` allows PublishBatch; there are no actions of
those names. The embedded AWS looks for them. So a role that may do the one gets, here and outside Terraform, the other
for the same resources under the same conditions: what is refused stays refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_iam import IAMClient

BATCH_CALLS = {"sqs:SendMessage": "sqs:SendMessageBatch", "sns:Publish": "sns:PublishBatch"}
POLICY = "batch-calls-of-the-embedded-aws"


def batch_statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a policy that allow a call, rewritten to allow its batch form."""
    return [
        {name: value for name, value in statement.items() if name != "Sid"} | {"Action": batched}
        for statement in policy["Statement"]
        if (batched := [BATCH_CALLS[action] for action in statement["Action"] if action in BATCH_CALLS])
    ]


def allow_batch_calls(iam: IAMClient, roles: Iterable[str]) -> None:
    """Let each role of an embedded AWS batch the calls that it may make."""
    for role in roles:
        names = set(iam.list_role_policies(RoleName=role)["PolicyNames"]) - {POLICY}
        documents: list[Any] = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        statements = [statement for document in documents for statement in batch_statements(document)]
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=document)
