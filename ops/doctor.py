"""Check a deployment for parts that are missing, forbidden, disconnected or stuck."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException

from local import LocalError
from ops import logs
from ops.client import Api
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.failures import code_of, explain, keeps_out
from ops.stack import all_functions, webhook_endpoints
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
    "gateway",
    "processor_dlq_url",
    "processor_queue_url",
    "reconciler_function_name",
    "region",
    "relay_dlq_url",
    "validator_dlq_url",
    "validator_queue_url",
)
# Longer than all retries of a payment take, and longer than the reconciler's default.
OPEN_TOO_LONG = timedelta(minutes=20)
MANY = 1000
OPEN_INDEX = "open-index"
# The check that stands for all others if AWS cannot be reached.
NO_AWS = "AWS"
# How far back errors in the logs count.
ERRORS_OF = timedelta(minutes=30)
# KMS says that a change of an alias may take five minutes until permissions by alias follow it.
ALIASES_TAKE = timedelta(minutes=5)
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


def examine(deployment: Target, progress: Callable[[int, int], None] = lambda _done, _total: None) -> list[Finding]:
    """Return the findings of every check. A check that cannot run has failed."""
    findings: list[Finding] = []
    checks = (
        _outputs,
        _caller,
        _api,
        _table,
        _functions,
        _errors,
        _sources,
        _gateway,
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
            findings += check(deployment)
        except (ClientError, BotoCoreError, RequestException, LocalError) as error:
            if keeps_out(error):
                findings.append(Finding(NO_AWS, "fail", f"{explain(error).rstrip('.')}. Nothing else was checked"))
                break
            findings.append(Finding(check.__name__.strip("_").replace("_", " "), "fail", _said(error)))
        except KeyError as error:
            # The first check names it.
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(Finding(name, "fail", f"not checked: there is no output {error}"))
    return findings


def until_aliases_hold(deployment: Target) -> timedelta:
    """Return how much longer AWS may take to apply the last change of an alias of the stack's keys."""
    if deployment.is_local:
        return timedelta()
    ours = re.compile(
        rf"alias/payment-\w+-{re.escape(deployment.stack.outputs['dynamodb_table_name'].split('-', 2)[-1])}"
    )
    pages = deployment.stack.client("kms").get_paginator("list_aliases").paginate()
    changed = [
        alias["LastUpdatedDate"]
        for page in pages
        for alias in page["Aliases"]
        if ours.fullmatch(alias["AliasName"]) and "LastUpdatedDate" in alias
    ]
    return max(max(changed, default=now() - ALIASES_TAKE) + ALIASES_TAKE - now(), timedelta())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, LocalError) else explain(error)


def _outputs(deployment: Target) -> Iterator[Finding]:
    missing = [name for name in NEEDED if not deployment.stack.outputs.get(name)]
    if missing:
        remedy = f"Deploy this version: make deploy ENV={deployment.env}"
        yield Finding("outputs", "fail", f"missing: {', '.join(missing)}", remedy)
    else:
        yield Finding("outputs", "ok", f"{len(deployment.stack.outputs)} outputs, {deployment.stack.outputs['region']}")


