"""Least privilege: the rights of every role and the policy of every resource equal one reviewed inventory."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tftest

from tests.plan import rights as inventory
from tests.plan.rights import STACK, WAY_OUT, accept, differences, expected_rights, merge, rights, split
from tests.support.plan import Plan, resources

pytestmark = pytest.mark.plan

RootPlan = Callable[[str], Plan]


def check(case: str, plan: Plan) -> None:
    found = rights(plan)
    accept(case, found)
    told = differences(expected_rights(case), found)
    assert not told, "\n".join([f"{case} grants more (+) or less (-) than the inventory:", *told, WAY_OUT])


@pytest.mark.parametrize("case", STACK)
def test_the_rights_of_the_stack(root_plan: RootPlan, case: str) -> None:
    check(case, root_plan(case))


def test_the_rights_of_the_bootstrap(small_root: Callable[[str], tftest.TerraformTest]) -> None:
    check("bootstrap", small_root("bootstrap").plan(output=True)._raw)  # noqa: SLF001 - the whole of it


VALIDATOR = 'module.function["validator"].aws_iam_role_policy.this'
ROLE = "role payment-validator-{suffix}"
TABLE = "resources arn:aws:dynamodb:{region}:{account}:table/payment-transactions-{suffix}"


def planted(plan: Plan, address: str, change: Callable[[dict[str, Any]], None], name: str = "policy") -> list[str]:
    """Change a policy in a plan's data, and return its differences from the inventory."""
    plan = copy.deepcopy(plan)
    (resource,) = [one for one in plan["resource_changes"] if one["address"] == address]
    document = json.loads(resource["change"]["after"][name])
    change({statement.get("Sid", ""): statement for statement in document["Statement"]})
    resource["change"]["after"][name] = json.dumps(document)
    return differences(expected_rights("dev"), rights(plan))


EXTRA = [
    "dynamodb:DeleteTable",
    "dynamodb:PartiQLUpdate",
    "iam:PassRole",
    "lambda:UpdateFunctionCode",
    "sqs:PurgeQueue",
]


def test_each_extra_action_is_reported(root_plan: RootPlan) -> None:
    told = planted(root_plan("dev"), VALIDATOR, lambda found: found["OwnAccept"]["Action"].extend(EXTRA))
    assert told == [f"+ {ROLE}: statement work/OwnAccept, allow {action}, {TABLE}" for action in EXTRA]


def test_a_missing_action_is_reported(root_plan: RootPlan) -> None:
    told = planted(root_plan("dev"), VALIDATOR, lambda found: found["Logs"]["Action"].remove("logs:PutLogEvents"))
    logs = "resources arn:aws:logs:{region}:{account}:log-group:/aws/lambda/payment-validator-{suffix}:*"
    assert told == [f"- {ROLE}: statement work/Logs, allow logs:PutLogEvents, {logs}"]


def test_a_widened_resource_is_reported(root_plan: RootPlan) -> None:
    told = planted(root_plan("dev"), VALIDATOR, lambda found: found["OwnAccept"].update(Resource="*"))
    right = f"{ROLE}: statement work/OwnAccept, allow dynamodb:PutItem"
    assert told == [f"+ {right}, resources *", f"- {right}, {TABLE}"]


def test_a_dropped_condition_is_reported(root_plan: RootPlan) -> None:
    told = planted(root_plan("dev"), VALIDATOR, lambda found: found["OwnKey"]["Condition"].pop("StringEquals"))
    assert len(told) == 8, "each of four actions without the condition, and none with it"
    assert {line for line in told if line[0] == "-" and '"StringEquals kms:ViaService"' not in line} == set()
    assert {line for line in told if line[0] == "+" and '"StringEquals kms:ViaService"' in line} == set()


def test_another_effect_is_reported(root_plan: RootPlan) -> None:
    told = planted(root_plan("dev"), VALIDATOR, lambda found: found["NetworkNotByCode"].update(Effect="Allow"))
    assert len([line for line in told if line.startswith("+") and "allow ec2:" in line]) == 6
    assert len([line for line in told if line.startswith("-") and "deny ec2:" in line]) == 6


@pytest.mark.parametrize(
    ("address", "name", "sid"),
    [
        ('module.function["reader"].aws_iam_role.this', "assume_role_policy", ""),
        ('module.keys.aws_kms_key.this["dynamodb"]', "policy", "AccountDecidesByIAM"),
        ('module.queue["validator_to_processor"].aws_sqs_queue.this', "policy", "OnlyOverTLS"),
        ("module.alarms.aws_sns_topic_policy.this", "policy", "PublisherAlarms"),
    ],
)
def test_another_principal_is_reported(root_plan: RootPlan, address: str, name: str, sid: str) -> None:
    stranger = {"AWS": "arn:aws:iam::111122223333:root"}
    told = planted(root_plan("dev"), address, lambda found: found[sid].update(Principal=stranger), name)
    assert [line for line in told if line.startswith("+") and "111122223333" in line]


def test_a_policy_known_only_after_the_apply_is_reported(root_plan: RootPlan) -> None:
    plan = copy.deepcopy(root_plan("dev"))
    (resource,) = [one for one in plan["resource_changes"] if one["address"] == VALIDATOR]
    del resource["change"]["after"]["policy"]
    resource["change"]["after_unknown"]["policy"] = True
    told = differences(expected_rights("dev"), rights(plan))
    assert f"+ {ROLE}: statement work, policy known after the apply" in told


