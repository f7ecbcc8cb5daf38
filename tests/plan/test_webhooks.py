"""Plans with webhooks and the event bus: the modules alone, and the root with both switched on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from payments.webhooks.delivery import MOST_HIDDEN
from tests.support.plan import WAY_OUT, Plan, counted, redrives, resources, statements

pytestmark = pytest.mark.plan


@pytest.fixture(scope="module")
def root(root_plan: Callable[[str], Plan]) -> Plan:
    """The root with the values in webhooks.tfvars."""
    return root_plan("webhooks")


def by_name(plan: Plan, type_: str, field: str = "name") -> dict[str, dict[str, Any]]:
    return {resource["values"][field]: resource["values"] for resource in resources(plan, type_)}


def parts(plan: Plan) -> list[dict[str, Any]]:
    modules = ("module.webhooks", "module.event_bus", "module.subscriber_keys")
    return [resource for resource in resources(plan) if resource["address"].startswith(modules)]


def test_inventory(root: Plan) -> None:
    """Two endpoints and a bus create what the inventory lists, no more and no less."""
    made, expected = counted("webhooks", parts(root))
    assert made == expected, WAY_OUT


def test_nothing_of_it_is_made_unasked(root_plan: Callable[[str], Plan]) -> None:
    assert parts(root_plan("dev")) == []
    outputs = root_plan("dev")["planned_values"]["outputs"]
    assert outputs["webhooks"]["value"] == {}
    for output in ("event_bus_dlq_url", "event_bus_name", "event_bus_queue_url"):
        assert outputs[output].get("value") is None


def test_each_endpoint_has_a_function_a_queue_a_role_and_a_secret_of_its_own(root: Plan) -> None:
    for endpoint in ("shop", "fraud"):
        name = f"payment-webhook-{endpoint}-hooks"
        assert by_name(root, "aws_lambda_function", "function_name")[name]["handler"] == (
            "payments.handlers.deliverer.handler"
        )
        assert by_name(root, "aws_secretsmanager_secret")[name]["recovery_window_in_days"] == 30
        assert name in by_name(root, "aws_iam_role")
        queue = by_name(root, "aws_sqs_queue")[name]
        redrive = redrives(root)[name]
        assert redrive["maxReceiveCount"] == 9
        assert redrive["deadLetterTargetArn"].endswith(f":payment-webhook-{endpoint}-dlq-hooks")
        assert queue["visibility_timeout_seconds"] == 180


def test_every_mapping_is_bounded_and_answers_for_single_messages(root: Plan) -> None:
    mappings = [
        resource["values"]
        for resource in resources(root, "aws_lambda_event_source_mapping")
        if resource["address"].startswith("module.webhooks")
    ]
    assert len(mappings) == 2
    for mapping in mappings:
        assert mapping["function_response_types"] == ["ReportBatchItemFailures"]
        assert mapping["scaling_config"] == [{"maximum_concurrency": 5}]


def test_no_plan_holds_a_secrets_value(root: Plan) -> None:
    assert resources(root, "aws_secretsmanager_secret_version") == []
    assert "whsec_" not in json.dumps(root)


OWN = {
    "secretsmanager:GetSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}


@pytest.mark.parametrize("endpoint", ["shop", "fraud"])
def test_a_role_may_read_its_own_secret_and_queue_and_no_other(root: Plan, endpoint: str) -> None:
    found = [
        statement
        for address, statement in statements(root, "aws_iam_role_policy")
        if address.startswith(f'module.webhooks.module.function["{endpoint}"]')
    ]
    data = [
        statement
        for statement in found
        if any(action.startswith(("sqs:", "secretsmanager:", "sns:", "dynamodb:")) for action in statement["Action"])
    ]
    assert {action for statement in data for action in statement["Action"]} == OWN
    for statement in data:
        for resource in statement["Resource"]:
            assert resource.endswith(
                (f":payment-webhook-{endpoint}-hooks", f":payment-webhook-{endpoint}-hooks-??????")
            )
    (switch,) = [s for s in data if s["Action"] == ["secretsmanager:UpdateSecretVersionStage"]]
    # Not AWSCURRENT: the function cannot make an old secret current again.
    assert switch["Condition"] == {"StringLike": {"secretsmanager:VersionStage": ["SWITCHED_OFF-*"]}}
    keys = [statement for statement in found if "kms:Decrypt" in statement["Action"]]
    assert {statement["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"][0] for statement in keys} == {
        "alias/payment-lambda-hooks",
        "alias/payment-secrets-hooks",
        "alias/payment-subscribers-hooks",
    }


def test_a_subscription_is_filtered_and_loses_nothing(root: Plan) -> None:
    subscriptions = {
        resource["address"]: resource["values"] for resource in resources(root, "aws_sns_topic_subscription")
    }
    fraud = subscriptions['module.webhooks.aws_sns_topic_subscription.this["fraud"]']
    assert json.loads(fraud["filter_policy"]) == {"event_type": ["payment.failed", "payment.unknown"]}
    assert subscriptions['module.webhooks.aws_sns_topic_subscription.this["shop"]'].get("filter_policy") is None
    bus = "module.event_bus[0].aws_sns_topic_subscription.this"
    assert len(subscriptions) == 3
    for address, subscription in subscriptions.items():
        assert subscription["raw_message_delivery"] is True
        target = json.loads(subscription["redrive_policy"])["deadLetterTargetArn"]
        assert target.rsplit(":", 1)[1].endswith("event-bus-dlq-hooks" if address == bus else "-dlq-hooks")


def test_only_the_topic_may_send_to_the_queues(root: Plan) -> None:
    queues = {
        name: values
        for name, values in by_name(root, "aws_sqs_queue").items()
        if "-webhook-" in name or "-event-bus-" in name
    }
    assert len(queues) == 6
    for name, queue in queues.items():
        deny, allow = json.loads(queue["policy"])["Statement"]
        assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
        assert allow["Principal"] == {"Service": "sns.amazonaws.com"}
        assert allow["Action"] == "sqs:SendMessage"
        assert allow["Resource"].endswith(f":{name}")
        assert allow["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(":payment-announcements-hooks")


def test_sns_may_use_the_key_for_the_announcements_alone(root: Plan) -> None:
    keys = {
        resource["address"]: json.loads(resource["values"]["policy"])["Statement"]
        for resource in resources(root, "aws_kms_key")
        if resource["address"].startswith("module.subscriber_keys")
    }
    _, grant = keys['module.subscriber_keys.aws_kms_key.this["subscribers"]']
    assert grant["Principal"] == {"Service": ["sns.amazonaws.com"]}
    assert grant["Condition"]["ArnEquals"]["aws:SourceArn"][0].endswith(":payment-announcements-hooks")
    assert len(keys['module.subscriber_keys.aws_kms_key.this["secrets"]']) == 1


def test_no_policy_has_a_star_and_all_are_known(root: Plan) -> None:
    forced = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
    found = [(a, s) for a, s in statements(root, "aws_iam_role_policy") if a.startswith(("module.w", "module.event"))]
    assert len(found) > 20
    for address, statement in found:
        assert not [action for action in statement["Action"] if "*" in action], address
        if "*" in statement["Resource"]:
            assert all(action in forced or action.startswith("ec2:") for action in statement["Action"]), address


def test_alarms(root: Plan) -> None:
    alarms = {
        name: values
        for name, values in by_name(root, "aws_cloudwatch_metric_alarm", "alarm_name").items()
        if "-webhook-shop-" in name
    }
    kinds = {"failing", "switched-off", "age", "expiring", "hidden", "dead-letters"}
    kinds |= {"errors", "logged-errors", "throttles", "duration"}
    assert set(alarms) == {f"payment-webhook-shop-{kind}-hooks" for kind in kinds}
    for alarm in alarms.values():
        assert alarm["treat_missing_data"] == "notBreaching"
        assert "docs/runbooks/" in alarm["alarm_description"]
    switched = alarms["payment-webhook-shop-switched-off-hooks"]
    assert (switched["namespace"], switched["metric_name"]) == ("Payments/hooks", "WebhookSwitchedOff")
    assert switched["dimensions"] == {"service": "webhook-shop"}
    environment = by_name(root, "aws_lambda_function", "function_name")["payment-webhook-shop-hooks"]["environment"]
    # The queue's URL is not known yet, and so neither is the rest: the plan shows only the names.
    assert environment is not None
    # One failing receiver does not affect the flow of payments.
    composites = resources(root, "aws_cloudwatch_composite_alarm")
    assert composites
    assert "webhook" not in json.dumps([composite["values"] for composite in composites])


def test_an_alarm_warns_before_hidden_messages_are_too_many_and_before_any_expires(root: Plan) -> None:
    alarms = by_name(root, "aws_cloudwatch_metric_alarm", "alarm_name")
    queues = by_name(root, "aws_sqs_queue")
    for endpoint in ("shop", "fraud"):
        name = f"payment-webhook-{endpoint}-hooks"
        hidden = alarms[f"payment-webhook-{endpoint}-hidden-hooks"]
        expiring = alarms[f"payment-webhook-{endpoint}-expiring-hooks"]
        for alarm in (hidden, expiring):
            assert (alarm["namespace"], alarm["dimensions"]) == ("AWS/SQS", {"QueueName": name})
            assert (alarm["statistic"], alarm["comparison_operator"]) == ("Maximum", "GreaterThanOrEqualToThreshold")
            assert (alarm["period"], alarm["evaluation_periods"]) == (60, 1)
        # At this number the deliverer starts to shorten the delays.
        assert hidden["metric_name"] == "ApproximateNumberOfMessagesNotVisible"
        assert hidden["threshold"] == MOST_HIDDEN / 2
        assert expiring["metric_name"] == "ApproximateAgeOfOldestMessage"
        assert expiring["threshold"] == queues[name]["message_retention_seconds"] / 2


def test_the_bus(root: Plan) -> None:
    (pipe,) = resources(root, "aws_pipes_pipe")
    values = pipe["values"]
    assert values["source"].endswith(":payment-event-bus-hooks")
    assert values["target"].endswith(":event-bus/payment-events-hooks")
    target = values["target_parameters"][0]
    assert target["input_template"] == "<$.body>"
    bus = target["eventbridge_event_bus_parameters"][0]
    assert (bus["detail_type"], bus["source"]) == ("$.body.type", "$.body.source")
    allowed = {
        action: statement["Resource"]
        for address, statement in statements(root, "aws_iam_role_policy")
        if address.startswith("module.event_bus")
        for action in statement["Action"]
    }
    assert set(allowed) == {
        "events:PutEvents",
        "kms:Decrypt",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    }
    assert allowed["events:PutEvents"] == [values["target"]]
    assert allowed["sqs:ReceiveMessage"] == [values["source"]]
    (trust,) = json.loads(by_name(root, "aws_iam_role")["payment-events-hooks-pipe"]["assume_role_policy"])["Statement"]
    assert trust["Principal"] == {"Service": "pipes.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceArn"].endswith(":pipe/payment-events-hooks")


def hook(**changes: Any) -> dict[str, Any]:
    return {"shop": {"url": "https://shop.example.com/"} | changes}


def test_the_root_refuses_by_name(root_errors: Any) -> None:
    wrong = {
        "plain": hook(url="http://shop.example.com/")["shop"],
        "port": hook(url="https://shop.example.com:8443/")["shop"],
        "event": hook(events=["payment.validated"])["shop"],
    }
    endpoints = wrong | {f"shop-{number}": hook()["shop"] for number in range(20)}
    told = root_errors({"environment_suffix": "dev", "webhooks": endpoints, "webhook_secret_ttl_seconds": 0})
    messages = [
        "url must begin with https://",
        "url must use port 443",
        "events has a name that is not one of the announced events",
        "webhooks must have at most 20 endpoints",
        "webhook_secret_ttl_seconds must be from 1 to 3600",
    ]
    assert [message for message in messages if message not in told] == []


def test_the_modules_stand_alone(module_plan: Callable[..., Plan]) -> None:
    webhooks = module_plan("webhooks")
    assert set(by_name(webhooks, "aws_secretsmanager_secret")) == {
        "payment-webhook-fraud-example",
        "payment-webhook-shop-example",
    }
    timeouts = by_name(webhooks, "aws_lambda_function", "function_name")
    assert timeouts["payment-webhook-fraud-example"]["timeout"] == 20
    assert len(resources(module_plan("eventbus"), "aws_pipes_pipe")) == 1
