"""The stack: up, down, deploy, plan, outputs."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from local import LocalError, layer
from local.environments import LOCAL, check_variables
from ops import fake_stripe, interrupt, running
from ops.client import Api
from ops.commands.options import Environment, Yes, ask, refuse_unasked
from ops.display import Display
from ops.inbox import Inbox
from ops.payment import follow, methods_of, new_payment
from ops.target import account_terraform
from payments.gateways import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.running import Place
    from ops.stack import Stack
    from ops.terraform import Plan, Terraform

DEFAULT_PORT = 4566
_OR = " or "


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (up, down, deploy, plan, outputs):
        app.command(rich_help_panel="The stack")(command)


def up(
    port: Annotated[
        int | None,
        typer.Option(
            envvar="PORT",
            min=1,
            max=65535,
            help=f"The embedded AWS's port. Default: the local stack's, or {DEFAULT_PORT}.",
        ),
    ] = None,
    gateway: Annotated[
        str,
        typer.Option(
            envvar="GATEWAY",
            help=f"{_OR.join(registry.names())} (stripe is a fake one). Default: the running stack's.",
        ),
    ] = "",
) -> None:
    """Start the embedded AWS, deploy the stack, send a payment and follow it."""
    place, display = running.Place(), Display()
    with running.only_one():
        # Everything that can be refused is refused before anything starts.
        check_variables(LOCAL)
        chosen, name = _chosen_port(place, port), _chosen_gateway(place, gateway)
        layer.build_all(LOCAL)
        bringing = running.bring_up_server(place, chosen, display)
        started = False
        try:
            running.choose_gateway(place, name)
            if name == fake_stripe.NAME:
                fake, started = fake_stripe.bring_up(place.folder)
                display.line(f"The fake Stripe {'is running' if started else 'is already running'}: {fake.address}")
            _bring_up(place, bringing.url, display)
        except BaseException as error:
            with interrupt.shield():
                if started:
                    fake_stripe.stop(place.folder)
                _take_back(place, bringing, display, interrupted=isinstance(error, KeyboardInterrupt))
            raise


def _chosen_port(place: Place, port: int | None) -> int:
    """Return the embedded AWS's port: the requested one, unless the local stack has another."""
    server = running.recorded(place)
    if server is None:
        return port or DEFAULT_PORT
    if port not in {None, server.port}:
        raise LocalError(f"the local stack uses port {server.port}. To move it, remove it first: make down")
    return server.port


def _chosen_gateway(place: Place, gateway: str) -> str:
    """Return the name of the stack's gateway: the requested one, or the one that it has."""
    known = registry.names()
    if gateway not in {"", *known}:
        raise LocalError(f"GATEWAY must be {_OR.join(known)}, not {gateway!r}")
    before = running.gateway(place)
    if gateway and place.state.exists() and before != gateway:
        raise LocalError(f"the local stack does not use the gateway {gateway}. Remove it first: make down")
    return gateway or before


def _bring_up(place: Place, url: str, display: Display) -> None:
    with display.step("Deploying") as step:
        stack = running.deploy(running.terraform(place, url), url, step)
    if stack.gateway["name"] == fake_stripe.NAME:
        fake_stripe.introduce(place.folder, stack)
    show(place, stack, url, display)


def show(place: Place, stack: Stack, url: str, display: Display) -> None:
    """Send a payment through a stack that was just deployed, show its way, and say what to do next.

    Without a payment if nothing says which payment methods the gateway accepts.
    """
    keys = running.client_keys(place, stack)
    running.write_shell_variables(place, running.shell_variables(stack, keys, url))
    display.line()
    method = next(iter(methods_of(stack)), None)
    if method is None:
        transaction_id = "TRANSACTION_ID"
        _say_what_it_needs(stack, display)
    else:
        payment = new_payment(payment_method=method)
        transaction_id = payment["transaction_id"]
        display.line(f"A payment: {payment['amount']} {payment['currency']}, {transaction_id}", style="bold")
        with Inbox(stack) as inbox:
            for milestone in follow(Api(stack.api_url, stack.region, keys, stack.trusted), inbox, payment):
                display.milestone(milestone.seconds, f"{milestone.what:<10} {milestone.detail}")
    display.line()
    _say_what_next(stack, url, transaction_id, display)


