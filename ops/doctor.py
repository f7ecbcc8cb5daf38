"""Check a deployment for anything missing, forbidden, disconnected or stuck."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException

from local import LocalError
from ops.client import Api
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.failures import explain
from ops.stack import webhook_endpoints
from payments.domain.clock import now, timestamp
from payments.table.items import OPEN_SHARDS
from payments.webhooks.secret import OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.target import Target

Verdict = Literal["ok", "warn", "fail"]

NEEDED = (
    "alarms_topic_arn",
    "announcements_topic_arn",
    "api_gateway_id",
    "api_gateway_url",
    "dynamodb_table_name",
    "function_names",
    "processor_dlq_url",
    "processor_queue_url",
    "reconciler_function_name",
    "region",
    "relay_dlq_url",
    "validator_dlq_url",
    "validator_queue_url",
)
# Longer than a payment takes through every retry, and the reconciler's own default.
OPEN_TOO_LONG = timedelta(minutes=20)
MANY = 1000
OPEN_INDEX = "open-index"
_CLIENT_ERROR, _FORBIDDEN, _NOT_FOUND = 400, 403, 404
# An id that no client would give, and nobody can have: ids have no dots.
_NOBODY = "payments-doctor"


@dataclass(frozen=True)
class Finding:
    """The result of a check, and what to do about it."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def examine(there: Target, progress: Callable[[int, int], None] = lambda _done, _total: None) -> list[Finding]:
    """Return the findings of every check. A check that cannot run has failed."""
    findings: list[Finding] = []
    checks = (
        _outputs,
        _caller,
        _api,
        _table,
        _functions,
        _sources,
        _webhooks,
        _event_bus,
        _backlog,
        _open_payments,
        _dead_letters,
        _alarms,
    )
    for done, check in enumerate(checks):
        progress(done, len(checks))
        try:
            findings += check(there)
        except (ClientError, BotoCoreError, RequestException, LocalError) as error:
            findings.append(Finding(check.__name__.strip("_").replace("_", " "), "fail", _said(error)))
        except KeyError as error:
            # The first check names it.
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(Finding(name, "fail", f"not checked: there is no output {error}"))
    return findings


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, LocalError) else explain(error)


def _outputs(there: Target) -> Iterator[Finding]:
    missing = [name for name in NEEDED if not there.stack.outputs.get(name)]
    if missing:
        remedy = f"Deploy this version: make deploy ENV={there.env}"
        yield Finding("outputs", "fail", f"missing: {', '.join(missing)}", remedy)
    else:
        yield Finding("outputs", "ok", f"{len(there.stack.outputs)} outputs, {there.stack.outputs['region']}")


def _caller(there: Target) -> Iterator[Finding]:
    who = there.stack.client("sts").get_caller_identity()
    account = there.stack.outputs["announcements_topic_arn"].split(":")[4]
    if who["Account"] != account:
        detail = f"{who['Arn']} is in account {who['Account']}, and the stack in {account}"
        yield Finding("credentials", "fail", detail, "Set AWS_PROFILE to the stack's account")
    else:
        yield Finding("credentials", "ok", who["Arn"])


def _api(there: Target) -> Iterator[Finding]:
    answer = there.api.get(_NOBODY)
    if answer.status_code == _FORBIDDEN:
        remedy = "Allow execute-api:Invoke, or set PAYMENTS_API_KEY or PAYMENTS_API_TOKEN"
        yield Finding("API", "fail", "it rejects these credentials", remedy)
    elif answer.status_code not in {200, _NOT_FOUND}:
        yield Finding("API", "fail", f"it answers {answer.status_code}", "See docs/runbooks/api-5xx.md")
    else:
        yield Finding("API", "ok", there.api.url)
    unsigned = Api(there.api.url, there.api.region, None, there.api.trusted).get(_NOBODY)
    if unsigned.status_code < _CLIENT_ERROR or unsigned.status_code == _NOT_FOUND:
        yield Finding(
            "API access", "warn", "anyone may call it", 'Set api.authorization to "AWS_IAM" unless this is meant'
        )
    else:
        yield Finding("API access", "ok", f"an unsigned call gets {unsigned.status_code}")


def _asks_first(there: Target) -> bool:
    name = there.stack.outputs["function_names"]["processor"]
    found = there.stack.functions.get_function_configuration(FunctionName=name, Qualifier="live")
    # Without the right to the functions' key, AWS shows no variables.
    return found.get("Environment", {}).get("Variables", {}).get("RESTORED") == "true"


