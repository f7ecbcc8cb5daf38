"""Backups: copy payments back from a table that was restored next to the live one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from local.environments import LOCAL
from ops import target
from ops.commands.options import BAD, AsJson, DryRun, Environment, Yes, ask
from ops.output import Output
from ops.restoring import Backup, Outcome
from payments.domain.ids import TRANSACTION_ID


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(restore)


def restore(
    transaction_ids: Annotated[list[str], typer.Argument(metavar="TRANSACTION_ID...", help="The payments' ids.")],
    backup: Annotated[str, typer.Option("--from", metavar="TABLE", help="The table that was restored from a backup.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also over an item that is in the table, unless it changes meanwhile.")
    ] = False,
    env: Environment = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Put payments back from a restored table, if the table in service does not have the id.

    Each is marked: the gateway is asked before it is charged or refunded. Exit status 3 if some were not put back.
    """
    output, deployment = Output(as_json), target.resolve(env)
    wrong = [one for one in transaction_ids if not TRANSACTION_ID.fullmatch(one)]
    if wrong:
        raise typer.BadParameter(f"not the id of a payment: {', '.join(wrong)}")
    source = Backup(deployment.stack, backup)
    if not dry_run and not deployment.is_local:
        ask(f"Restore {len(transaction_ids)} payments from {backup} in {env}?", yes=yes)
    came: dict[str, Outcome] = {}
    with output.progress.step("Restoring") as step:
        for transaction_id in transaction_ids:
            came[transaction_id] = source.restore(transaction_id, datetime.now(UTC), replace=replace, dry_run=dry_run)
            step.progress(len(came), len(transaction_ids))
        restored = sum(outcome is Outcome.RESTORED for outcome in came.values())
        step.result = f"{restored} of {len(came)}" + (" would be restored" if dry_run else " restored")
    if as_json:
        output.json({"dry_run": dry_run, "payments": came})
    else:
        output.table(("transaction_id", "would be" if dry_run else "came of it"), list(came.items()))
    return 0 if restored == len(came) else BAD
