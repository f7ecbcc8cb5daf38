"""payments doctor."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, NoCredentialsError

from local import ROOT
from local.hcl import Module
from ops import logs, target
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
        (
            "lambda",
            {"EventSourceMappings": [{"State": "Enabled", "LastProcessingResult": "FAILED"}]},
            "source of processor",
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


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://sts"),
        ConnectTimeoutError(endpoint_url="https://sts"),
        NoCredentialsError(),
        refused("ExpiredToken"),
        refused("InvalidClientTokenId"),
    ],
)
def test_the_doctor_stops_where_aws_cannot_be_reached(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    api = sound(stack)
    stack.client("sts").get_caller_identity.side_effect = error
    assert findings(stack, api, monkeypatch) == {"AWS": "fail"}
    stack.dynamodb.describe_table.assert_not_called()
    api.get.assert_not_called()


def test_the_first_call_gives_up_soon(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, an address that swallows packets is tried for minutes."""
    api = sound(stack)
    patience: list[dict[str, Any]] = []
    client = stack.client

    def noting(service: str, **config: Any) -> Any:
        patience.extend([config] if service == "sts" else [])
        return client(service)

    monkeypatch.setattr(stack, "client", noting)
    assert findings(stack, api, monkeypatch) == {}
    (config,) = patience
    assert config["connect_timeout"] * config["retries"]["total_max_attempts"] <= 15


def logged(stack: FakeStack, function: str, *messages: object) -> None:
    """Let a function's log have these lines, and all others none."""

    def pages(logGroupName: str, **_rest: object) -> list[dict[str, Any]]:  # noqa: N803 - botocore's
        if logGroupName != f"/aws/lambda/payment-{function}-dev":
            raise refused("ResourceNotFoundException")
        texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
        return [{"events": [{"timestamp": 1767225600000 + at, "message": text} for at, text in enumerate(texts)]}]

    stack.client("logs").get_paginator.return_value.paginate.side_effect = pages


HANDLED = {"level": "ERROR", "message": "the call failed", "error": "KeyError"}


@pytest.mark.parametrize(
    ("messages", "verdict", "told"),
    [
        # A gateway without its setting: the function never gets as far as its handler.
        (
            [{"level": "ERROR", "errorType": "SettingsError", "errorMessage": "GATEWAY is not set"}],
            "fail",
            "cannot start",
        ),
        (
            ["Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'stripe'"],
            "fail",
            "'stripe'",
        ),
        (
            [HANDLED, {"level": "ERROR", "errorType": "FunctionError", "errorMessage": "KeyError"}],
            "warn",
            "2 in the last",
        ),
        ([HANDLED], "warn", "KeyError: the call failed"),
        ([{"type": "platform.report", "record": {"status": "timeout"}}], "warn", "timeout"),
        # The emulator returns every line to a search in JSON, so the doctor itself leaves out lines without an error.
        (
            [{"level": "WARNING", "message": "not done"}, {"level": "INFO"}, "START RequestId", [1], {"record": 1}],
            "ok",
            "none",
        ),
    ],
)
def test_the_doctor_looks_at_the_last_errors_of_every_function(
    stack: FakeStack, monkeypatch: pytest.MonkeyPatch, messages: list[object], verdict: str, told: str
) -> None:
    api = sound(stack)
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    for function in (*OUTPUTS["function_names"], "webhook-shop"):
        stack.outputs |= WITH_OPTIONS
        logged(stack, function, *messages)
        found = {one.check: one for one in examine(target.Target("dev", stack, api))}  # type: ignore[arg-type]
        assert found[f"errors of {function}"].verdict == verdict
        assert told in found[f"errors of {function}"].detail
        others = {
            one.verdict for check, one in found.items() if check.startswith("errors of") and check[10:] != function
        }
        assert others == {"ok"}


def test_the_doctor_counts_the_errors_that_the_alarm_counts() -> None:
    counted = ("resource", "aws_cloudwatch_log_metric_filter", "errors")
    pattern = Module(ROOT / "modules" / "monitoring").attribute(*counted, name="pattern")
    assert pattern.replace('\\"', '"') == logs.ERRORS