def _table(there: Target) -> Iterator[Finding]:
    client = there.stack.dynamodb
    name = there.stack.outputs["dynamodb_table_name"]
    table = client.describe_table(TableName=name)["Table"]
    status, stream = table.get("TableStatus"), table.get("StreamSpecification", {})
    if status not in {"ACTIVE", "UPDATING"}:
        yield Finding("table", "fail", f"{name} is {status}")
    elif not stream.get("StreamEnabled") or stream.get("StreamViewType") != "NEW_AND_OLD_IMAGES":
        yield Finding(
            "table",
            "fail",
            f"{name} has no stream of new and old images",
            "Nothing is charged without it. Deploy again",
        )
    else:
        yield Finding("table", "ok", f"{name} is {status}, with its stream")
    recovery = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    point_in_time = recovery.get("PointInTimeRecoveryDescription", {})
    if point_in_time.get("PointInTimeRecoveryStatus") == "ENABLED":
        earliest = point_in_time.get("EarliestRestorableDateTime")
        yield Finding(
            "recovery", "ok", f"possible to any second since {earliest:%Y-%m-%d %H:%M} UTC" if earliest else "on"
        )
    else:
        yield Finding("recovery", "warn", "point-in-time recovery is off", "Set table.point_in_time_recovery_days")
    if "RestoreSummary" in table and not _asks_first(there):
        yield Finding(
            "restore",
            "warn",
            f"{name} was restored from a backup, and the gateway is not asked first",
            "Set restored, unless no client can still repeat a lost request: docs/operations.md",
        )
    if not table.get("DeletionProtectionEnabled") and not there.is_local:
        yield Finding("deletion", "warn", f"{name} is not protected from deletion", "Set table.deletion_protection")


def _functions(there: Target) -> Iterator[Finding]:
    client = there.stack.functions
    for function, name in sorted((there.stack.outputs["function_names"] | _deliverers(there)).items()):
        check = f"function {function}"
        told = client.get_function_configuration(FunctionName=name, Qualifier="live")
        state, update = told.get("State", "Active"), told.get("LastUpdateStatus", "Successful")
        if state not in {"Active", "Inactive"} or update == "Failed":
            detail = (
                f"{state}, last update {update}: {told.get('StateReason') or told.get('LastUpdateStatusReason', '')}"
            )
            yield Finding(check, "fail", detail, f"Deploy again: make deploy ENV={there.env}")
        else:
            yield Finding(check, "ok", f"version {told['Version']}, {told['Runtime']}")
    # A dry run: AWS only checks the permission.
    for function in ("reconciler", "relay"):
        name = there.stack.outputs["function_names"][function]
        try:
            client.invoke(FunctionName=name, Qualifier="live", InvocationType="DryRun")
        except ClientError as error:
            command = "payments reconcile" if function == "reconciler" else "payments dlq redrive relay"
            yield Finding(
                f"calling {function}", "warn", explain(error), f"{command} needs lambda:InvokeFunction on {name}"
            )


def _deliverers(there: Target) -> dict[str, str]:
    """Return the names of the functions that deliver webhooks."""
    endpoints = webhook_endpoints(there.stack.outputs)
    return {f"webhook-{endpoint}": parts["function_name"] for endpoint, parts in endpoints.items()}


def _sources(there: Target) -> Iterator[Finding]:
    """Check the event sources: the stream and the queues."""
    client = there.stack.functions
    names = there.stack.outputs["function_names"]
    fed = {function: names[function] for function in ("relay", "processor", "notifier")}
    for function, name in (fed | _deliverers(there)).items():
        pages = client.get_paginator("list_event_source_mappings").paginate(FunctionName=f"{name}:live")
        mappings: list[Any] = [mapping for page in pages for mapping in page["EventSourceMappings"]]
        check = f"source of {function}"
        if not mappings:
            yield Finding(check, "fail", "it has no event source", f"Deploy again: make deploy ENV={there.env}")
        for mapping in mappings:
            state, result = mapping.get("State"), str(mapping.get("LastProcessingResult", ""))
            source = mapping.get("EventSourceArn", "").split(":", 5)[-1]
            if state not in {"Enabled", "Enabling", "Creating", "Updating"}:
                remedy = f"aws lambda update-event-source-mapping --enabled --uuid {mapping['UUID']}"
                yield Finding(check, "fail", f"{source} is {state}", remedy)
            elif result.startswith("PROBLEM"):
                yield Finding(check, "fail", f"{source}: {result}", "See docs/runbooks/function-errors.md")
            else:
                yield Finding(check, "ok", f"{source} is {state}" + (f", {result}" if result else ""))


