"""Plans with Stripe as the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import pytest

from bench import package
from local import ROOT
from local.archive import files_of
from local.hcl import Module
from tests.support.plan import WAY_OUT, Plan, counted, resources, statements

pytestmark = pytest.mark.plan

FUNCTIONS = {"processor", "reconciler", "stripe-comparer", "stripe-webhook"}

STORES = {"processor": "key", "reconciler": "key", "stripe-comparer": "key", "stripe-webhook": "webhook"}


@pytest.fixture(scope="module")
def root(root_plan: Callable[[str], Plan]) -> Plan:
    return root_plan("stripe")


def functions(plan: Plan) -> dict[str, dict[str, Any]]:
    found = {}
    for resource in resources(plan, "aws_lambda_function"):
        name = resource["values"]["function_name"].removeprefix("payment-").rsplit("-", 1)[0]
        found[name] = resource
    return found


def allowed(plan: Plan, service: str) -> dict[str, set[str]]:
    """The actions that each function may do with a service, by the function's short name."""
    found: dict[str, set[str]] = {}
    for address, statement in statements(plan, "aws_iam_role_policy"):
        actions = {action for action in statement["Action"] if action.startswith(f"{service}:")}
        if actions and address.startswith("module.function"):
            found.setdefault(address.split('"')[1], set()).update(statement["Resource"])
    return found


def test_inventory(root: Plan) -> None:
    """A whole stack that charges through Stripe creates what the inventory lists, no more and no less."""
    made, expected = counted("stripe", resources(root))
    assert made == expected, WAY_OUT


def test_nothing_of_it_is_made_unasked(root_plan: Callable[[str], Plan]) -> None:
    plan = root_plan("dev")
    assert "stripe" not in "".join(resource["address"] for resource in resources(plan))
    assert "stripe" not in str(plan["planned_values"]["outputs"])
    assert allowed(plan, "secretsmanager") == {}


def test_each_gateways_code_is_only_where_it_charges(root: Plan, root_plan: Callable[[str], Plan]) -> None:
    for gateway, plan in (("stripe", root), ("simulator", root_plan("local"))):
        (file,) = {r["values"]["filename"] for r in resources(plan, "aws_lambda_function")}
        with ZipFile(ROOT / file) as packed:
            names = set(packed.namelist())
        source = ROOT / "src"
        assert names == {str(found.relative_to(source)) for found in files_of(source, package.left_out(gateway))}
        assert ("payments/gateways/simulator.py" in names) == (gateway == "simulator")
        assert any("stripe" in name for name in names) == (gateway == "stripe")


def test_only_who_charges_carries_the_package(root: Plan) -> None:
    (layer,) = [
        r for r in resources(root, "aws_lambda_layer_version") if r["address"] == "aws_lambda_layer_version.stripe[0]"
    ]
    assert layer["values"]["layer_name"] == "payment-stripe-pay"
    assert functions(root).keys() >= FUNCTIONS
    # A layer's ARN, and so a list of them, is not known before the apply: the configuration shows who gets the layer.
    terraform = Module(ROOT)
    carriers = {
        block.name_labels[0]: block.attribute("layer_arns").to_hcl()
        for block in terraform.blocks("module")
        if "gateway_layer_arns" in block.to_hcl()
    }
    assert carriers.keys() == {"function"}
    assert "contains(local.gateway.callers, each.key) ? local.gateway_layer_arns" in carriers["function"]
    assert terraform.local("gateway_callers") == ["processor", "reconciler"]
    assert terraform.local("stripe_callers") == '${concat(local.gateway_callers, ["stripe_comparer"])}'


