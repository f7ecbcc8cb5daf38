"""The command line: ``python -m bench run`` measures, ``python -m bench cost`` calculates the bill. See ``--help``."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench import coldstart, cost, load, offline, package, report, texts
from bench.stack import deployed
from local import ROOT, LocalError
from ops import interrupt
from ops.display import Display

if TYPE_CHECKING:
    from bench.load import Measured
    from bench.stack import Bench

PARTS = ("package", "start", "work", "texts", "load")
# Fewer payments say little about the cost of one: the clock that counts a process's time ticks every 10 ms.
PROBE = 500
_WARM_UP = 100

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def run(
    payments: Annotated[str, typer.Option(help="How many payments the table holds at each stage.")] = "1000,10000",
    clients: Annotated[int, typer.Option(min=1, help="How many clients post at once.")] = 8,
    pairs: Annotated[int, typer.Option(min=3, help="How many starts of each function.")] = 15,
    parts: Annotated[str, typer.Option(help="What to measure.")] = ",".join(PARTS),
) -> None:
    """Measure, and write build/bench.json and docs/performance.md."""
    display = Display(Console(stderr=True))
    wanted = parts.split(",")
    if not set(wanted) <= set(PARTS):
        raise LocalError(f"--parts must be among {', '.join(PARTS)}")
    sizes = sorted({int(size) for size in payments.split(",")})
    found: dict[str, Any] = {}
    if "package" in wanted:
        found["package"] = package.measure()._asdict()
    if "start" in wanted:
        with display.step(f"Starting each function and the baseline {pairs} times"):
            found |= _starts(pairs)
    if "work" in wanted:
        with display.step("Measuring the functions' own work"):
            found |= _work()
    if "texts" in wanted:
        with display.step("Checking short and long texts, wherever text is checked"):
            found["texts"] = texts.measure()
    if "load" in wanted:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found |= _load(Path(folder), sizes, clients, display)
    report.write(found)
    display.line(f"Written: {report.JSON.name}, {report.PAGE.name}")


def _starts(pairs: int) -> dict[str, Any]:
    places = coldstart.prepare()
    shipped = coldstart.measure(max(3, pairs // 2), compiled=False, functions=("validator", "processor"))
    return {
        "cold_start": {name: start._asdict() for name, start in coldstart.measure(pairs).items()},
        "cold_start_as_shipped": {name: start._asdict() for name, start in shipped.items()},
        "start_profile": {name: coldstart.profile(name, places) for name in ("validator", "processor")},
    }


def _work() -> dict[str, Any]:
    work = {name: offline.measure(name) for name in offline.WAY}
    return {
        "batch_ratio": offline.batch_ratio(),
        "work": {
            name: {
                "cpu_ms": each.cpu_ms,
                "calls": each.calls.total,
                "own_calls": each.calls.own,
                "parts": dict(each.top),
            }
            for name, each in work.items()
        },
    }


def _load(folder: Path, sizes: list[int], clients: int, display: Display) -> dict[str, Any]:
    with ExitStack() as stack:
        with display.step("Deploying") as step:
            bench = stack.enter_context(deployed(folder, step))
        with display.step("Warming up"):
            load.work_off(bench, _WARM_UP, clients)
        with display.step("Processing a backlog in full batches"):
            full = load.work_off_backlog(bench, 200, clients)
        stages, measured = [], []
        paid = _WARM_UP + full.payments
        for size in sizes:
            with display.step(f"{size} payments") as step:
                stage = _stage(bench, size, paid, clients)
                paid = size
                measured.append(stage)
                stages.append(_figures(bench, size, stage))
                step.result = f"{size} payments, the last {stage.payments} at {stages[-1]['throughput']:.0f} a second"
        statuses = load.in_table(bench)
        if statuses != {"processed": paid}:
            raise LocalError(f"not every payment was processed: {statuses}")
    last = measured[-1]
    return {
        "calls_per_payment": full.calls_per_payment,
        "calls": {"full_batches": full.calls, "as_they_come": last.calls},
        "throughput": last.payments / last.seconds,
        "accept_ms": {
            "median": last.accept_ms[len(last.accept_ms) // 2],
            "p99": last.accept_ms[-len(last.accept_ms) // 100],
        },
        "growth": {"ratio": last.cost / measured[0].cost, "stages": stages},
    }


def _stage(bench: Bench, size: int, paid: int, clients: int) -> Measured:
    """Fill the table up to a size, and measure the last PROBE payments."""
    fill = size - paid - PROBE
    if fill < 0:
        raise LocalError(f"each stage needs {PROBE} payments more than the last: here {paid + PROBE} or more")
    if fill:
        load.work_off(bench, fill, clients)
    return load.work_off(bench, PROBE, clients)


def _figures(bench: Bench, size: int, stage: Measured) -> dict[str, Any]:
    return {
        "payments": size,
        "throughput": stage.payments / stage.seconds,
        "functions_cpu_ms": stage.functions_cpu_ms,
        "server_cpu_ms": stage.cpu_ms["server"],
        "client_cpu_ms": stage.client_cpu_ms,
        "calls": stage.calls_per_payment,
        "memory_mb": {name: process.memory_mb for name, process in bench.processes().items()},
    }


@app.command("cost")
def reckon(
    env: Annotated[str, typer.Option(help="An environment: dev or prod.")] = "prod",
    volume: Annotated[int, typer.Option(min=0, help="Payments in a month.")] = cost.MILLION,
    region: Annotated[str, typer.Option(help="A region of bench/prices.toml.")] = "ap-southeast-1",
    *,
    write: Annotated[bool, typer.Option("--write", help="Refresh docs/cost.md, for dev and prod.")] = False,
) -> None:
    """Calculate a month's bill, compare it with the usual design's, and show what each lever changes."""
    if write:
        report.write_cost()
        return
    display = Display()
    found = cost.compare(env, region, volume)
    display.line(f"{env}, {region}, US dollars", style="bold")
    for name, ours, usual in [("", "ours", "usual"), *cost.rows(found)]:
        display.line(f"{name:<46} {ours:>12} {usual:>12}")
    display.line("What a lever changes", style="bold")
    for name, dollars in cost.levers(env, region, volume).items():
        display.line(f"{name:<46} {dollars:>+12.2f}")


def main() -> int:
    """Run a command; return the process's exit status."""
    # The functions' package is not installed: Lambda also finds it by its folder.
    sys.path.insert(0, str(ROOT / "src"))
    try:
        interrupt.install()
        status = app(standalone_mode=False, prog_name="python -m bench")
    except LocalError as error:
        Display(Console(stderr=True)).line(str(error), style="red")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return int(status or 0)


if __name__ == "__main__":
    sys.exit(main())
