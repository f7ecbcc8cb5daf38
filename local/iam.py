"""Adapts roles to two checks of the embedded AWS that AWS does not make.

In AWS ``sqs:SendMessage`` allows SendMessageBatch too, and ``sns:Publish`` allows PublishBatch; there are no actions of
those names. The embedded AWS looks for them. So a role with the one gets the other, outside Terraform, for the same
resources under the same conditions. Everything else stays refused.

The embedded AWS does not know which of a secret's labels a call is about, so a permission for some labels permits
nothing. Each such permission is repeated without that condition, for the same actions and resources.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_iam import IAMClient

BATCH_CALLS = {"sqs:SendMessage": "sqs:SendMessageBatch", "sns:Publish": "sns:PublishBatch"}
UNSEEN_KEYS = {"secretsmanager:VersionStage"}
POLICY = "batch-calls-of-the-embedded-aws"


def batch_statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a policy that allow a call, rewritten to allow its batch form."""
    return [
        {name: value for name, value in statement.items() if name != "Sid"} | {"Action": batched}
        for statement in policy["Statement"]
        if (batched := [BATCH_CALLS[action] for action in statement["Action"] if action in BATCH_CALLS])
    ]


def unseen_statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a policy with a condition on an unseen key, rewritten without it."""
    rewritten = []
    for statement in policy["Statement"]:
        conditions = {
            test: kept
            for test, keys in statement.get("Condition", {}).items()
            if (kept := {key: values for key, values in keys.items() if key not in UNSEEN_KEYS})
        }
        if statement["Effect"] == "Allow" and conditions != statement.get("Condition", {}):
            plain = {name: value for name, value in statement.items() if name not in {"Sid", "Condition"}}
            rewritten.append(plain | ({"Condition": conditions} if conditions else {}))
    return rewritten


def adapt_roles(iam: IAMClient, roles: Iterable[str]) -> None:
    """Let each role of an embedded AWS do what it may do in AWS."""
    for role in roles:
        names = set(iam.list_role_policies(RoleName=role)["PolicyNames"]) - {POLICY}
        documents: list[Any] = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        statements = [
            statement
            for document in documents
            for statement in (*batch_statements(document), *unseen_statements(document))
        ]
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=document)