def _say_what_it_needs(stack: Stack, display: Display) -> None:
    name = stack.gateway["name"]
    display.line(f"No payment was sent: nothing says which payment methods {name} accepts.")
    for secret in stack.gateway["secret_names"].values():
        display.line(f"{name} needs: aws secretsmanager put-secret-value --secret-id {secret} --secret-string VALUE")


def _say_what_next(stack: Stack, url: str, transaction_id: str, display: Display) -> None:
    display.line(f"API       {stack.api_url}")
    display.line(f"AWS       {url}")
    display.line("Next", style="bold")
    display.line("  . .local/env       point AWS tools at this stack")
    display.line('  curl --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" \\')
    display.line('       --user "$PAYMENTS_CLIENT_ACCESS_KEY_ID:$PAYMENTS_CLIENT_SECRET_ACCESS_KEY" \\')
    display.line(f'       "$API_URL/payments/{transaction_id}"')
    display.line("  make outputs       print the stack's outputs as JSON")
    display.line("  make down          stop it and remove its state")


def _take_back(place: Place, bringing: running.Bringing, display: Display, *, interrupted: bool) -> None:
    """Leave nothing running that this run has started."""
    if bringing.started is None:
        if interrupted:
            display.line("Stopped. The embedded AWS was running before and still is. make up continues from here.")
        return
    # A Terraform that had to be killed has left a state that cannot be trusted.
    if place.applying.exists():
        running.remove(place)
    else:
        bringing.started.stop()
    if interrupted:
        display.line("Stopped. Nothing is left running.")


def down() -> None:
    """Stop the embedded AWS and remove the local stack's state."""
    with running.only_one():
        existed = running.remove(running.Place())
    Display().line("Removed the local stack." if existed else "There is no local stack.")


def deploy(env: Environment, yes: Yes = False) -> None:
    """Deploy an environment to the AWS account of the current credentials.

    It shows Terraform's plan and asks. Without a terminal it needs --yes.
    """
    refuse_unasked(f"Deploy {env}?", yes=yes)
    terraform, display = _prepared(env, account_terraform)
    with _kept(terraform) as plan:
        _show_plan(terraform, plan, display)
        if not plan.changes:
            return
        ask(f"Apply this plan to {os.environ.get('AWS_ENDPOINT_URL') or 'the AWS account'}?", yes=yes)
        with display.step(f"Deploying {env}") as step:
            step.result = running.summary_of(terraform.apply(step.progress, plan))


@contextmanager
def _kept(terraform: Terraform) -> Iterator[Plan]:
    """Plan; once more if the plan would replace what an interrupted deployment has tainted and must be kept."""
    with terraform.planned(_quiet) as plan:
        if not plan.to_keep:
            yield plan
            return
    terraform.keep(plan.to_keep)
    with terraform.planned(_quiet) as again:
        yield again


def plan(env: Environment = LOCAL) -> None:
    """Show what a deployment would change."""
    terraform, display = _prepared(env, _terraform)
    with terraform.planned(_quiet) as planned:
        _show_plan(terraform, planned, display)


def outputs(env: Environment = LOCAL) -> None:
    """Print the outputs as JSON."""
    found = _terraform(env).outputs_json()
    if "api_gateway_id" not in json.loads(found):
        deployed_by = "make up" if env == LOCAL else f"make deploy ENV={env}"
        raise LocalError(f"{env} is not deployed, or not from here: it has no outputs. To deploy it: {deployed_by}")
    sys.stdout.write(found)


def _quiet(_done: int, _total: int) -> None:
    """Report no progress: a plan does not know its length."""


def _prepared(env: str, terraform_of: Callable[[str], Terraform]) -> tuple[Terraform, Display]:
    """Return Terraform, ready to plan."""
    display = Display(Console(stderr=True))
    terraform = terraform_of(env)
    check_variables(env)
    layer.build_all(env)
    with display.step(f"Preparing Terraform for {env}") as step:
        terraform.init()
        step.result = "Terraform is ready"
    return terraform, display


def _show_plan(terraform: Terraform, planned: Plan, display: Display) -> None:
    """Print a plan on standard output, and its warnings on standard error."""
    terraform.show(planned)
    for warning in planned.warnings:
        display.line(f"Warning: {warning}", style="yellow")


def _terraform(env: str) -> Terraform:
    if env != LOCAL:
        return account_terraform(env)
    place = running.Place()
    return running.terraform(place, running.running_server(place).url)