def test_each_function_may_read_the_secret_that_it_needs_and_no_other(root: Plan) -> None:
    secrets = {
        function: {arn.rsplit(":", 1)[1] for arn in arns} for function, arns in allowed(root, "secretsmanager").items()
    }
    assert secrets == {
        "processor": {"payment-stripe-key-pay-??????"},
        "reconciler": {"payment-stripe-key-pay-??????"},
        "stripe_comparer": {"payment-stripe-key-pay-??????"},
        "stripe_webhook": {"payment-stripe-webhook-pay-??????"},
    }
    for address, statement in statements(root, "aws_iam_role_policy"):
        conditions = json.dumps(statement.get("Condition", {}))
        if "payment-secrets-pay" in conditions:
            assert address.split('"')[1] in secrets
            assert statement["Action"] == ["kms:Decrypt"]
            assert "secretsmanager.ap-southeast-1.amazonaws.com" in conditions


def test_the_simulator_is_gone(root: Plan) -> None:
    assert "ledger" not in json.dumps([r["values"] for r in resources(root)])


def test_no_secret_has_a_value_in_the_plan(root: Plan) -> None:
    made = {r["values"]["name"]: r for r in resources(root, "aws_secretsmanager_secret")}
    assert made.keys() == {"payment-stripe-key-pay", "payment-stripe-webhook-pay"}
    assert resources(root, "aws_secretsmanager_secret_version") == []
    aliases = {r["values"]["name"] for r in resources(root, "aws_kms_alias")}
    assert "alias/payment-secrets-pay" in aliases


def test_the_environment_names_the_secret_and_holds_none(root: Plan) -> None:
    environments = {
        name: function["values"]["environment"][0]["variables"]
        for name, function in functions(root).items()
        if name in FUNCTIONS
    }
    for name, secret in STORES.items():
        assert environments[name]["SECRET_NAME"] == f"payment-stripe-{secret}-pay"
        assert environments[name]["SECRET_TTL_SECONDS"] == "300"
        assert environments[name]["ENVIRONMENT"] == "pay"
    assert environments["stripe-comparer"]["GATEWAY_TIMEOUT_SECONDS"] == "20"
    assert environments["processor"]["GATEWAY"] == environments["reconciler"]["GATEWAY"] == "stripe"
    # Less than the function's time-out, more than the slowest charge takes.
    assert environments["processor"]["GATEWAY_TIMEOUT_SECONDS"] == "20"
    assert environments["reconciler"]["GATEWAY_TIMEOUT_SECONDS"] == "3"
    assert not [name for variables in environments.values() for name in variables if "STRIPE" in name]


def test_the_table_is_found_by_a_charges_name_and_by_its_day(root: Plan, root_plan: Callable[[str], Plan]) -> None:
    def indexes(plan: Plan) -> dict[str, tuple[str, str | None]]:
        (table,) = [r["values"] for r in resources(plan, "aws_dynamodb_table") if "transactions" in r["values"]["name"]]
        found = table["global_secondary_index"]
        assert {one["projection_type"] for one in found} == {"KEYS_ONLY"}
        return {one["name"]: (one["hash_key"], one["range_key"] or None) for one in found}

    with_stripe, without = indexes(root), indexes(root_plan("dev"))
    assert {name: keys for name, keys in with_stripe.items() if name not in without} == {
        "gateway-index": ("gateway_reference", None),
        "charged-index": ("charged_on", "transaction_id"),
    }


def test_the_comparison_runs_daily_and_may_only_look_and_tell(root: Plan) -> None:
    (rule,) = [r["values"] for r in resources(root, "aws_cloudwatch_event_rule") if "comparer" in r["values"]["name"]]
    assert rule["schedule_expression"] == "cron(30 2 * * ? *)"
    assert functions(root)["stripe-comparer"]["values"]["timeout"] == 900
    may = {
        action: statement["Resource"]
        for address, statement in statements(root, "aws_iam_role_policy")
        for action in statement["Action"]
        if address.startswith('module.function["stripe_comparer"]')
    }
    assert {action for action in may if action.startswith(("dynamodb:", "sns:"))} == {
        "dynamodb:GetItem", "dynamodb:Query", "sns:Publish",
    }  # fmt: skip
    assert {arn.rsplit("/", 1)[1] for arn in may["dynamodb:Query"]} == {"gateway-index", "charged-index"}
    (alarm,) = [
        r["values"]
        for r in resources(root, "aws_cloudwatch_metric_alarm")
        if r["values"]["alarm_name"] == "payment-gateway-differences-pay"
    ]
    assert (alarm["metric_name"], alarm["threshold"], alarm["evaluation_periods"]) == ("ComparisonDifference", 1, 1)
    assert alarm["dimensions"] == {"service": "stripe_comparer"}
    assert alarm["alarm_description"].endswith("docs/runbooks/gateway-differences.md")


