"""The network reach of each function: only this account's endpoints, or also the internet."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.plan import Cases, Plan, resources, warnings

pytestmark = pytest.mark.plan

# The functions that reach the internet in each environment's plan, and why.
INTERNET = {
    # Only for Stripe: every AWS service has an endpoint.
    "prod": {"processor", "reconciler", "stripe_comparer"},
    # SQS and SNS have no endpoint there, so they are reached through NAT.
    "dev": {"notifier", "relay"},
    # None: the simulator is a table, and DynamoDB has an endpoint.
    "options": set(),
    # DynamoDB has no endpoint there.
    "local": {"processor", "reader", "reconciler", "refunder", "validator"},
    # The webhook deliverers.
    "webhooks": {"webhooks"},
    # Like prod, but Secrets Manager has no endpoint there.
    "stripe": {"processor", "reconciler", "stripe_comparer", "stripe_webhook"},
}


@pytest.mark.parametrize("environment", sorted(INTERNET))
def test_only_the_functions_that_need_the_internet_reach_it(root_plan: Callable[[str], Plan], environment: str) -> None:
    plan = root_plan(environment)
    outside = plan["planned_values"]["outputs"]["internet_functions"]["value"]
    assert set(outside) == INTERNET[environment]
    ways = [
        rule["address"].removeprefix("module.network.aws_vpc_security_group_egress_rule.")
        for rule in resources(plan, "aws_vpc_security_group_egress_rule")
        if rule["values"]["cidr_ipv4"] == "0.0.0.0/0" and "egress_rule.nat[" not in rule["address"]
    ]
    assert ways == (['internet["0.0.0.0/0"]'] if outside else [])


def test_every_rule_lets_out_https_alone(root_plan: Callable[[str], Plan]) -> None:
    rules = [rule["values"] for rule in resources(root_plan("prod"), "aws_vpc_security_group_egress_rule")]
    assert {(rule["from_port"], rule["to_port"], rule["ip_protocol"]) for rule in rules} == {(443, 443, "tcp")}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_endpoint_takes_this_account_to_its_own_resources_alone(
    root_plan: Callable[[str], Plan], environment: str
) -> None:
    endpoints = resources(root_plan(environment), "aws_vpc_endpoint")
    services = {endpoint["values"]["service_name"].rsplit(".", 1)[1] for endpoint in endpoints}
    assert services == {"dynamodb"} | ({"secretsmanager", "sns", "sqs"} if environment == "prod" else set())
    for endpoint in endpoints:
        (statement,) = json.loads(endpoint["values"]["policy"])["Statement"]
        assert statement["Effect"] == "Allow"
        assert statement["Condition"] == {
            "StringEquals": {"aws:PrincipalAccount": "000000000000", "aws:ResourceAccount": "000000000000"}
        }


def test_both_groups_reach_the_endpoints_and_one_the_internet(
    module_cases: Callable[[str, Cases], Plan],
) -> None:
    plan = module_cases(
        "network",
        {
            "inside": {"functions": '{ a = ["dynamodb", "sqs"], b = [] }'},
            "by_service": {"functions": '{ a = ["dynamodb", "kms"] }'},
            "by_need": {"functions": '{ a = ["internet"] }'},
        },
    )
    rules: dict[str, set[str]] = {}
    for rule in resources(plan, "aws_vpc_security_group_egress_rule"):
        _, case, _, name = rule["address"].split(".", 3)
        rules.setdefault(case, set()).add(name)
    endpoints = {
        'endpoints_only["dynamodb"]',
        'endpoints_only["interface_endpoints"]',
        'gateway_endpoints["dynamodb"]',
        "interface_endpoints",
        'nat["only"]',
    }
    internet = {'internet["0.0.0.0/0"]'}
    assert rules == {"inside": endpoints, "by_service": endpoints | internet, "by_need": endpoints | internet}


def test_unreachable_services_are_refused_by_name(root_errors: Callable[..., str]) -> None:
    """The message names the functions and the services, for each kind of need."""
    bare: dict[str, list[str]] = {"gateway_endpoints": [], "interface_endpoints": []}
    said = root_errors({"environment_suffix": "dev", "network": bare})
    assert "nat.mode is none, and some functions call what has no endpoint here: " in said
    for need in ("notifier calls sns", "processor calls dynamodb", "reader calls dynamodb", "relay calls sqs"):
        assert need in said
    hook = {"shop": {"url": "https://shop.example.com/"}}
    said = root_errors({"environment_suffix": "dev", "gateway": "stripe", "webhooks": hook})
    for need in ("processor calls internet", "stripe_webhook calls secretsmanager", "webhooks calls internet"):
        assert need in said


def subnets(plan: Plan, case: str) -> dict[str, str]:
    """Return the block of each private subnet of a case, by its zone."""
    return {
        subnet["values"]["availability_zone_id"]: subnet["values"]["cidr_block"]
        for subnet in resources(plan, "aws_subnet")
        if subnet["address"].startswith(f"module.{case}.aws_subnet.private")
    }


def test_zones_are_left_out_and_the_others_keep_their_blocks_by_their_place(
    module_cases: Callable[[str, Cases], Plan],
) -> None:
    plan = module_cases(
        "network",
        {
            "all": {"az_count": "3"},
            "without_the_last": {"az_count": "3", "exclude_zone_ids": '["apse1-az3", "use1-az3"]'},
            "without_the_first": {"az_count": "2", "exclude_zone_ids": '["apse1-az1"]'},
            "pinned": {"az_count": "2", "availability_zone_ids": '["apse1-az2", "use1-az3"]'},
        },
    )
    blocks = ["10.0.0.0/20", "10.0.16.0/20", "10.0.32.0/20"]
    assert subnets(plan, "all") == dict(zip(["apse1-az1", "apse1-az2", "apse1-az3"], blocks, strict=True))
    assert subnets(plan, "without_the_last") == dict(zip(["apse1-az1", "apse1-az2"], blocks[:2], strict=True))
    assert subnets(plan, "without_the_first") == dict(zip(["apse1-az2", "apse1-az3"], blocks[:2], strict=True))
    assert subnets(plan, "pinned") == dict(zip(["apse1-az2", "use1-az3"], blocks[:2], strict=True))
    # Too few zones cause a warning, not a refusal.
    (said,) = warnings(plan)
    assert "az_count is 3, and ap-southeast-1 has 2 availability zones for the stack: apse1-az1, apse1-az2." in said


def test_a_zone_without_nat_gateways_uses_another_zones(module_cases: Callable[[str, Cases], Plan]) -> None:
    zones = {"availability_zone_ids": '["apne1-az3", "apne1-az1"]', "interface_endpoints": "[]"}
    plan = module_cases(
        "network", {mode: {"nat": f'{{ mode = "{mode}" }}', **zones} for mode in ("gateway", "gateway_per_az")}
    )
    gateways = {
        gateway["address"].split(".", 2)[1:][0]: gateway["address"] for gateway in resources(plan, "aws_nat_gateway")
    }
    assert gateways == {
        mode: f'module.{mode}.aws_nat_gateway.this["apne1-az1"]' for mode in ("gateway", "gateway_per_az")
    }
    assert len(resources(plan, "aws_route")) == 2 * 3


def test_zones_that_lack_everything_are_refused(module_cases: Callable[[str, Cases], Plan]) -> None:
    cases = {
        "without_an_endpoint": {"availability_zone_ids": '["apse1-az8", "apse1-az9"]'},
        "without_any": {"exclude_zone_ids": '["apse1-az1", "apse1-az2", "apse1-az3"]'},
    }
    with pytest.raises(pytest.fail.Exception) as raised:
        module_cases("network", cases)
    said = str(raised.value)
    assert "sqs is in none of the stack's availability zones (apse1-az8, apse1-az9)" in said
    assert "exclude_zone_ids leaves no availability zone of ap-southeast-1." in said