def _caller(deployment: Target) -> Iterator[Finding]:
    # The first call to AWS: it decides soon whether there is any use in the others.
    client = deployment.stack.client("sts", connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    who = client.get_caller_identity()
    account = deployment.stack.outputs["announcements_topic_arn"].split(":")[4]
    if who["Account"] != account:
        detail = f"{who['Arn']} is in account {who['Account']}, and the stack in {account}"
        yield Finding("credentials", "fail", detail, "Set AWS_PROFILE to the stack's account")
    else:
        yield Finding("credentials", "ok", who["Arn"])


def _api(deployment: Target) -> Iterator[Finding]:
    answer = deployment.api.get(_NOBODY)
    if answer.status_code == _FORBIDDEN:
        remedy = "Allow execute-api:Invoke, or set PAYMENTS_API_KEY or PAYMENTS_API_TOKEN"
        yield Finding("API", "fail", "it rejects these credentials", remedy)
    elif answer.status_code not in {200, _NOT_FOUND}:
        yield Finding("API", "fail", f"it answers {answer.status_code}", "See docs/runbooks/api-5xx.md")
    else:
        yield Finding("API", "ok", deployment.api.url)
    unsigned = Api(deployment.api.url, deployment.api.region, None, deployment.api.trusted).get(_NOBODY)
    if unsigned.status_code < _CLIENT_ERROR or unsigned.status_code == _NOT_FOUND:
        yield Finding(
            "API access", "warn", "anyone may call it", 'Set api.authorization to "AWS_IAM" unless this is meant'
        )
    else:
        yield Finding("API access", "ok", f"an unsigned call gets {unsigned.status_code}")


def _asks_first(deployment: Target) -> bool:
    name = deployment.stack.outputs["function_names"]["processor"]
    found = deployment.stack.functions.get_function_configuration(FunctionName=name, Qualifier="live")
    # Without the right to the functions' key, AWS shows no variables.
    return found.get("Environment", {}).get("Variables", {}).get("RESTORED") == "true"


def _table(deployment: Target) -> Iterator[Finding]:
    client = deployment.stack.dynamodb
    name = deployment.stack.outputs["dynamodb_table_name"]
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
    if "RestoreSummary" in table and not _asks_first(deployment):
        yield Finding(
            "restore",
            "warn",
            f"{name} was restored from a backup, and the gateway is not asked first",
            "Set restored, unless no client can still repeat a lost request: docs/operations.md",
        )
    if not table.get("DeletionProtectionEnabled") and not deployment.is_local:
        yield Finding("deletion", "warn", f"{name} is not protected from deletion", "Set table.deletion_protection")


def _functions(deployment: Target) -> Iterator[Finding]:
    client = deployment.stack.functions
    for function, name in sorted(all_functions(deployment.stack.outputs).items()):
        check = f"function {function}"
        live = client.get_function_configuration(FunctionName=name, Qualifier="live")
        state, update = live.get("State", "Active"), live.get("LastUpdateStatus", "Successful")
        if state not in {"Active", "Inactive"} or update == "Failed":
            detail = (
                f"{state}, last update {update}: {live.get('StateReason') or live.get('LastUpdateStatusReason', '')}"
            )
            yield Finding(check, "fail", detail, f"Deploy again: make deploy ENV={deployment.env}")
        else:
            yield Finding(check, "ok", f"version {live['Version']}, {live['Runtime']}")
    # A dry run: AWS only checks the permission.
    for function in ("reconciler", "relay"):
        name = deployment.stack.outputs["function_names"][function]
        try:
            client.invoke(FunctionName=name, Qualifier="live", InvocationType="DryRun")
        except ClientError as error:
            command = "payments reconcile" if function == "reconciler" else "payments dlq redrive relay"
            yield Finding(
                f"calling {function}", "warn", explain(error), f"{command} needs lambda:InvokeFunction on {name}"
            )


def _errors(deployment: Target) -> Iterator[Finding]:
    """Look for errors that the functions logged, for instance at a start that failed."""
    client = deployment.stack.client("logs")
    functions = all_functions(deployment.stack.outputs)
    start = now() - ERRORS_OF

    def read(name: str) -> list[logs.LoggedError] | ClientError:
        try:
            return logs.errors(client, name, start)
        except ClientError as error:
            # A function that was never called has no log yet.
            return [] if code_of(error) == "ResourceNotFoundException" else error

    with ThreadPoolExecutor(len(functions)) as pool:
        found = dict(zip(functions, pool.map(read, functions.values()), strict=True))
    for function, logged in sorted(found.items()):
        check = f"errors of {function}"
        if isinstance(logged, ClientError):
            yield Finding(check, "warn", explain(logged), "doctor needs logs:FilterLogEvents")
        elif not logged:
            yield Finding(check, "ok", f"none in the last {ERRORS_OF.seconds // 60} minutes")
        else:
            last = logged[-1]
            what = (
                "it cannot start" if last.at_start else f"{len(logged)} in the last {ERRORS_OF.seconds // 60} minutes"
            )
            remedy = f"See docs/runbooks/logged-errors.md, and the log /aws/lambda/{functions[function]}"
            yield Finding(check, "fail" if last.at_start else "warn", f"{what}; at {last.time}: {last.text}", remedy)


def _gateway(deployment: Target) -> Iterator[Finding]:
    """Look for a secret of the gateway that has no value: the gateway cannot be called without it."""
    # Earlier versions named this output after the gateway.
    gateway = deployment.stack.outputs.get("gateway") or deployment.stack.outputs.get("stripe") or {}
    for use, name in sorted((gateway.get("secret_names") or {}).items()):
        if _current(deployment, name) is None:
            detail = f"{name} has no value, so payments wait" if use == "key" else f"{name} has no value"
            yield Finding(
                f"gateway {use}", "fail", detail, f"Put it: aws secretsmanager put-secret-value --secret-id {name}"
            )
        else:
            yield Finding(f"gateway {use}", "ok", "its secret has a value")


def _current(deployment: Target, secret: str) -> list[str] | None:
    """Return the labels of a secret's current version and that version's id, or None if it has no value."""
    versions = deployment.stack.client("secretsmanager").describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    return next(([version, *labels] for version, labels in versions.items() if "AWSCURRENT" in labels), None)


def _sources(deployment: Target) -> Iterator[Finding]:
    """Check the event sources: the stream and the queues."""
    client = deployment.stack.functions
    names = deployment.stack.outputs["function_names"]
    fed = {function: names[function] for function in ("relay", "processor", "notifier")}
    delivering = {name: full for name, full in all_functions(deployment.stack.outputs).items() if name not in names}
    for function, name in (fed | delivering).items():
        pages = client.get_paginator("list_event_source_mappings").paginate(FunctionName=f"{name}:live")
        mappings: list[Any] = [mapping for page in pages for mapping in page["EventSourceMappings"]]
        check = f"source of {function}"
        if not mappings:
            yield Finding(check, "fail", "it has no event source", f"Deploy again: make deploy ENV={deployment.env}")
        for mapping in mappings:
            state, result = mapping.get("State"), str(mapping.get("LastProcessingResult", ""))
            source = mapping.get("EventSourceArn", "").split(":", 5)[-1]
            if state not in {"Enabled", "Enabling", "Creating", "Updating"}:
                remedy = f"aws lambda update-event-source-mapping --enabled --uuid {mapping['UUID']}"
                yield Finding(check, "fail", f"{source} is {state}", remedy)
            elif result.startswith(("PROBLEM", "FAILED")):  # the latter on the embedded AWS
                yield Finding(check, "fail", f"{source}: {result}", "See docs/runbooks/function-errors.md")
            else:
                yield Finding(check, "ok", f"{source} is {state}" + (f", {result}" if result else ""))


def _webhooks(deployment: Target) -> Iterator[Finding]:
    """Look for endpoints that are switched off or have no secret."""
    for endpoint, parts in sorted(webhook_endpoints(deployment.stack.outputs).items()):
        current = _current(deployment, parts["secret_name"])
        check = f"webhook {endpoint}"
        if current is None:
            remedy = f"Set {parts['secret_name']}: see docs/webhooks.md"
            yield Finding(check, "fail", "its secret has no value, so nothing is delivered", remedy)
        elif f"{OFF}{current[0]}" in current:
            yield Finding(check, "fail", "it is switched off", "See docs/runbooks/webhook-switched-off.md")
        else:
            yield Finding(check, "ok", "switched on, has a secret")


def _event_bus(deployment: Target) -> Iterator[Finding]:
    name = deployment.stack.outputs.get("event_bus_name")
    if name:
        # The pipe is named like the bus that it feeds.
        pipe = deployment.stack.client("pipes").describe_pipe(Name=name)
        state, reason = pipe.get("CurrentState", "unknown"), pipe.get("StateReason", "")
        if state == "RUNNING":
            yield Finding("event bus", "ok", f"the pipe to {name} is {state}")
        else:
            detail = f"the pipe to {name} is {state}: {reason}".rstrip(": ")
            yield Finding("event bus", "fail", detail, "See docs/runbooks/event-bus-dead-letters.md")


def _backlog(deployment: Target) -> Iterator[Finding]:
    client = QueueClient(deployment.stack)
    for name, queue in work_queues(deployment.stack).items():
        counts = client.counts(queue)
        detail = f"{counts.waiting} waiting, {counts.in_flight} in flight"
        if counts.waiting > MANY:
            yield Finding(f"queue of {name}", "warn", detail, "See docs/runbooks/queue-depth.md")
        else:
            yield Finding(f"queue of {name}", "ok", detail)


def _open_payments(deployment: Target) -> Iterator[Finding]:
    """Look for payments that should have become final long ago."""
    client = deployment.stack.dynamodb
    late = 0
    for shard in range(OPEN_SHARDS):
        # A payment that was sent again is listed under the time of its next check.
        pages = client.get_paginator("query").paginate(
            TableName=deployment.stack.outputs["dynamodb_table_name"],
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


def _dead_letters(deployment: Target) -> Iterator[Finding]:
    client = QueueClient(deployment.stack)
    for name, queue in dead_letter_queues(deployment.stack).items():
        counts = client.counts(queue)
        if counts.waiting or counts.in_flight:
            detail = f"{counts.waiting} waiting, {counts.in_flight} in flight"
            yield Finding(f"dead letters of {name}", "fail", detail, f"payments dlq peek {name}")
        else:
            yield Finding(f"dead letters of {name}", "ok", "none")


def _alarms(deployment: Target) -> Iterator[Finding]:
    topic = deployment.stack.outputs["alarms_topic_arn"]
    pages = (
        deployment.stack.client("cloudwatch")
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
        yield Finding("alarms", "fail", "there are no alarms", f"Deploy again: make deploy ENV={deployment.env}")
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
    subscriptions = deployment.stack.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    if subscriptions:
        yield Finding("alarm subscribers", "ok", f"{len(subscriptions)} subscriptions")
    elif not deployment.is_local:
        yield Finding(
            "alarm subscribers", "warn", "nobody receives alarms", "Set alarm_emails, or subscribe to the topic"
        )