def added(plan: Plan, type_: str, values: dict[str, Any]) -> Plan:
    """Return a plan with one more resource."""
    change = {"after": values, "after_unknown": {}}
    more = {"address": f"{type_}.more", "type": type_, "mode": "managed", "change": change}
    return plan | {"resource_changes": [*plan["resource_changes"], more]}


def test_every_other_kind_of_grant_is_reported(root_plan: RootPlan) -> None:
    """A second policy, a managed policy, a permission, a policy on a resource that had none: they all grant rights."""
    plan, expected = root_plan("dev"), expected_rights("dev")
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": allow}, indent=2)
    role = "payment-validator-dev"
    more: dict[str, dict[str, Any]] = {
        "aws_iam_role_policy": {"role": role, "name": "more", "policy": document},
        "aws_iam_role_policy_attachment": {"role": role, "policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        "aws_lambda_permission": {"action": "lambda:InvokeFunction", "principal": "*"},
        "aws_kms_grant": {"operations": ["Decrypt"], "grantee_principal": role},
        "aws_secretsmanager_secret_policy": {"policy": document},
    }
    for type_, values in more.items():
        assert [line[0] for line in differences(expected, rights(added(plan, type_, values)))] == ["+"], type_
    for type_ in ("aws_kms_key", "aws_kms_replica_key", "aws_vpc_endpoint"):
        (told,) = differences(expected, rights(added(plan, type_, {})))
        assert told == f"+ {type_}.more: statement policy, policy none is written, so AWS's own allows everything"
    with pytest.raises(AssertionError, match="cannot read what this grants"):
        rights(added(plan, "aws_iam_user_policy", {"user": "somebody", "policy": document}))


@pytest.mark.parametrize("address", ['module.keys.aws_kms_key.this["sqs"]', VALIDATOR])
def test_a_removed_policy_is_reported(root_plan: RootPlan, address: str) -> None:
    plan = copy.deepcopy(root_plan("dev"))
    (resource,) = [one for one in plan["resource_changes"] if one["address"] == address]
    resource["change"]["after"]["policy"] = None
    assert [line[0] for line in differences(expected_rights("dev"), rights(plan))].count("+") == 1


def test_a_permissions_boundary_is_reported(root_plan: RootPlan) -> None:
    """A boundary grants nothing, and takes rights away that the inventory says a role has."""
    plan = copy.deepcopy(root_plan("dev"))
    (role,) = [
        one for one in plan["resource_changes"] if one["address"] == 'module.function["validator"].aws_iam_role.this'
    ]
    role["change"]["after"]["permissions_boundary"] = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    told = differences(expected_rights("dev"), rights(plan))
    assert told == [f"+ {ROLE}: statement permissions boundary, policy arn:aws:iam::aws:policy/ReadOnlyAccess"]


def test_a_missing_role_is_reported(root_plan: RootPlan) -> None:
    plan = root_plan("dev")
    kept = [one for one in plan["resource_changes"] if 'module.function["reader"].aws_iam' not in one["address"]]
    told = differences(expected_rights("dev"), rights(plan | {"resource_changes": kept}))
    assert len(told) > 15
    assert {line.split(":")[0] for line in told} == {"- role payment-reader-{suffix}"}


def test_the_inventory_says_nothing_twice_and_loses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trust = {"statement": "trust", "allow": "sts:AssumeRole", "principals": {"Service": "lambda.amazonaws.com"}}
    logs = {"statement": "work/Logs", "allow": "logs:PutLogEvents"}
    cases: dict[str, inventory.Rights] = {
        case: {
            "role payment-a": [trust, logs | {"resources": "log-of-payment-a"}],
            "role payment-b": [
                trust,
                logs | {"resources": "log-of-payment-b"},
                {"statement": "work/Only", "allow": f"do:{case[0]}"},
            ],
        }
        for case in STACK
    }
    cases["bootstrap"] = {"key": [{"statement": "policy", "allow": "kms:*"}]}
    merged = merge(cases)
    assert [grant["resources"] for grant in merged["each_function"][1:]] == ["log-of-{name}"]
    assert merged["holders"]["role payment-a"] == {"each_function": True, "grants": []}
    assert merged["holders"]["key"]["cases"] == ["bootstrap"]
    assert [line for case, found in cases.items() for line in differences(found, split(merged)[case])] == []

    monkeypatch.setattr(inventory, "INVENTORY", tmp_path / "rights.yaml")
    monkeypatch.setenv("UPDATE_INVENTORY", "1")
    for case, found in cases.items():
        accept(case, found)
    assert [line for case, found in cases.items() for line in differences(found, expected_rights(case))] == []


@pytest.mark.parametrize("case", STACK)
def test_the_policies_fit_into_a_role(root_plan: RootPlan, case: str) -> None:
    """IAM allows 10 240 characters of inline policies in a role."""
    sizes: dict[str, int] = {}
    for policy in resources(root_plan(case), "aws_iam_role_policy"):
        values = policy["values"]
        sizes[values["role"]] = sizes.get(values["role"], 0) + len("".join(values["policy"].split()))
    assert max(sizes.values()) < 10_240
