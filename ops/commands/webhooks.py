"""Webhooks: try an endpoint."""

from __future__ import annotations

import json
import time
import uuid
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from local import LocalError
from local.environments import LOCAL
from ops import target
from ops.commands.options import BAD, AsJson, Environment, Yes, ask
from ops.failures import code_of
from ops.output import Output
from ops.stack import webhook_endpoints
from payments.model import now, timestamp

app = typer.Typer(no_args_is_help=True, help="Webhook endpoints: test.")

_POLL_SECONDS = 1.0
# A receiver that knows the types of payments alone leaves this one aside.
EVENT = "payment.test"


def add_to(parent: typer.Typer) -> None:
    """Register the commands."""
    parent.add_typer(app, name="webhooks")


@app.callback()
def _group() -> None:
    """Keep the name of the only command."""


@app.command("test")
def try_endpoint(
    endpoint: Annotated[str, typer.Argument(help="The endpoint's name in the environment's tfvars.")],
    timeout: Annotated[float, typer.Option(min=0, help="How long to wait for its answer, in seconds.")] = 60,
    env: Environment = LOCAL,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Send an endpoint a signed test event on the way that announcements take, and wait for its answer.

    The event's type is payment.test: it stands for no payment. Exit status 3 where it was not delivered in time.
    """
    output, there = Output(as_json), target.resolve(env)
    endpoints = webhook_endpoints(there.stack.outputs)
    if endpoint not in endpoints:
        known = ", ".join(sorted(endpoints)) or "none"
        raise LocalError(f"{env} has no webhook endpoint {endpoint!r}. There are: {known}.")
    if not there.is_local:
        ask(f"Send a test event to {endpoint} of {env}?", yes=yes)
    # As announcements have it: a name and a version.
    name = f"test-{uuid.uuid4().hex[:16]}.1"
    sent_at = now()
    event = {
        "specversion": "1.0",
        "id": name,
        "source": f"/payments/{env}",
        "type": EVENT,
        "subject": name,
        "time": timestamp(sent_at),
        "datacontenttype": "application/json",
        "data": {"test": True},
    }
    parts = endpoints[endpoint]
    there.stack.client("sqs").send_message(QueueUrl=parts["queue_url"], MessageBody=json.dumps(event))
    logs, deadline = there.stack.client("logs"), time.monotonic() + timeout
    status: int | None = None
    with output.progress.step(f"Waiting for {endpoint}") as step:
        while True:
            status = _delivered(logs, parts["function_name"], name, int(sent_at.timestamp() * 1000))
            if status is not None or time.monotonic() > deadline:
                step.result = f"{endpoint} answered {status}" if status else f"{endpoint} has not taken it"
                break
            time.sleep(_POLL_SECONDS)
    if as_json:
        output.json({"endpoint": endpoint, "webhook_id": name, "delivered": status is not None, "status": status})
    elif status is None:
        output.line(f"{name} is not delivered yet; it comes again by itself. See docs/runbooks/webhook-failing.md")
    else:
        output.line(f"{name} is delivered: {endpoint} answered {status}")
    return BAD if status is None else 0


def _delivered(logs: Any, function: str, name: str, start: int) -> int | None:  # noqa: ANN401 - botocore's
    """Return what the endpoint has answered, by the function's log."""
    try:
        found = logs.filter_log_events(
            logGroupName=f"/aws/lambda/{function}", startTime=start - 60_000, filterPattern=f'"{name}"'
        )
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise
    for event in found["events"]:
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("webhook_id") == name and line.get("message") == "delivered":
            return int(line["status"])
    return None