def test_a_log_that_may_not_be_read_is_told(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    api = sound(stack)
    stack.client("logs").get_paginator.return_value.paginate.side_effect = refused("AccessDeniedException")
    found = findings(stack, api, monkeypatch)
    assert found == {f"errors of {function}": "warn" for function in OUTPUTS["function_names"]}


@pytest.mark.parametrize("output", ["stripe", "gateway"])
def test_a_gateway_without_its_secret_is_found(stack: FakeStack, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    api = sound(stack)
    del stack.outputs["gateway"]
    # An earlier version named the output by the gateway.
    stack.outputs[output] = {"secret_names": {"key": "k", "webhook": "w"}}
    missing = {"outputs": "fail"} if output == "stripe" else {}
    set_return(stack, "secretsmanager", "describe_secret", {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}})
    assert findings(stack, api, monkeypatch) == missing
    set_return(stack, "secretsmanager", "describe_secret", {})
    assert findings(stack, api, monkeypatch) == missing | {"gateway key": "fail", "gateway webhook": "fail"}


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("aliases", "seconds"),
    [
        ({"alias/payment-dynamodb-dev": 60, "alias/payment-sqs-dev": 290}, 240),
        ({"alias/payment-dynamodb-dev": 300}, 0),
        # Other stacks' and other people's.
        ({"alias/payment-dynamodb-dev2": 1, "alias/payment-dynamodb-my-dev": 1, "alias/aws/sqs": 1, "alias/dev": 1}, 0),
        ({}, 0),
    ],
)
def test_an_alias_that_has_just_changed_is_waited_for(
    payments: Run,
    stack: FakeStack,
    account: MagicMock,
    monkeypatch: pytest.MonkeyPatch,
    aliases: dict[str, int],
    seconds: int,
) -> None:
    """Until then KMS may refuse what a permission by alias allows, and the doctor would report what heals by itself."""
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    monkeypatch.setattr("ops.doctor.now", lambda: NOW)
    waited: list[float] = []

    def sleep(time: float) -> None:
        waited.append(time)
        account.get.return_value = said(404, {})

    monkeypatch.setattr("ops.commands.health.time.sleep", sleep)
    sound(stack)
    account.get.return_value = said(500, {})
    listed = [{"AliasName": name, "LastUpdatedDate": NOW - timedelta(seconds=age)} for name, age in aliases.items()]
    stack.client("kms").get_paginator.return_value.paginate.return_value = [
        {"Aliases": [*listed, {"AliasName": "alias/payment-dynamodb-dev"}]}
    ]
    told = payments("doctor", "--env", "dev")
    assert waited == ([seconds] if seconds else [])
    assert told.status == (0 if seconds else 3)
    assert (f"Waiting {seconds} s" in told.err) == bool(seconds)
    assert ("An alias of a key changed less than five minutes ago" in told.err) == bool(seconds)
    # A sound deployment is not kept waiting.
    waited.clear()
    account.get.return_value = said(404, {})
    assert payments("doctor", "--env", "dev").status == 0
    assert waited == []


def test_where_aws_cannot_be_reached_nothing_is_waited_for(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    sound(stack)
    stack.client("sts").get_caller_identity.side_effect = EndpointConnectionError(endpoint_url="https://sts")
    told = payments("doctor", "--env", "dev")
    assert told.status == 3
    assert "Nothing else was checked" in told.out
    assert "kms" not in stack.clients


def test_aliases_that_may_not_be_listed_are_told(
    payments: Run, stack: FakeStack, account: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.doctor.Api", lambda *_: MagicMock(get=lambda _id: said(403, {})))
    sound(stack)
    account.get.return_value = said(500, {})
    stack.client("kms").get_paginator.return_value.paginate.side_effect = refused("AccessDenied", "ListAliases")
    told = payments("doctor", "--env", "dev")
    assert told.status == 3
    assert "not allowed: ListAliases" in told.err


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
