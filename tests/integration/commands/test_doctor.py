"""payments doctor."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import MagicMock

import pytest

from ops import target
from ops.client import Api
from ops.doctor import NEEDED, examine
from tests.support.commands import Run
from tests.support.stack import OUTPUTS, FakeStack, refused, said, set_return


def sound(stack: FakeStack) -> MagicMock:
    """Make a whole stack healthy; return its API."""
    api = MagicMock(spec=Api, url="https://api", region="r", trusted=None)
    api.get.return_value = said(404, {})
    stack.client("sts").get_caller_identity.return_value = {"Account": "000000000000", "Arn": "arn:me"}
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    table = {"TableStatus": "ACTIVE", "StreamSpecification": stream, "DeletionProtectionEnabled": True}
    stack.dynamodb.describe_table.return_value = {"Table": table}
    recovery = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    stack.dynamodb.describe_continuous_backups.return_value = {"ContinuousBackupsDescription": recovery}
    stack.dynamodb.get_paginator.return_value.paginate.return_value = [{"Count": 0}]
    stack.functions.get_function_configuration.return_value = {"Version": "7", "Runtime": "python3.13"}
    mapping = {"State": "Enabled", "EventSourceArn": "arn:aws:sqs:r:0:q", "UUID": "u"}
    stack.functions.get_paginator.return_value.paginate.return_value = [{"EventSourceMappings": [mapping]}]
    stack.client("sqs").get_queue_attributes.return_value = {"Attributes": {}}
    alarm = {"AlarmName": "a", "StateValue": "OK", "AlarmActions": [OUTPUTS["alarms_topic_arn"]]}
    stack.client("cloudwatch").get_paginator.return_value.paginate.return_value = [{"MetricAlarms": [alarm]}]
    stack.sns.list_subscriptions_by_topic.return_value = {"Subscriptions": [{}]}
    return api


def findings(stack: FakeStack, api: MagicMock, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the checks that are not OK, with their results."""
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    there = target.Target("dev", stack, api)  # type: ignore[arg-type]
    return {found.check: found.verdict for found in examine(there) if found.verdict != "ok"}


def test_a_sound_deployment_has_no_findings(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(stack, sound(stack), monkeypatch) == {}


@pytest.mark.parametrize(
    ("service", "method", "value", "check", "verdict"),
    [
        ("sts", "get_caller_identity", {"Account": "1", "Arn": "arn"}, "credentials", "fail"),
        ("dynamodb", "describe_table", {"Table": {"TableStatus": "ACTIVE"}}, "table", "fail"),
        ("dynamodb", "describe_continuous_backups", {"ContinuousBackupsDescription": {}}, "recovery", "warn"),
        (
            "lambda",
            "get_function_configuration",
            {"Version": "7", "Runtime": "p", "State": "Failed"},
            "function relay",
            "fail",
        ),
        (
            "sqs",
            "get_queue_attributes",
            {"Attributes": {"ApproximateNumberOfMessages": "1"}},
            "dead letters of relay",
            "fail",
        ),
        (
            "sqs",
            "get_queue_attributes",
            {"Attributes": {"ApproximateNumberOfMessages": "1001"}},
            "queue of validator",
            "warn",
        ),
        ("sns", "list_subscriptions_by_topic", {"Subscriptions": []}, "alarm subscribers", "warn"),
    ],
)
def test_the_doctor_finds(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, method: str, value: Any, check: str, verdict: str
) -> None:
    api = sound(stack)
    set_return(stack, service, method, value)
    assert findings(stack, api, monkeypatch)[check] == verdict


@pytest.mark.parametrize(("restored", "expected"), [("false", {"restore": "warn"}), ("true", {})])
def test_the_doctor_finds_a_restored_table_whose_gateway_is_not_asked_first(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, restored: str, expected: dict[str, str]
) -> None:
    api = sound(stack)
    stack.dynamodb.describe_table.return_value["Table"]["RestoreSummary"] = {"RestoreInProgress": False}
    configuration = stack.functions.get_function_configuration.return_value
    configuration["Environment"] = {"Variables": {"RESTORED": restored}}
    assert findings(stack, api, monkeypatch) == expected


@pytest.mark.parametrize(
    ("service", "page", "check", "verdict"),
    [
        ("lambda", {"EventSourceMappings": []}, "source of relay", "fail"),
        ("lambda", {"EventSourceMappings": [{"State": "Disabled", "UUID": "u"}]}, "source of relay", "fail"),
        (
            "lambda",
            {"EventSourceMappings": [{"State": "Enabled", "LastProcessingResult": "PROBLEM: x"}]},
            "source of relay",
            "fail",
        ),
        ("dynamodb", {"Count": 1}, "open payments", "warn"),
        ("cloudwatch", {"MetricAlarms": []}, "alarms", "fail"),
        (
            "cloudwatch",
            {
                "CompositeAlarms": [
                    {"AlarmName": "a", "StateValue": "ALARM", "AlarmActions": [OUTPUTS["alarms_topic_arn"]]}
                ]
            },
            "alarm",
            "fail",
        ),
    ],
)
def test_the_doctor_reads_pages(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, page: dict[str, Any], check: str, verdict: str
) -> None:
    api = sound(stack)
    stack.client(service).get_paginator.return_value.paginate.return_value = [page]
    assert findings(stack, api, monkeypatch)[check] == verdict


WITH_OPTIONS = {
    "webhooks": {
        "shop": {
            "dead_letter_queue_url": "https://sqs/d",
            "function_name": "payment-webhook-shop-dev",
            "queue_url": "https://sqs/q",
            "secret_name": "payment-webhook-shop-dev",
        }
    },
    "event_bus_name": "payment-events-dev",
    "event_bus_dlq_url": "https://sqs/bd",
    "event_bus_queue_url": "https://sqs/b",
}


def sound_options(stack: FakeStack) -> MagicMock:
    """Make a stack with webhooks and a bus healthy; return its API."""
    api = sound(stack)
    stack.outputs |= WITH_OPTIONS
    set_return(stack, "secretsmanager", "describe_secret", {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}})
    set_return(stack, "pipes", "describe_pipe", {"CurrentState": "RUNNING"})
    return api


