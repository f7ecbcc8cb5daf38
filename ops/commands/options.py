"""What the commands have in common: options, questions, answers."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from ops.client import Api

Environment = Annotated[
    str, typer.Option("--env", envvar="PAYMENTS_ENV", help="An environment: the name of a file env/NAME.tfvars.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
TransactionId = Annotated[str, typer.Argument(metavar="TRANSACTION_ID", help="The payment's id.")]

# What a command returns where it was done, and the answer is a bad one.
BAD = 3
_FORBIDDEN = 403
# What the API answers where it is to be asked again. It may have done what it was asked for all the same.
NOT_NOW = {429, 503}


class RefusedError(LocalError):
    """The API has refused a request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def ask(question: str, *, yes: bool) -> None:
    """Go on only where the operator says so; raises LocalError otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise LocalError(f"{question} Nobody can be asked here: say --yes.")
    if not typer.confirm(question, err=True):
        raise LocalError("Nothing was done.")


def patiently(
    call: Callable[[], requests.Response], seconds: float, pause: Callable[[float], None] = time.sleep
) -> requests.Response:
    """Repeat a call that is answered "not now", as the answer says, for so long. All our calls are safe to repeat."""
    deadline = time.monotonic() + seconds
    while True:
        answer = call()
        after = answer.headers.get("Retry-After", "")
        wait = max(float(after) if after.isdecimal() else 1.0, 0.2)
        if answer.status_code not in NOT_NOW or time.monotonic() + wait > deadline:
            return answer
        pause(wait)


def answer_of(api: Api, answer: requests.Response) -> dict[str, Any]:
    """Return what the API has answered; raises RefusedError, in the API's own words, for a refusal."""
    try:
        said = answer.json()
    except ValueError:
        said = {}
    if answer.ok and isinstance(said, dict):
        return said
    if not isinstance(said, dict):
        said = {}
    lines = [f"{answer.status_code} {said.get('title') or said.get('message') or answer.reason}"]
    if said.get("detail"):
        lines[0] += f": {said['detail']}"
    lines += [f"  {error['pointer'] or '/'} {error['detail']}" for error in said.get("errors", [])]
    if answer.headers.get("Retry-After"):
        lines.append(f"  It may be repeated in {answer.headers['Retry-After']} s.")
    if answer.status_code == _FORBIDDEN:
        who = api.keys.access_key_id if api.keys else "this caller"
        lines.append(f"  {who} may not do this: it needs execute-api:Invoke on the API.")
    if said.get("instance"):
        lines.append(f"  request {said['instance']}")
    raise RefusedError("\n".join(lines), answer.status_code)
