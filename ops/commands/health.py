"""Health: check a deployment, and finish payments that are stuck."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from local import LocalError
from local.environments import LOCAL
from ops import target
from ops.commands.options import BAD, AsJson, Environment, Yes, ask
from ops.dead_letters import call
from ops.doctor import NO_AWS, examine, until_aliases_hold
from ops.failures import explain
from ops.output import Output
from payments.domain.ids import TRANSACTION_ID

# How many payments one call checks within its time-out.
_IDS = 100
# A call that runs out of time is followed by another, as long as it makes progress.
_CALLS = 100
_DIFFERENCE = ("kind", "transaction_id", "refund_id", "gateway_reference", "at_gateway", "in_table")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, reconcile, compare):
        app.command()(command)


def doctor(env: Environment = LOCAL, as_json: AsJson = False) -> int:
    """Check a deployment: outputs, permissions, functions and what feeds them, backlog, dead letters, alarms.

    It changes nothing. Exit status 3 if a check failed.
    """
    output, deployment = Output(as_json), target.resolve(env)
    with output.progress.step(f"Checking {env}") as step:
        findings = examine(deployment, step.progress)
        failed = {finding.check for finding in findings if finding.verdict == "fail"}
        if failed - {NO_AWS} and _waited_for_aliases(deployment, output):
            findings = examine(deployment, step.progress)
        counts = Counter[str](finding.verdict for finding in findings)
        step.result = f"{len(findings)} checks, {_verdicts(counts)}"
    if as_json:
        output.json({"env": env, "findings": [asdict(finding) for finding in findings]})
    else:
        output.table(
            ("", "check", "found", "what to do"),
            [(finding.verdict, finding.check, finding.detail, finding.remedy) for finding in findings],
        )
    return BAD if counts["fail"] else 0


def _waited_for_aliases(deployment: target.Target, output: Output) -> bool:
    """Wait until a new alias of a key is surely in force; say whether there was anything to wait for."""
    try:
        wait = until_aliases_hold(deployment).total_seconds()
    except (ClientError, BotoCoreError) as error:
        output.progress.line(
            f"Whether an alias of a key has just changed is not known: {explain(error)}", style="yellow"
        )
        return False
    if wait:
        output.progress.line(
            f"An alias of a key changed less than five minutes ago. AWS may refuse calls until that has taken effect. "
            f"Waiting {wait:.0f} s, then checking again.",
            style="yellow",
        )
        time.sleep(wait)
    return wait > 0


def _verdicts(counts: Counter[str]) -> str:
    if not counts["fail"] and not counts["warn"]:
        return "all OK"
    warnings = f"{counts['warn']} warning{'' if counts['warn'] == 1 else 's'}"
    return f"{counts['fail']} failed, {warnings}"


def reconcile(
    transaction_ids: Annotated[list[str] | None, typer.Argument(help="Only these payments.")] = None,
    older_than: Annotated[
        int | None,
        typer.Option(min=0, metavar="SECONDS", help="Payments open for this long. Default: as deployed."),
    ] = None,
    env: Environment = LOCAL,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Ask the gateway about payments that are not final, then finish or retry them.

    It guesses nothing and charges nothing twice. Exit status 3 if some were not reconciled, 1 if an id is unknown.
    """
    output, deployment = Output(as_json), target.resolve(env)
    ids = transaction_ids or []
    wrong = [one for one in ids if not TRANSACTION_ID.fullmatch(one)]
    if wrong:
        raise typer.BadParameter(f"not a payment id: {', '.join(wrong)}")
    if ids and older_than is not None:
        raise typer.BadParameter("give either ids or --older-than")
    if not deployment.is_local:
        ask(f"Reconcile {len(ids) or 'all open'} payments in {env}?", yes=yes)
    events: list[dict[str, Any]] = [{"transaction_ids": ids[at : at + _IDS]} for at in range(0, len(ids), _IDS)]
    if not ids:
        events = [{} if older_than is None else {"older_than_seconds": older_than}]
    counts: Counter[str] = Counter()
    with output.progress.step("Asking the gateway") as step:
        for number, event in enumerate(events):
            counts += _until_done(deployment, event)
            step.progress(number + 1, len(events))
        step.result = ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing to do"
    if as_json:
        output.json(counts)
    else:
        output.line(step.result)
    if counts["missing"]:
        raise LocalError(f"{counts['missing']} of {len(ids)} ids belong to no payment in {env}: {', '.join(ids)}")
    return BAD if counts["failed"] or counts["unanswered"] or counts["left"] else 0


def compare(
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day, in UTC. Default: yesterday.")
    ] = None,
    env: Environment = LOCAL,
    as_json: AsJson = False,
) -> int:
    """Compare a day of the gateway's records with the payments, and announce each difference. It changes no payment.

    Exit status 3 if there is a difference.
    """
    output, deployment = Output(as_json), target.resolve(env)
    comparer = deployment.stack.gateway["comparer_function_name"]
    if comparer is None:
        raise LocalError("This deployment's gateway has no records to compare.")
    with output.progress.step("Comparing with the gateway") as step:
        event = {} if day is None else {"day": day.date().isoformat()}
        came = call(deployment.stack, comparer, event)
        step.result = f"{came['day']}: {came['compared']} compared, {len(came['differences'])} differences"
    if as_json:
        output.json(came)
    else:
        output.line(step.result)
        if came["differences"]:
            output.table(_DIFFERENCE, [[one.get(name) for name in _DIFFERENCE] for one in came["differences"]])
    return BAD if came["differences"] else 0


def _until_done(deployment: target.Target, event: dict[str, Any]) -> Counter[str]:
    """Call the reconciler until it leaves no payment for lack of time, or makes no progress."""
    counts: Counter[str] = Counter()
    for _ in range(_CALLS):
        came = Counter(call(deployment.stack, deployment.stack.outputs["reconciler_function_name"], event))
        left = came.pop("left", 0)
        counts += came
        if not left or not (came["settled"] or came["redriven"] or came["closed"]):
            counts["left"] = left
            break
    return +counts
