"""Write the measurements: as JSON for programs, and as tables and a picture in docs/performance.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench import cost
from bench.picture import Bar, bars
from local import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = BUILD / "bench.json"
PAGE = ROOT / "docs" / "performance.md"
COST_PAGE = ROOT / "docs" / "cost.md"
PICTURE = ROOT / "docs" / "performance.svg"
GOALS = {
    "validator's start": 0.6,
    "every function's start": 0.75,
    "calls": 2.5,
    "batch": 1.5,
    "growth": 1.2,
    "texts": 20,
    "functions_kb": 130,
    "layer_mb": 6,
}


def write(found: dict[str, Any]) -> None:
    """Write all of it. Values that this run did not measure stay as an earlier run left them."""
    kept = json.loads(JSON.read_text(encoding="utf-8")) if JSON.exists() else {}
    whole = kept | found
    JSON.parent.mkdir(exist_ok=True)
    JSON.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        if name in whole:
            text = between(text, name, section(whole))
    PAGE.write_text(text, encoding="utf-8")
    if "cold_start" in whole:
        PICTURE.write_text(picture(whole["cold_start"]), encoding="utf-8")


def cost_page(text: str) -> str:
    """Return the cost page with current tables: a million payments a month in the default region."""
    region, volume = "ap-southeast-1", cost.MILLION
    for environment in ("dev", "prod"):
        found = cost.compare(environment, region, volume)
        text = between(text, environment, table(["US dollars", "ours", "the usual design"], cost.rows(found)))
    changes = {environment: cost.levers(environment, region, volume) for environment in ("dev", "prod")}
    rows = [[name, f"{changes['dev'][name]:+.2f}", f"{dollars:+.2f}"] for name, dollars in changes["prod"].items()]
    return between(text, "levers", table(["lever", "dev", "prod"], rows))


def write_cost() -> None:
    """Refresh the cost page."""
    COST_PAGE.write_text(cost_page(COST_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def between(text: str, name: str, content: str) -> str:
    """Return a page's text with new content between the markers of that name."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(starts: dict[str, Any]) -> str:
    """Draw each start as a share of the baseline's."""
    rows = [Bar("baseline", 1, "boto3, a resource and a client", other=True)]
    rows += [Bar(name, start["ratio"], f"{start['ratio']:.2f}") for name, start in starts.items()]
    return bars("A function's start, as a share of the baseline's", rows, GOALS["every function's start"])


def _starts(whole: dict[str, Any]) -> str:
    shipped = whole.get("cold_start_as_shipped", {})
    return table(
        ["function", "goal", "share of the baseline", "by the wall clock", "ms", "baseline ms", "without our bytecode"],
        (
            [
                name,
                GOALS["validator's start" if name == "validator" else "every function's start"],
                f"{start['ratio']:.2f}",
                f"{start['wall_ratio']:.2f}",
                f"{start['milliseconds']:.0f}",
                f"{start['baseline_milliseconds']:.0f}",
                f"{shipped[name]['ratio']:.2f}" if name in shipped else "",
            ]
            for name, start in whole["cold_start"].items()
        ),
    )


def _profile(whole: dict[str, Any]) -> str:
    owners = sorted({owner for parts in whole["start_profile"].values() for owner in parts})
    names = list(whole["start_profile"])
    shares = whole["start_profile"]
    largest_first = sorted(owners, key=lambda owner: -shares[names[0]].get(owner, 0))
    return table(
        ["package", *names],
        ([owner, *(f"{shares[name].get(owner, 0):.0%}" for name in names)] for owner in largest_first),
    )


def _calls(whole: dict[str, Any]) -> str:
    full, natural = whole["calls"]["full_batches"], whole["calls"]["as_they_come"]
    rows: list[list[object]] = [
        [name, f"{full.get(name, 0):.2f}", f"{natural.get(name, 0):.2f}"] for name in sorted({*full, *natural})
    ]
    rows.append(["all", f"{sum(full.values()):.2f} (goal {GOALS['calls']})", f"{sum(natural.values()):.2f}"])
    return table(["call", "a payment, full batches", "a payment, as they come"], rows)


