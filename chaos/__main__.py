"""``python -m chaos``: deploy a stack, send load under faults, audit; exit status 1 if the audit finds anything."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from chaos.proxy import Proxy
from chaos.run import REFUNDED_SHARE, Size, SystemUnderTest, run, zeros
from local import ROOT, LocalError
from local.server import EmbeddedAWS
from ops import interrupt, running
from ops.client import Api, create_client
from ops.display import Step

REPORT = ROOT / "build" / "chaos.json"
console = Console()


def main(
    payments: Annotated[int, typer.Option(min=1, help="How many payments to post.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The seed that decides which faults occur, and when.")] = 7,
) -> None:
    """Deploy a separate stack, post payments and refunds under faults, let it settle, and audit it."""
    try:
        with tempfile.TemporaryDirectory(prefix="payments-chaos-") as folder:
            report = _run(Path(folder), Size(payments, seed))
    except LocalError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from error
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _show(report)
    wrong = zeros(report)
    if wrong:
        console.print(f"[red]These counts must be 0: {wrong}[/]")
    raise typer.Exit(1 if wrong else 0)


def _run(folder: Path, size: Size) -> dict[str, Any]:
    place = running.Place(folder)
    with Proxy(folder) as proxy, EmbeddedAWS(folder, persist=True, functions_endpoint=proxy.url) as embedded:
        proxy.start(embedded.url, size.seed)
        stack = running.deploy(running.terraform(place, embedded.url), embedded.url, Step("Deploying"))
        api = Api(stack.api_url, stack.region, create_client(stack), stack.trusted)
        with Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        ) as progress:
            totals = {"posted": size.payments, "refunded": None, "final": size.payments}
            tasks = {name: progress.add_task(name, total=total) for name, total in totals.items()}
            target = SystemUnderTest(stack, api, proxy, embedded)
            report, findings = run(target, size, lambda name, done: progress.advance(tasks[name], done))
    for name, found in vars(findings).items():
        if found:
            console.print(f"[red]{name}[/]: {sorted(found)[:20]}")
    return report


def _show(report: dict[str, Any]) -> None:
    table = Table("what", "how many", title=f"{report['payments']} payments, seed {report['seed']}")
    for name, value in report.items():
        if isinstance(value, dict):
            for kind, count in value.items():
                table.add_row(f"  {name}: {kind}", str(count))
        else:
            table.add_row(name, str(value))
    console.print(table)
    console.print(
        f"{REPORT.relative_to(ROOT)} (one payment in {round(1 / REFUNDED_SHARE)} is refunded, in part or in full)"
    )


if __name__ == "__main__":
    # After an early Ctrl-C there is nothing to stop. From here on there is.
    interrupt.install()
    typer.run(main)