def test_a_dispute_raises_an_alarm_of_its_own(root: Plan, root_plan: Callable[[str], Plan]) -> None:
    """It uses the metric that the relay writes from the stream: no lost answer or dead process can lose it."""
    (alarm,) = [
        r["values"]
        for r in resources(root, "aws_cloudwatch_metric_alarm")
        if r["values"]["alarm_name"] == "payment-disputes-pay"
    ]
    assert (alarm["namespace"], alarm["metric_name"], alarm["threshold"]) == ("Payments/pay", "Disputed", 1)
    assert alarm["dimensions"] == {"service": "relay"}
    assert (alarm["evaluation_periods"], alarm["treat_missing_data"]) == (1, "notBreaching")
    assert alarm["alarm_description"].endswith("docs/runbooks/disputes.md")
    # The relay's own environment holds the queues' URLs, so it is not known at plan; the processor's is built alike.
    alike = functions(root)["processor"]["values"]["environment"][0]["variables"]
    assert (alike["POWERTOOLS_METRICS_NAMESPACE"], alike["POWERTOOLS_SERVICE_NAME"]) == ("Payments/pay", "processor")
    names = [r["values"]["alarm_name"] for r in resources(root_plan("dev"), "aws_cloudwatch_metric_alarm")]
    assert not [name for name in names if "disputes" in name]


def test_what_an_event_contradicts_raises_the_alarm_too(root: Plan) -> None:
    (alarm,) = [
        r["values"]
        for r in resources(root, "aws_cloudwatch_metric_alarm")
        if r["values"]["alarm_name"] == "payment-contradictions-pay"
    ]
    services = {q["metric"][0]["dimensions"]["service"] for q in alarm["metric_query"] if q["metric"]}
    assert services == {"processor", "reconciler", "stripe_webhook"}
    (expression,) = [q["expression"] for q in alarm["metric_query"] if q["expression"]]
    assert expression == "FILL(charged, 0) + FILL(heard, 0) + FILL(reconciled, 0)"


def test_the_way_in_is_open_and_bounded_and_no_other_is(root: Plan) -> None:
    methods = {
        r["index"] if "index" in r else r["address"]: r["values"] for r in resources(root, "aws_api_gateway_method")
    }
    open_ones = [name for name, values in methods.items() if values["authorization"] != "AWS_IAM"]
    assert open_ones == ['module.api.aws_api_gateway_method.this["stripeWebhook"]']
    assert methods[open_ones[0]]["authorization"] == "NONE"
    assert len(methods) > 4
    settings = {r["values"]["method_path"]: r["values"] for r in resources(root, "aws_api_gateway_method_settings")}
    (own,) = settings["gateways/stripe/webhook/POST"]["settings"]
    assert (own["throttling_rate_limit"], own["throttling_burst_limit"]) == (25, 50)
    assert own["data_trace_enabled"] is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateway": "paypal"}, "gateway must be simulator or stripe"),
        ({"gateway": "stripe"}, "processor calls internet"),
    ],
)
def test_what_is_refused(root_errors: Callable[[dict[str, Any]], str], values: dict[str, Any], message: str) -> None:
    assert message in root_errors({"environment_suffix": "x", **values})
