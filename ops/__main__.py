"""Inspect, run and repair a payments deployment.

Exit status: 0 success; 1 error, explained in the last line; 2 wrong usage; 3 success with bad news (a payment failed,
doctor found a problem); 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from local import LocalError
from ops import interrupt
from ops.commands import backups, dead_letters, health, payments, stack, stripe, tools, webhooks
from ops.display import Display
from ops.failures import explain

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
for commands in (payments, dead_letters, health, backups, webhooks, stripe, tools, stack):
    commands.add_to(app)


def main() -> int:
    """Run a command; return the process's exit status."""
    interrupt.install()
    display = Display(Console(stderr=True))
    try:
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


if __name__ == "__main__":
    sys.exit(main())
