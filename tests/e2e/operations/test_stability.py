"""On a running stack, no variable but a name or an address may replace anything that holds data or is known outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import ROOT
from local.hcl import Module
from tests.support.kept import HOLDS_DATA

if TYPE_CHECKING:
    from tests.support.deployed import Deployed

pytestmark = pytest.mark.e2e

# Replacing one of these would lose payments, messages, secrets or callers.
KEPT = {
    "aws_api_gateway_rest_api",
    "aws_api_gateway_stage",
    "aws_cloudwatch_log_group",
    "aws_dynamodb_table",
    "aws_iam_role",
    "aws_kms_alias",
    "aws_kms_key",
    "aws_lambda_event_source_mapping",
    "aws_lambda_function",
    "aws_sns_topic",
    "aws_sqs_queue",
    "aws_vpc",
}

# Left out: a new name means a new resource; the folder depends on the layer's machine; each gateway has its own books.
NOT_CHANGED = {"environment_suffix", "gateway", "layer_dir", "region", "region_in_role_names"}
AS_DEPLOYED = {"environment_suffix": "local", "layer_dir": "build/layer-local"}
KEY = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000"

# Another value for every other variable, in two plans, because some exclude each other.
CHANGED: dict[str, Any] = {
    "account_concurrency": 1000,
    "alarm_emails": ["ops@example.com"],
    "allowed_private_cidrs": ["127.0.0.0/8"],
    "amount_limits": {"EUR": "10000.00"},
    "anyone_may_pay": True,
    "announcement_subscriptions": {"books": {"protocol": "https", "endpoint": "https://books.example.com"}},
    "api": {
        "authorization": "API_KEY",
        "burst_limit": 20,
        "execution_logs": True,
        "quota_limit": 1000,
        "quota_period": "DAY",
        "rate_limit": 10,
    },
    "backup": {"retention_days": 35},
    "cost_center": "another",
    "custom_domain": {
        "name": "pay.example.com",
        "certificate_arn": "arn:aws:acm:ap-southeast-1:000000000000:certificate/a",
    },
    "default_currency": "JPY",
    "event_bus": True,
    "function_defaults": {"memory_mb": 1024, "reserved_concurrency": 5, "timeout_seconds": 20},
    "function_starts": {"reader": {"provisioned_concurrency": 1}, "validator": {"snap_start": True}},
    "functions": {"processor": {"timeout_seconds": 10, "maximum_concurrency": 2}},
    "gradual_deployment": {},
    "key_deletion_window_days": 30,
    "log_level": "WARN",
    "log_retention_days": 30,
    "network": {
        "availability_zone_count": 2,
        "gateway_endpoints": [],
        "interface_endpoints": ["sns", "sqs", "kms"],
        "nat": {"mode": "gateway_per_az"},
    },
    "objectives": {"api_share": 0.99, "minimum_events": 5, "payments_seconds": 30, "payments_share": 0.99},
    "private_api": None,
    "production_moves_no_money": True,
    "project": "another",
    "reconciler": {"interval_minutes": 1, "older_than_minutes": 30},
    "restored": True,
    "queues": {
        "batch_size": 5,
        "dead_letter_retention_seconds": 1000000,
        "max_receive_count": 7,
        "retention_seconds": 7200,
    },
    "route_throttles": {"create_payment": {"rate_limit": 5, "burst_limit": 5}},
    "runtime": {"architecture": "x86_64"},
    "saved_queries": True,
    "secret_recovery_days": 7,
    "stripe_address": "http://127.0.0.1:9",
    "stripe_webhook_throttle": {"burst_limit": 5, "rate_limit": 5},
    "table": {"deletion_protection": True, "point_in_time_recovery_days": 7},
    "table_replicas": {"eu-west-1": {"kms_key_arn": KEY}},
    "thresholds": {"api_4xx": 5, "dead_letters": 2, "open_payment_seconds": 60},
    "waf": {},
    "webhook_secret_ttl_seconds": 60,
    "webhooks": {"shop": {"url": "https://shop.example.com/payments", "retry_delays_seconds": [60, 600]}},
}
PRIVATE = {"custom_domain": None, "private_api": {"vpc_endpoint_ids": ["vpce-0"]}}


def test_nothing_that_holds_data_is_created_before_it_is_destroyed(deployed: Deployed) -> None:
    """Terraform keeps in the state what has inherited create_before_destroy (tests/plan/test_replacement.py)."""
    assert deployed.terraform.state is not None
    state = json.loads(Path(deployed.terraform.state).read_text(encoding="utf-8"))
    resources: list[dict[str, Any]] = state["resources"]
    made = {resource["type"] for resource in resources if resource["mode"] == "managed"}
    first = {
        resource["type"]
        for resource in resources
        if any(instance.get("create_before_destroy") for instance in resource["instances"])
    }
    assert {"aws_sqs_queue", "aws_dynamodb_table", "aws_sns_topic", "aws_kms_key"} <= made
    assert "aws_api_gateway_deployment" in first
    assert first & HOLDS_DATA == set()


def test_every_variable_is_changed_here() -> None:
    names = {name for block in Module(ROOT).blocks("variable") for name in block.name_labels}
    assert names - NOT_CHANGED == set(CHANGED), "Give a new variable another value in CHANGED."


@pytest.mark.parametrize("further", [{}, PRIVATE], ids=["custom_domain", "private_api"])
def test_a_change_of_variables_replaces_nothing_that_must_stay(
    deployed: Deployed, tmp_path: Path, further: dict[str, Any]
) -> None:
    file = tmp_path / "changed.tfvars.json"
    file.write_text(json.dumps(AS_DEPLOYED | CHANGED | further), encoding="utf-8")
    plan = replace(deployed.terraform, variables=file).plan()
    changes = {change["address"]: change for change in plan["resource_changes"] if change["type"] in KEPT}
    updated = {change["type"] for change in changes.values() if change["change"]["actions"] == ["update"]}
    # The plan does change them; otherwise it would prove nothing.
    assert {"aws_dynamodb_table", "aws_kms_key", "aws_sqs_queue", "aws_lambda_function"} <= updated
    assert [address for address, change in changes.items() if "delete" in change["change"]["actions"]] == []
