"""Monitoring: every alarm of the system, the dashboard, and the saved query."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bench import cost
from local import ROOT
from payments.handlers import reconciler
from tests.support.plan import Plan, resources

pytestmark = pytest.mark.plan

# The functions' own metrics, as src/payments writes them.
COUNTED = cost.metrics((ROOT / "src/payments").rglob("*.py")) | {
    f"Reconciler{name.capitalize()}" for name in reconciler.MEASURED
}


@pytest.fixture(scope="module")
def prod(root_plan: Any) -> Plan:
    plan: Plan = root_plan("prod")
    return plan


@pytest.fixture(scope="module")
def alarms(prod: Plan) -> dict[str, dict[str, Any]]:
    """Every metric alarm, by its name without the stack's prefix."""
    return {
        alarm["values"]["alarm_name"].removeprefix("payment-").removesuffix("-prod"): alarm["values"]
        for alarm in resources(prod, "aws_cloudwatch_metric_alarm")
    }


@pytest.fixture(scope="module")
def composites(prod: Plan) -> dict[str, dict[str, Any]]:
    return {
        alarm["values"]["alarm_name"].removeprefix("payment-").removesuffix("-prod"): alarm["values"]
        for alarm in resources(prod, "aws_cloudwatch_composite_alarm")
    }


