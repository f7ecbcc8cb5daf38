"""The options and questions that the commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from local import LocalError

Environment = Annotated[
    str, typer.Option("--env", envvar="PAYMENTS_ENV", help="An environment: the name of a file env/NAME.tfvars.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
TransactionId = Annotated[str, typer.Argument(metavar="TRANSACTION_ID", help="The payment's id.")]

# The exit status of a command that worked and has bad news.
BAD = 3


def refuse_unasked(question: str, *, yes: bool) -> None:
    """Raise LocalError if the command must ask and there is no terminal to ask on."""
    if not yes and not sys.stdin.isatty():
        raise LocalError(f"{question} There is no terminal to ask on. Use --yes.")


def ask(question: str, *, yes: bool) -> None:
    """Continue only if the operator confirms; raises LocalError otherwise."""
    refuse_unasked(question, yes=yes)
    if not yes and not typer.confirm(question, err=True):
        raise LocalError("Cancelled. Nothing was changed.")
