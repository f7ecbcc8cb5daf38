"""Webhooks: test an endpoint."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import ClientError

from local import LocalError
from local.environments import LOCAL
from ops import logs, target
from ops.commands.options import BAD, AsJson, Environment, Yes, ask
from ops.failures import code_of
from ops.output import Output
from ops.stack import webhook_endpoints
from payments.domain.clock import now, timestamp

if TYPE_CHECKING:
    from ops.stack import Stack

app = typer.Typer(no_args_is_help=True, help="Webhook endpoints: test.")

_POLL_SECONDS = 1.0
# Clocks differ.
_SLACK = timedelta(minutes=1)
# Receivers that handle only payment events ignore this type.
EVENT = "payment.test"


def add_to(parent: typer.Typer) -> None:
    """Register the commands."""
    parent.add_typer(app, name="webhooks")


@app.callback()
def _group() -> None:
    """Keep the group: without a callback, typer would drop the only command's name."""


@app.command("test")
def try_endpoint(
    endpoint: Annotated[str, typer.Argument(help="The endpoint's name in the environment's tfvars.")],
    timeout: Annotated[float, typer.Option(min=0, help="How long to wait for its answer, in seconds.")] = 60,
    env: Environment = LOCAL,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Send an endpoint a signed test event of type payment.test, and wait for its answer.

    Exit status 3 if it was not delivered in time.
    """
    output, deployment = Output(as_json), target.resolve(env)
    endpoints = webhook_endpoints(deployment.stack.outputs)
    if endpoint not in endpoints:
        known = ", ".join(sorted(endpoints)) or "none"
        raise LocalError(f"{env} has no webhook endpoint {endpoint!r}. Known endpoints: {known}.")
    if not deployment.is_local:
        ask(f"Send a test event to {endpoint} of {env}?", yes=yes)
    event = _test_event(f"/payments/{env}")
    parts, name = endpoints[endpoint], event["id"]
    deployment.stack.client("sqs").send_message(QueueUrl=parts["queue_url"], MessageBody=json.dumps(event))
    with output.progress.step(f"Waiting for {endpoint}") as step:
        status = _wait_for_delivery(deployment.stack, parts["function_name"], event, timeout)
        step.result = f"{endpoint} answered {status}" if status else f"{endpoint} has not accepted it"
    if as_json:
        output.json({"endpoint": endpoint, "webhook_id": name, "delivered": status is not None, "status": status})
    elif status is None:
        output.line(f"{name} is not delivered yet. Delivery is retried. See docs/runbooks/webhook-failing.md")
    else:
        output.line(f"{name} is delivered: {endpoint} answered {status}")
    return BAD if status is None else 0


def _test_event(source: str) -> dict[str, Any]:
    # As announcements have it: a name and a version.
    name = f"test-{uuid.uuid4().hex[:16]}.1"
    return {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": EVENT,
        "subject": name,
        "time": timestamp(now()),
        "datacontenttype": "application/json",
        "data": {"test": True},
    }


def _wait_for_delivery(stack: Stack, function: str, event: dict[str, Any], seconds: float) -> int | None:
    """Return the endpoint's answer as soon as the log has it, or None when the time is over."""
    client, deadline = stack.client("logs"), time.monotonic() + seconds
    start = datetime.fromisoformat(event["time"])
    while True:
        status = _delivered(client, function, event["id"], start)
        if status is not None or time.monotonic() > deadline:
            return status
        time.sleep(_POLL_SECONDS)


def _delivered(client: Any, function: str, name: str, start: datetime) -> int | None:  # noqa: ANN401 - botocore's
    """Return the endpoint's answer from the function's log."""
    try:
        found = list(logs.about(client, function, name, start - _SLACK))
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise
    for _, line in found:
        if line.get("webhook_id") == name and line.get("message") == "delivered":
            return int(line["status"])
    return None