def queries(alarm: dict[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """The expression of an alarm on several metrics, and its metrics by id."""
    (expression,) = [query["expression"] for query in alarm["metric_query"] if query["expression"]]
    return expression, {query["id"]: query["metric"][0] for query in alarm["metric_query"] if query["metric"]}


def test_no_alarm_is_raised_by_an_idle_system(alarms: dict[str, dict[str, Any]]) -> None:
    assert len(alarms) > 50
    missing = {name: alarm["treat_missing_data"] for name, alarm in alarms.items()}
    # The reconciler reports at every run, also in an idle system. Missing data notifies, but is not a breach.
    assert missing.pop("open-payments") == "missing"
    assert set(missing.values()) == {"notBreaching"}
    for name, alarm in alarms.items():
        assert alarm["threshold"] > 0, name
        assert alarm["comparison_operator"] == "GreaterThanOrEqualToThreshold", name
        # Only the alarm that reports missing data has an action for it.
        assert bool(alarm["insufficient_data_actions"] or []) == (name == "open-payments"), name


def test_an_expression_of_an_idle_system_is_zero(alarms: dict[str, dict[str, Any]]) -> None:
    """Each missing metric is filled with zero, and nothing is divided by zero if nothing happened."""
    expressions = {name: queries(alarm) for name, alarm in alarms.items() if alarm["metric_query"]}
    assert len(expressions) == 10
    for name, (expression, metrics) in expressions.items():
        for id_ in metrics:
            assert len(re.findall(rf"\b{id_}\b", expression)) == len(re.findall(rf"FILL\({id_}, 0\)", expression)) > 0
        value = expression.replace(" AND ", " and ")
        value = re.sub(r"FILL\(\w+, 0\)", "0", value)
        if "IF(" in value:
            condition, worth, otherwise = value.removeprefix("IF(").removesuffix(")").split(", ")
            value = worth if eval(condition) else otherwise  # noqa: S307 - of our own making
        assert eval(value) < alarms[name]["threshold"], name  # noqa: S307


def test_every_dead_letter_queue_has_an_alarm_at_its_first_message(
    prod: Plan, alarms: dict[str, dict[str, Any]]
) -> None:
    watched = {
        alarm["dimensions"]["QueueName"]: (alarm["metric_name"], alarm["threshold"], alarm["period"])
        for name, alarm in alarms.items()
        if name.endswith("-dead-letters")
    }
    dead = {queue["values"]["name"] for queue in resources(prod, "aws_sqs_queue") if "-dlq-" in queue["values"]["name"]}
    assert set(watched) == dead
    assert len(dead) >= 3
    assert set(watched.values()) == {("ApproximateNumberOfMessagesVisible", 1, 60)}


def test_an_objective_burns_in_two_windows(
    alarms: dict[str, dict[str, Any]], composites: dict[str, dict[str, Any]]
) -> None:
    budget = 0.001
    for objective in ("api", "payments"):
        for speed, rate, periods in (("fast", 14.4, (3600, 300)), ("slow", 6, (21600, 1800))):
            pair = composites[f"objective-{objective}-{speed}"]
            windows = [f"objective-{objective}-{speed}-{window}" for window in ("long", "short")]
            assert pair["alarm_rule"] == " AND ".join(f'ALARM("payment-{window}-prod")' for window in windows)
            for window, period, least in zip(windows, periods, (20, 1), strict=True):
                alarm = alarms[window]
                expression, metrics = queries(alarm)
                assert alarm["threshold"] == pytest.approx(rate * budget)
                assert {metric["period"] for metric in metrics.values()} == {period}
                assert f">= {least}," in expression
                # Its pair notifies.
                assert not alarm["alarm_actions"]
    _, metrics = queries(alarms["objective-payments-fast-long"])
    assert {(m["metric_name"], m["stat"], m["dimensions"]["service"]) for m in metrics.values()} == {
        ("SecondsToFinal", "SampleCount", "processor"),
        ("SecondsToFinal", "TC(:60)", "processor"),
        ("Unknown", "Sum", "processor"),
    }


def test_the_flow_alarm_combines_every_alarm_on_stuck_payments(composites: dict[str, dict[str, Any]]) -> None:
    parts = re.findall(r'ALARM\("payment-([a-z-]+)-prod"\)', composites["flow"]["alarm_rule"])
    assert {"standstill", "open-payments", "relay-iterator-age", "relay-dead-letters"} <= set(parts)
    assert len([part for part in parts if part.endswith("-dead-letters")]) >= 3
    assert len([part for part in parts if part.endswith("-age")]) >= 3


def test_a_stream_that_nobody_reads_is_seen(alarms: dict[str, dict[str, Any]]) -> None:
    alarm = alarms["standstill"]
    expression, metrics = queries(alarm)
    assert {(m["metric_name"], m["dimensions"]["service"]) for m in metrics.values()} == {
        ("Accepted", "validator"),
        ("RefundAccepted", "refunder"),
        ("Relayed", "relay"),
    }
    assert "FILL(relayed, 0) == 0" in expression
    # A payment accepted at the end of a period is relayed in the next, so one period would raise false alarms.
    assert (alarm["evaluation_periods"], alarm["datapoints_to_alarm"]) == (2, 2)


def test_the_reconciler_and_contradictions(alarms: dict[str, dict[str, Any]]) -> None:
    found = {
        name: (alarms[name]["metric_name"], alarms[name]["statistic"], alarms[name]["threshold"])
        for name in ("open-payments", "reconciler-failed", "reconciler-left")
    }
    assert found == {
        "open-payments": ("OldestOpenSeconds", "Maximum", 3600),
        "reconciler-failed": ("ReconcilerFailed", "Sum", 1),
        "reconciler-left": ("ReconcilerLeft", "Sum", 1),
    }
    _, metrics = queries(alarms["contradictions"])
    assert {m["dimensions"]["service"] for m in metrics.values()} == {"processor", "reconciler", "stripe_webhook"}


def test_our_metrics_are_those_that_the_functions_write(prod: Plan, alarms: dict[str, dict[str, Any]]) -> None:
    watched = [
        (metric["namespace"], metric["metric_name"], metric["dimensions"])
        for alarm in alarms.values()
        for metric in (queries(alarm)[1].values() if alarm["metric_query"] else [alarm])
        if metric["namespace"].startswith("Payments")
    ]
    # A function's environment is known only after the apply.
    given = " ".join((ROOT / "main.tf").read_text(encoding="utf-8").split())
    assert "POWERTOOLS_METRICS_NAMESPACE = local.metrics_namespace POWERTOOLS_SERVICE_NAME = each.key" in given
    written = {function["address"].split('"')[1] for function in resources(prod, "aws_lambda_function")}
    assert {namespace for namespace, _, _ in watched} == {"Payments/prod"}
    for _, name, dimensions in watched:
        if not name.startswith("LoggedErrors-"):
            assert name in COUNTED
            assert set(dimensions) == {"service"}
            assert dimensions["service"] in written


def test_every_alarm_names_its_runbook_and_every_runbook_is_named(
    alarms: dict[str, dict[str, Any]], composites: dict[str, dict[str, Any]], root_plan: Any
) -> None:
    named = set()
    # Only a function with a reserve has an alarm for it, and prod has no reserve until its quota is known.
    reserving = {
        alarm["values"]["alarm_name"]: alarm["values"]
        for alarm in resources(root_plan("options"), "aws_cloudwatch_metric_alarm")
    }
    for name, alarm in (alarms | composites | reserving).items():
        found = re.search(r" Runbook: (docs/runbooks/[a-z0-9-]+\.md)$", alarm["alarm_description"])
        assert found, name
        named.add(found[1])
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs/runbooks").glob("*.md")}
    # The modules of webhooks and of the bus have their own alarms; tests/integration/test_docs.py checks all pages.
    assert {page for page in pages if not re.search("webhook|event-bus", page)} == named


def test_the_dashboard_reads_as_a_payment_travels(prod: Plan) -> None:
    (dashboard,) = resources(prod, "aws_cloudwatch_dashboard")
    widgets = json.loads(dashboard["values"]["dashboard_body"])["widgets"]
    texts = sorted(
        (widget["y"], widget["x"], widget["properties"]["markdown"].split("\n")[0].removeprefix("## "))
        for widget in widgets
        if widget["type"] == "text"
    )
    assert [title for _, _, title in texts] == [
        *("1. Accepted", "2. Stored", "3. Relayed", "4. Queued", "5. Charged", "6. Announced"),
        *("Refunds", "Reconciler", "Why payments fail", "Money", "Functions", "Given up"),
    ]
    # Each widget says what good looks like.
    assert all(
        len(widget["properties"]["markdown"].split("\n")[1].split()) >= 4
        for widget in widgets
        if widget["type"] == "text"
    )
    places = [(w["x"], w["y"], w["x"] + w["width"], w["y"] + w["height"]) for w in widgets]
    assert max(place[2] for place in places) <= 24
    for number, (left, top, right, bottom) in enumerate(places):
        assert not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in places[number + 1 :]
        )
    own = {
        metric[1]
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
        if metric[0] == "Payments/prod"
    }
    assert own <= COUNTED
    assert {"Refunded", "RefundAccepted", "OldestOpenSeconds", "SecondsToFinal"} <= own
    # CloudWatch refuses a widget with more metrics.
    assert all(len(widget["properties"].get("alarms", [])) <= 100 for widget in widgets)


def test_the_saved_query_is_about_every_function(prod: Plan, root_plan: Any) -> None:
    (query,) = resources(prod, "aws_cloudwatch_query_definition")
    functions = {f"/aws/lambda/{f['values']['function_name']}" for f in resources(prod, "aws_lambda_function")}
    assert set(query["values"]["log_group_names"]) == functions
    assert "filter transaction_id =" in query["values"]["query_string"]
    assert resources(root_plan("local"), "aws_cloudwatch_query_definition") == []


def test_without_roles_nothing_is_asked_of_metrics_that_nobody_writes(module_cases: Any) -> None:
    plan = module_cases("monitoring", {"plain": {"roles": "null"}, "whole": {}})
    names: dict[str, set[str]] = {"plain": set(), "whole": set()}
    for alarm in resources(plan, "aws_cloudwatch_metric_alarm"):
        names[alarm["address"].split(".")[1]].add(alarm["address"].split('"')[1])
    assert {name for name in names["whole"] - names["plain"] if not name.startswith("objective-payments-")} == {
        "contradictions",
        "open-payments",
        "reconciler-failed",
        "reconciler-left",
        "standstill",
    }
    assert names["plain"] < names["whole"]
    assert "objective-api-fast-long" in names["plain"]


def test_the_bill_knows_that_an_expression_costs_by_its_metrics(alarms: dict[str, dict[str, Any]]) -> None:
    metrics = sum(len(queries(alarm)[1]) - 1 for alarm in alarms.values() if alarm["metric_query"])
    assert metrics == cost.FURTHER_ALARM_METRICS["stripe"]
