"""The options and questions that the commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from local import LocalError

Environment = Annotated[
    str, typer.Option("--env", envvar="PAYMENTS_ENV", help="An environment: the name of a file env/NAME.tfvars.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
TransactionId = Annotated[str, typer.Argument(metavar="TRANSACTION_ID", help="The payment's id.")]

# The exit status of a command that worked and has bad news.
BAD = 3


def ask(question: str, *, yes: bool) -> None:
    """Go on only where the operator says so; raises LocalError otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise LocalError(f"{question} Nobody can be asked here: say --yes.")
    if not typer.confirm(question, err=True):
        raise LocalError("Nothing was done.")