def _webhooks(there: Target) -> Iterator[Finding]:
    """Look for endpoints that are switched off or have no secret."""
    for endpoint, parts in sorted(webhook_endpoints(there.stack.outputs).items()):
        secret = there.stack.client("secretsmanager").describe_secret(SecretId=parts["secret_name"])
        versions = secret.get("VersionIdsToStages", {})
        current = next((version for version, stages in versions.items() if "AWSCURRENT" in stages), None)
        check = f"webhook {endpoint}"
        if current is None:
            remedy = f"Set {parts['secret_name']}: see docs/webhooks.md"
            yield Finding(check, "fail", "its secret has no value, so nothing is delivered", remedy)
        elif f"{OFF}{current}" in versions[current]:
            yield Finding(check, "fail", "it is switched off", "See docs/runbooks/webhook-switched-off.md")
        else:
            yield Finding(check, "ok", "switched on, has a secret")


def _event_bus(there: Target) -> Iterator[Finding]:
    name = there.stack.outputs.get("event_bus_name")
    if name:
        # The pipe is named like the bus that it feeds.
        pipe = there.stack.client("pipes").describe_pipe(Name=name)
        state, reason = pipe.get("CurrentState", "unknown"), pipe.get("StateReason", "")
        if state == "RUNNING":
            yield Finding("event bus", "ok", f"the pipe to {name} is {state}")
        else:
            detail = f"the pipe to {name} is {state}: {reason}".rstrip(": ")
            yield Finding("event bus", "fail", detail, "See docs/runbooks/event-bus-dead-letters.md")


def _backlog(there: Target) -> Iterator[Finding]:
    client = QueueClient(there.stack)
    for name, queue in work_queues(there.stack).items():
        counts = client.counts(queue)
        detail = f"{counts.waiting} waiting, {counts.in_flight} in flight"
        if counts.waiting > MANY:
            yield Finding(f"queue of {name}", "warn", detail, "See docs/runbooks/queue-depth.md")
        else:
            yield Finding(f"queue of {name}", "ok", detail)


def _open_payments(there: Target) -> Iterator[Finding]:
    """Look for payments that should have become final long ago."""
    client = there.stack.dynamodb
    late = 0
    for shard in range(OPEN_SHARDS):
        # A redriven payment is listed under the time of its next check.
        pages = client.get_paginator("query").paginate(
            TableName=there.stack.outputs["dynamodb_table_name"],
            IndexName=OPEN_INDEX,
            Select="COUNT",
            KeyConditionExpression="open_shard = :shard AND open_from <= :moment",
            ExpressionAttributeValues={
                ":shard": {"S": str(shard)},
                ":moment": {"S": timestamp(now() - OPEN_TOO_LONG)},
            },
        )
        late += sum(page["Count"] for page in pages)
    if late:
        detail = f"{late} without an outcome for {OPEN_TOO_LONG.seconds // 60} minutes or more"
        yield Finding("open payments", "warn", detail, "payments reconcile")
    else:
        yield Finding("open payments", "ok", f"none older than {OPEN_TOO_LONG.seconds // 60} minutes")


def _dead_letters(there: Target) -> Iterator[Finding]:
    client = QueueClient(there.stack)
    for name, queue in dead_letter_queues(there.stack).items():
        counts = client.counts(queue)
        if counts.waiting or counts.in_flight:
            detail = f"{counts.waiting} waiting, {counts.in_flight} in flight"
            yield Finding(f"dead letters of {name}", "fail", detail, f"payments dlq peek {name}")
        else:
            yield Finding(f"dead letters of {name}", "ok", "none")


def _alarms(there: Target) -> Iterator[Finding]:
    topic = there.stack.outputs["alarms_topic_arn"]
    pages = (
        there.stack.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    ours = [
        alarm
        for page in pages
        for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
        if topic in alarm.get("AlarmActions", [])
    ]
    if not ours:
        yield Finding("alarms", "fail", "there are no alarms", f"Deploy again: make deploy ENV={there.env}")
    for alarm in ours:
        if alarm["StateValue"] == "ALARM":
            described = alarm.get("AlarmDescription", "")
            yield Finding("alarm", "fail", f"{alarm['AlarmName']}: {alarm.get('StateReason', '')}", described)
        elif not alarm.get("ActionsEnabled", True):
            yield Finding("alarm", "warn", f"{alarm['AlarmName']} has its actions switched off", "Switch them on")
    quiet = sum(alarm["StateValue"] != "ALARM" for alarm in ours)
    if ours and quiet == len(ours):
        blind = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in ours)
        yield Finding("alarms", "ok", f"{quiet} alarms, none raised" + (f", {blind} without data" if blind else ""))
    told = there.stack.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    if told:
        yield Finding("alarm subscribers", "ok", f"{len(told)} subscriptions")
    elif not there.is_local:
        yield Finding(
            "alarm subscribers", "warn", "nobody receives alarms", "Set alarm_emails, or subscribe to the topic"
        )
