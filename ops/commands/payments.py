"""Payments: make one, look at them, refund one."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import quote, urlencode

import requests
import typer
from rich.live import Live

from local import LocalError
from local.environments import LOCAL
from ops import target, timeline
from ops.client import BUSY, RefusedError, payload, retrying
from ops.commands.options import BAD, AsJson, Environment, TransactionId, Yes, ask
from ops.output import Output, printable, table
from ops.payment import methods_of, view_of
from ops.stream import POLL_SECONDS, Feed
from payments.domain.lifecycle import OPEN, REFUNDABLE, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = 100
# How long to repeat a read while the API is busy.
PATIENCE = 30.0
_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.1, 1.0
_SHOWN_IN_WATCH = 25
_SERVER_ERROR = 500
COLUMNS = ("transaction_id", "customer_id", "amount", "currency", "status", "updated_at", "detail")

Seconds = Annotated[float, typer.Option("--timeout", min=0, help="How long to wait for the outcome, in seconds.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pay, show, list_payments, watch, refund):
        app.command("list" if command is list_payments else None)(command)


def pay(
    amount: Annotated[str, typer.Argument(help="In the currency's major unit, for example 12.50.")],
    currency: Annotated[str | None, typer.Argument(help="ISO 4217. Default: the deployment's.")] = None,
    customer: Annotated[str | None, typer.Option(help="The customer's id. Local default: ada.")] = None,
    method: Annotated[str | None, typer.Option(help="The gateway's token. Local default: an approved one.")] = None,
    transaction_id: Annotated[str | None, typer.Option("--id", help="The payment's id. Default: a new one.")] = None,
    description: Annotated[str | None, typer.Option(help="What the payment is for.")] = None,
    metadata: Annotated[list[str] | None, typer.Option("--metadata", "-m", help="NAME=VALUE. May be repeated.")] = None,
    timeout: Seconds = 60,
    env: Environment = LOCAL,
    wait: Wait = True,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Make a payment and wait for its outcome. It is safe to repeat with the same --id."""
    output, deployment = Output(as_json), target.resolve(env)
    customer, method = _payer(deployment, customer, method)
    name = transaction_id or _new_id()
    body = _without_none(
        transaction_id=name,
        customer_id=customer,
        amount=amount,
        currency=currency,
        payment_method=method,
        description=description,
        metadata=dict(map(_member, metadata or [])) or None,
    )
    if not deployment.is_local:
        ask(f"Charge {amount} {currency or ''} to {customer} in {env}?".replace("  ", " "), yes=yes)
    with _repeatable(output, name):
        answer = retrying(lambda: deployment.api.post(body), timeout)
        payment = payload(deployment.api, answer)
        if wait:
            payment = _outcome(deployment, output, f"/payments/{name}", timeout)
    replayed = " (a repeat: nothing was charged again)" if answer.headers.get("Idempotent-Replayed") else ""
    _print_outcome(output, payment, f"{name} is {payment['status']}{replayed}")
    return BAD if wait and payment["status"] not in REFUNDABLE | {Status.REFUNDED} else 0


def _payer(deployment: target.Target, customer: str | None, method: str | None) -> tuple[str, str]:
    """Return the customer and the payment method. The local stack has defaults."""
    if deployment.is_local:
        customer, method = customer or "ada", method or next(iter(methods_of(deployment.stack)), None)
        if method is None:
            raise typer.BadParameter(f"--method is required with the gateway {deployment.stack.gateway['name']}")
    if customer is None or method is None:
        raise typer.BadParameter("--customer and --method are required outside the local stack")
    return customer, method


def _new_id() -> str:
    return f"ops-{uuid.uuid4().hex[:16]}"


def _without_none(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _print_outcome(output: Output, found: dict[str, Any], sentence: str) -> None:
    """Print a payment or a refund."""
    if output.as_json:
        output.json(found)
        return
    output.line(sentence)
    output.pairs([(name, found.get(name)) for name in ("amount", "currency", "gateway_reference", "failure_code")])


@contextmanager
def _repeatable(output: Output, name: str) -> Iterator[None]:
    """Print the id if the outcome stays unknown: without it, a repeat would move the money twice."""
    unknown = f"It may have been accepted. Repeat the command with --id {name}"
    try:
        yield
    except requests.RequestException as error:
        raise LocalError(f"The API did not answer. {unknown}") from error
    except RefusedError as error:
        if error.status in BUSY or error.status >= _SERVER_ERROR:
            raise RefusedError(f"{error}\n  {unknown}", error.status) from error
        raise
    except KeyboardInterrupt:
        output.progress.line(unknown, style="yellow")
        raise


def _member(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"--metadata takes NAME=VALUE, not {text!r}")
    return name, value


def _outcome(deployment: target.Target, output: Output, path: str, seconds: float) -> dict[str, Any]:
    """Read a payment or a refund until it is final or the time is over."""
    deadline = time.monotonic() + seconds
    pause = _FASTEST_SECONDS
    with output.progress.step(f"Waiting for {path}") as step:
        while True:
            said = payload(deployment.api, retrying(lambda: deployment.api.request("GET", path), seconds))
            if said["status"] not in OPEN or time.monotonic() + pause > deadline:
                step.result = str(said["status"])
                return said
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST_SECONDS)


