"""Stripe: cancel what an earlier version left payable."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from local import LocalError
from local.environments import LOCAL
from ops import fake_stripe, running, target
from ops.commands.options import BAD, AsJson, Environment, Yes, ask
from ops.output import Output
from payments.domain.errors import PoisonError, UnavailableError
from payments.domain.lifecycle import Status
from payments.gateways.port import Approved, Pending
from payments.runtime.secrets import Secret
from payments.runtime.telemetry import logger
from payments.table.items import from_item
from payments.usecases.charge import request_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack
    from payments.gateways.stripe.gateway import StripeGateway

app = typer.Typer(no_args_is_help=True, help="Stripe: cancel declined charges that can still be paid.")

# How many items of the table one call reads at most.
_PAGE = 200
_SECONDS = 20.0
_SECRET_TTL_SECONDS = 300
# The start of the secret's name; the environment's suffix follows.
_SECRET_PREFIX = "payment-stripe-key-"  # noqa: S105 - a name


class Verdict(StrEnum):
    """The state of a failed payment at Stripe."""

    NOTHING_LEFT = "nothing left to pay"
    PAYABLE = "can still be paid"
    CANCELED = "canceled"
    NOT_CANCELED = "still with the bank, or not canceled"
    PAID = "paid: refund it at Stripe"
    UNANSWERED = "not answered"
    UNREADABLE = "not a payment"


# The verdicts that leave something to a person, or to another run.
_UNDONE = frozenset({Verdict.NOT_CANCELED, Verdict.PAID, Verdict.UNANSWERED, Verdict.UNREADABLE})


class Examined(NamedTuple):
    """A failed payment and its verdict."""

    transaction_id: str
    verdict: Verdict
    detail: str = ""


def add_to(parent: typer.Typer) -> None:
    """Register the commands."""
    parent.add_typer(app, name="stripe")


@app.callback()
def _group() -> None:
    """Keep the group: without a callback, typer would drop the only command's name."""


@app.command("cancel-declined")
def cancel_declined(
    apply: Annotated[bool, typer.Option("--apply", help="Cancel them. Without it, they are only reported.")] = False,
    after: Annotated[
        str | None, typer.Option(metavar="TRANSACTION_ID", help="Continue after the payment where a run has stopped.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=20, help="How many payments a second to look up at most.")] = 5,
    env: Environment = LOCAL,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Find failed payments whose PaymentIntents can still be paid, and cancel those.

    Versions before declines were canceled have left such PaymentIntents. It is safe to repeat, and needs the right to
    read the table and the secret with Stripe's key. Exit status 3 if something is left to do, or was paid.
    """
    output, deployment = Output(as_json), target.resolve(env)
    if deployment.stack.gateway["name"] != "stripe":
        raise LocalError("This deployment does not charge through Stripe, so there is nothing to cancel.")
    if apply and not deployment.is_local:
        ask(f"Cancel the declined PaymentIntents of {env} that can still be paid?", yes=yes)
    run = _Run(_gateway(deployment.stack), apply, after)
    with output.progress.step("Asking Stripe about failed payments") as step, _silent():
        try:
            for item in _at_most(rate, _failed(deployment.stack, after)):
                run.examine(item)
                step.progress(run.counts.total(), 0)
        except BaseException:
            if run.after is not None:
                output.progress.line(f"Stopped. To continue: --after {run.after}")
            raise
        finally:
            step.result = ", ".join(f"{n} {verdict}" for verdict, n in run.counts.items()) or "no failed payments"
            run.report(output)
    undone = _UNDONE | (set() if apply else {Verdict.PAYABLE})
    return BAD if undone & run.counts.keys() else 0


@dataclass
class _Run:
    """What a run has found, and the last payment that it has examined."""

    gateway: StripeGateway
    apply: bool
    after: str | None
    counts: Counter[Verdict] = field(default_factory=Counter)
    found: list[Examined] = field(default_factory=list)

    def examine(self, item: dict[str, Any]) -> None:
        one = _examine(self.gateway, item, apply=self.apply)
        self.counts[one.verdict] += 1
        self.after = one.transaction_id
        if one.verdict is not Verdict.NOTHING_LEFT:
            self.found.append(one)

    def report(self, output: Output) -> None:
        if output.as_json:
            payments = [one._asdict() for one in self.found]
            output.json({"apply": self.apply, "after": self.after, "counts": self.counts, "payments": payments})
        elif self.found:
            output.table(Examined._fields, self.found)


def _gateway(stack: Stack) -> StripeGateway:
    # Its package takes longer to import than all the other commands together.
    from payments.gateways.stripe.gateway import StripeGateway  # noqa: PLC0415

    name = str(stack.gateway["secret_names"]["key"])
    key = Secret(stack.client("secretsmanager"), name, str.strip, _SECRET_TTL_SECONDS)
    fake = fake_stripe.recorded(running.Place().folder) if stack.endpoint else None
    address = os.environ.get("STRIPE_ADDRESS") or (fake.address if fake else None)
    return StripeGateway(key, name.removeprefix(_SECRET_PREFIX), _SECONDS, address)


def _failed(stack: Stack, after: str | None) -> Iterator[dict[str, Any]]:
    """Yield the items of the failed payments, in the table's own order, which no change of an item changes."""
    request: dict[str, Any] = {
        "TableName": stack.outputs["dynamodb_table_name"],
        "FilterExpression": "#status = :failed",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":failed": {"S": Status.FAILED}},
        "Limit": _PAGE,
    }
    if after is not None:
        request["ExclusiveStartKey"] = {"transaction_id": {"S": after}}
    while True:
        page = stack.dynamodb.scan(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _at_most(rate: float, items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield items, as many a second at most."""
    for item in items:
        started = time.monotonic()
        yield item
        time.sleep(max(0.0, started + 1 / rate - time.monotonic()))


def _examine(gateway: StripeGateway, item: dict[str, Any], *, apply: bool) -> Examined:
    name = item["transaction_id"]["S"]
    try:
        charge = request_of(from_item(item), None)
        outcomes = gateway.abandon(charge, cancel=False)  # type: ignore[arg-type]
        payable = any(isinstance(outcome, Pending) for outcome in outcomes)
        if payable and apply:
            outcomes = gateway.abandon(charge, cancel=True)  # type: ignore[arg-type]
    except PoisonError as error:
        return Examined(name, Verdict.UNREADABLE, str(error))
    except UnavailableError as error:
        return Examined(name, Verdict.UNANSWERED, str(error))
    paid = [outcome.reference for outcome in outcomes if isinstance(outcome, Approved)]
    waiting = [outcome.reference for outcome in outcomes if isinstance(outcome, Pending)]
    if paid:
        return Examined(name, Verdict.PAID, " ".join(paid))
    if waiting:
        return Examined(name, Verdict.NOT_CANCELED if apply else Verdict.PAYABLE, " ".join(waiting))
    return Examined(name, Verdict.CANCELED if payable else Verdict.NOTHING_LEFT)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the functions' log lines out of standard output. What they say is in the verdicts."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)
