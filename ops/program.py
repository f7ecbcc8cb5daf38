"""The command line: every command, and how it ends."""

from __future__ import annotations

import os
import sys
import tomllib
from typing import Annotated

import typer
from rich.console import Console

from local import ROOT, LocalError
from ops import interrupt
from ops.commands import backups, dead_letters, health, payments, stack, stripe, tools, webhooks
from ops.commands.examples import add_examples
from ops.display import Display
from ops.failures import explain

HELP = """Inspect, run and repair a payments deployment.

Exit status: 0 success; 1 error, explained in the last line; 2 wrong usage; 3 success with bad news (a payment failed,
doctor found a problem); 130 interrupted.
"""

app = typer.Typer(
    no_args_is_help=True,
    help=HELP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (payments, dead_letters, health, backups, webhooks, stripe, tools, stack):
    commands.add_to(app)
add_examples(app)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's
    if asked:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        sys.stdout.write(f"payments {project['version']}\n")
        raise typer.Exit


@app.callback()
def _options(
    _asked: Annotated[  # noqa: FBT002 - typer's
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """Take what stands before a command."""


def run() -> int:
    """Run a command; return the process's exit status."""
    display = Display(Console(stderr=True))
    try:
        interrupt.install()
        status = app(standalone_mode=False, prog_name="payments")
    except LocalError as error:
        display.line(str(error), style="red")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        show = getattr(error, "show", None)
        if show is not None:
            show()
            return int(getattr(error, "exit_code", 2))
        if os.environ.get("PAYMENTS_DEBUG"):
            raise
        display.line(explain(error), style="red")
        return 1
    return int(status or 0)
