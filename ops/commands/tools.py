"""Tools: the console in a browser, and completion for a shell."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from ops import running, target
from ops.console.server import serve
from ops.output import Output

CONSOLE_PORT = 4580


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (console, completion):
        app.command()(command)


def console(
    port: Annotated[
        int,
        typer.Option(envvar="CONSOLE_PORT", min=0, max=65535, help="The page's port. 0: any free one."),
    ] = CONSOLE_PORT,
) -> None:
    """Show the local stack in a browser, until Ctrl-C. The page is served on loopback only."""
    output = Output()
    deployment = target.local_target(running.Place())
    # Ctrl-C is how it ends.
    with suppress(KeyboardInterrupt), serve(deployment, port) as (url, wait):
        output.line(f"Console   {url}", style="bold")
        output.line("Press Ctrl-C to stop.")
        wait()


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")],
) -> None:
    """Print a shell's completion script. Use: eval "$(payments completion bash)"."""
    Output().console.out(
        get_completion_script(prog_name="payments", complete_var="_PAYMENTS_COMPLETE", shell=shell), highlight=False
    )