def _growth(whole: dict[str, Any]) -> str:
    stages = whole["growth"]["stages"]
    functions = sorted({name for stage in stages for name in stage["memory_mb"] if name != "server"})
    return table(
        [
            "payments in the table",
            "a second",
            "functions' CPU, ms a payment",
            "server's",
            "clients'",
            "functions' in clients'",
            "calls a payment",
            "largest function process, MB",
            "server, MB",
        ],
        (
            [
                stage["payments"],
                f"{stage['throughput']:.0f}",
                f"{stage['functions_cpu_ms']:.1f}",
                f"{stage['server_cpu_ms']:.1f}",
                f"{stage['client_cpu_ms']:.1f}",
                f"{stage['functions_cpu_ms'] / stage['client_cpu_ms']:.2f}",
                f"{stage['calls']:.2f}",
                f"{max(stage['memory_mb'].get(name, 0) for name in functions):.0f}",
                f"{stage['memory_mb']['server']:.0f}",
            ]
            for stage in stages
        ),
    )


def _work(whole: dict[str, Any]) -> str:
    return table(
        ["function", "CPU, ms a payment", "Python calls a payment", "our own calls", "largest parts of the time"],
        (
            [
                name,
                f"{work['cpu_ms']:.2f}",
                f"{work['calls']:.0f}",
                f"{work['own_calls']:.0f}",
                ", ".join(f"{part} {share:.0%}" for part, share in list(work["parts"].items())[:3]),
            ]
            for name, work in whole["work"].items()
        ),
    )


def _texts(whole: dict[str, Any]) -> str:
    return table(
        ["where", "worst text", "ms for 16 KiB", "ms for 256 KiB", f"ratio (goal {GOALS['texts']})"],
        (
            [place, text["text"], f"{text['small_ms']:.3f}", f"{text['large_ms']:.3f}", f"{text['ratio']:.1f}"]
            for place, text in whole["texts"].items()
        ),
    )


# Why each part of the layer is there.
WHY = {
    "aws_lambda_powertools": "logs and metrics in the formats of Lambda and CloudWatch; most of it is never imported",
    "msgspec": "JSON, checked and decoded in C",
    "standardwebhooks": "signs webhooks by its scheme; only the deliverer imports it",
    "typing_extensions": "Powertools depends on it",
}


def _package(whole: dict[str, Any]) -> str:
    package = whole["package"]
    rows: list[list[object]] = [
        [
            "functions, zipped",
            f"{package['functions_zip'] / 1000:.1f} kB (goal {GOALS['functions_kb']})",
            "our own code with Stripe's gateway; with the simulator it is smaller",
        ],
        ["layer, unzipped", f"{package['layer_unzipped'] / 1e6:.2f} MB (goal {GOALS['layer_mb']})", ""],
        *_parts(package["layer_parts"]),
        ["layer, zipped", f"{package['layer_zip'] / 1e6:.2f} MB", "the upload"],
    ]
    return table(["what", "how much", "why"], rows)


def _parts(parts: dict[str, int]) -> list[list[object]]:
    return [[f"- {name}", f"{size / 1e6:.2f} MB", WHY.get(name, "")] for name, size in parts.items()]


def _summary(whole: dict[str, Any]) -> str:
    starts = whole.get("cold_start", {})
    rows: list[list[object]] = []
    if "validator" in starts:
        rows.append(
            [
                "validator's start, as a share of the baseline's",
                GOALS["validator's start"],
                f"{starts['validator']['ratio']:.2f}",
            ]
        )
        slowest = max(starts.items(), key=lambda start: start[1]["ratio"])
        rows.append(
            [
                "the slowest function's start, likewise",
                GOALS["every function's start"],
                f"{slowest[1]['ratio']:.2f} ({slowest[0]})",
            ]
        )
    if "calls_per_payment" in whole:
        rows.append(["AWS calls a payment, full batches", GOALS["calls"], f"{whole['calls_per_payment']:.2f}"])
    rows.append(["ten charges of 200 ms, as a multiple of one", GOALS["batch"], f"{whole['batch_ratio']:.2f}"])
    if "growth" in whole:
        rows.append(
            ["cost of a payment, largest to smallest table", GOALS["growth"], f"{whole['growth']['ratio']:.2f}"]
        )
    if "throughput" in whole:
        rows.append(["payments a second, end to end, 8 clients", "none", f"{whole['throughput']:.0f}"])
    return table(["what", "goal, at most", "measured"], rows)


SECTIONS = {
    "batch_ratio": _summary,
    "cold_start": _starts,
    "start_profile": _profile,
    "calls": _calls,
    "growth": _growth,
    "work": _work,
    "texts": _texts,
    "package": _package,
}