def show(
    transaction_id: TransactionId,
    env: Environment = LOCAL,
    logs: Annotated[bool, typer.Option("--logs/--no-logs", help="Include the functions' log lines.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show a payment, its refunds and its log lines."""
    output, deployment = Output(as_json), target.resolve(env)
    payment = payload(
        deployment.api,
        retrying(lambda: deployment.api.request("GET", f"/payments/{quote(transaction_id, safe='')}"), PATIENCE),
    )
    steps = timeline.of_payment(payment)
    missing: list[str] = []
    if logs:
        with output.progress.step("Reading the logs") as reading:
            logged, missing = timeline.of_logs(deployment.stack, transaction_id, payment["created_at"])
            reading.result = f"{len(logged)} log lines"
        steps += logged
    steps = timeline.in_order(steps)
    if as_json:
        output.json({"payment": payment, "timeline": [asdict(step) for step in steps], "unread": missing})
        return
    output.pairs(
        [(name, value) for name, value in payment.items() if name not in {"refunds", "metadata"}]
        + [(f"metadata {name}", value) for name, value in payment.get("metadata", {}).items()]
    )
    output.line()
    output.table(
        ("time", "where", "what", "detail"), [(step.time, step.where, step.what, step.detail) for step in steps]
    )
    for why in missing:
        output.progress.line(printable(why), style="yellow")


def list_payments(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The customer's id.")],
    limit: Annotated[int, typer.Option(min=1, help="The most to show.")] = 20,
    env: Environment = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List a customer's payments, newest first."""
    output, deployment = Output(as_json), target.resolve(env)
    found: list[dict[str, Any]] = []
    token: str | None = None
    with output.progress.step(f"Reading the payments of {printable(customer_id)}") as step:
        while len(found) < limit:
            query: dict[str, Any] = {"limit": min(_PAGE, limit - len(found))} | ({"next_token": token} if token else {})
            path = f"/customers/{quote(customer_id, safe='')}/payments?{urlencode(query)}"
            page = payload(deployment.api, retrying(partial(deployment.api.request, "GET", path), PATIENCE))
            found += page["payments"]
            token = page.get("next_token")
            step.progress(len(found), limit)
            if token is None:
                break
        step.result = f"{len(found)} payments" + ("; use --limit to see more" if token else "")
    if as_json:
        output.json({"payments": found, "more": token is not None})
    else:
        output.table(COLUMNS, map(_row, found))


def _row(payment: dict[str, Any]) -> list[object]:
    shown = {**payment, "detail": payment.get("failure_code") or payment.get("gateway_reference")}
    if payment.get("amount_refunded"):
        shown["detail"] = f"{payment['amount_refunded']} refunded"
    return [shown.get(column) for column in COLUMNS]


def watch(
    customer: Annotated[str | None, typer.Option(help="Only this customer's payments.")] = None,
    since_start: Annotated[bool, typer.Option("--all", help="Start with the last 24 hours.")] = False,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="Stop after this many seconds.")] = None,
    env: Environment = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Watch payments change, until Ctrl-C. With --json, one line for each change."""
    output, deployment = Output(as_json), target.resolve(env)
    feed = Feed(deployment.stack, "TRIM_HORIZON" if since_start else "LATEST")
    live_table = output.console.is_terminal and not as_json
    payments: OrderedDict[str, dict[str, Any]] = OrderedDict()
    deadline = None if seconds is None else time.monotonic() + seconds
    if not live_table and not as_json:
        output.line("  ".join(COLUMNS))

    def changes() -> list[dict[str, Any]]:
        views = (view_of(record) for record in feed.poll())
        return [view for view in views if view and (customer is None or view["customer_id"] == customer)]

    with Live(console=output.console, auto_refresh=False, transient=False) if live_table else _NoLive() as live:
        while True:
            for view in changes():
                payments[view["transaction_id"]] = view
                payments.move_to_end(view["transaction_id"], last=False)
                if as_json:
                    output.json_line(view)
                elif not live_table:
                    output.line("  ".join(printable(value) for value in _row(view)))
            while len(payments) > _SHOWN_IN_WATCH:
                payments.popitem()
            live.update(table(COLUMNS, [_row(view) for view in payments.values()]), refresh=True)
            if deadline is not None and time.monotonic() >= deadline:
                return
            time.sleep(POLL_SECONDS)


class _NoLive:
    """Stands in for rich's Live where the output is no terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, _shown: object, *, refresh: bool) -> None:
        """Draw nothing."""


def refund(
    transaction_id: TransactionId,
    amount: Annotated[str | None, typer.Option(help="How much. Default: the remainder.")] = None,
    refund_id: Annotated[str | None, typer.Option("--id", help="The refund's id. Default: a new one.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why the money is refunded.")] = None,
    timeout: Seconds = 60,
    env: Environment = LOCAL,
    wait: Wait = True,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Refund a payment, in part or in full. It is safe to repeat with the same --id."""
    output, deployment = Output(as_json), target.resolve(env)
    name = refund_id or _new_id()
    if not deployment.is_local:
        ask(f"Refund {amount or 'the remainder'} of {transaction_id} in {env}?", yes=yes)
    body = _without_none(refund_id=name, amount=amount, reason=reason)
    path = quote(transaction_id, safe="")
    with _repeatable(output, name):
        found = payload(deployment.api, retrying(lambda: deployment.api.refund(path, body), timeout))
        if wait:
            found = _outcome(deployment, output, f"/payments/{path}/refunds/{quote(name, safe='')}", timeout)
    _print_outcome(output, found, f"refund {name} of {transaction_id} is {found['status']}")
    return BAD if wait and found["status"] != "processed" else 0