def test_the_doctor_looks_at_what_is_optional(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    api = sound_options(stack)
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    found = {one.check: one.verdict for one in examine(target.Target("dev", stack, api))}  # type: ignore[arg-type]
    looked_at = {"function webhook-shop", "source of webhook-shop", "webhook shop", "event bus"}
    looked_at |= {"dead letters of webhook-shop", "dead letters of event-bus", "queue of event-bus"}
    assert {name: found.get(name) for name in looked_at} == dict.fromkeys(looked_at, "ok")
    stack.functions.get_paginator.return_value.paginate.assert_any_call(FunctionName="payment-webhook-shop-dev:live")
    stack.client("pipes").describe_pipe.assert_called_with(Name="payment-events-dev")


@pytest.mark.parametrize(
    ("service", "method", "value", "check"),
    [
        ("secretsmanager", "describe_secret", {}, "webhook shop"),
        (
            "secretsmanager",
            "describe_secret",
            {"VersionIdsToStages": {"v1": ["AWSCURRENT", "SWITCHED_OFF-v1"]}},
            "webhook shop",
        ),
        ("pipes", "describe_pipe", {"CurrentState": "START_FAILED", "StateReason": "its role"}, "event bus"),
    ],
)
def test_the_doctor_finds_an_option_that_fails(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, service: str, method: str, value: Any, check: str
) -> None:
    api = sound_options(stack)
    set_return(stack, service, method, value)
    assert findings(stack, api, monkeypatch) == {check: "fail"}


def test_an_endpoint_that_is_on_again_is_sound(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label on the secret's old value does not concern the new value."""
    api = sound_options(stack)
    stages = {"v1": ["AWSPREVIOUS", "SWITCHED_OFF-v1"], "v2": ["AWSCURRENT"]}
    set_return(stack, "secretsmanager", "describe_secret", {"VersionIdsToStages": stages})
    assert findings(stack, api, monkeypatch) == {}


def test_a_forbidden_check_fails_and_the_others_still_run(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    api = sound(stack)
    stack.client("cloudwatch").get_paginator.return_value.paginate.side_effect = refused(
        "AccessDenied", "DescribeAlarms"
    )
    stack.functions.invoke.side_effect = refused("AccessDeniedException", "Invoke")
    found = findings(stack, api, monkeypatch)
    assert found == {"alarms": "fail", "calling reconciler": "warn", "calling relay": "warn"}


@pytest.mark.parametrize("name", NEEDED)
def test_an_output_that_is_missing_is_named(stack: FakeStack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    api = sound(stack)
    del stack.outputs[name]
    assert findings(stack, api, monkeypatch)["outputs"] == "fail"


def test_the_doctors_status_is_its_verdict(
    payments: Run, stack: FakeStack, account: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    account.get.return_value = sound(stack).get.return_value
    healthy = payments("doctor", "--env", "dev")
    assert healthy.status == 0
    assert re.search(r"\d+ checks, all OK", healthy.err)
    set_return(stack, "sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "1"}})
    told = payments("doctor", "--env", "dev")
    assert told.status == 3
    assert re.search(r"\d+ checks, 3 failed, 0 warnings", told.err)
    assert "payments dlq peek validator" in told.out
