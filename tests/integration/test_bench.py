"""The functions' own work for a payment, and the benchmark's arithmetic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from unittest.mock import MagicMock
from xml.etree import ElementTree as ET

import pytest

from bench import offline, package, report, texts
from bench.picture import Bar, bars
from bench.stack import AwsCall, Bench, per_payment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAY_OUT = "If the work is worth it, raise the bound; make bench shows what it costs in ms."

# How many Python functions a payment calls: ours, and all with those of botocore, Powertools and Python. The counts do
# not depend on the machine; a new botocore may change the second. The relay's include a log line for each payment,
# which completes the payment's story. The processor's include a read of each payment (docs/decisions/0033).
CALLS = {
    "validator": (176, 2450),
    "relay": (100, 410),
    "processor": (145, 2650),
    "notifier": (82, 720),
    "reader": (37, 1900),
}


@pytest.mark.parametrize("function", CALLS)
def test_a_payments_work_stays_what_it_was(function: str) -> None:
    own, total = CALLS[function]
    counted = offline.count_calls(function)
    assert counted.own <= own, WAY_OUT
    assert counted.total <= total, WAY_OUT


def test_the_count_does_not_depend_on_the_run() -> None:
    assert offline.count_calls("relay") == offline.count_calls("relay")


def test_ten_charges_take_about_as_long_as_one() -> None:
    assert offline.batch_ratio(runs=1) <= report.GOALS["batch"]


def in_proportion(place: Callable[[str], Callable[[], object]], text: str) -> bool:
    """Return whether the time grows in proportion to the text, in one of three tries: a busy machine distorts a try.

    A quadratic check has a ratio of 256 and fails every try.
    """
    return any(texts.growth(place, text).ratio <= report.GOALS["texts"] for _ in range(3))


@pytest.mark.parametrize("pattern", texts.WORST)
def test_the_check_for_cards_takes_time_in_proportion_to_the_text(pattern: str) -> None:
    with texts.places() as places:
        for name in ("the check", "the mask"):
            assert in_proportion(places[name], texts.WORST[pattern]), name


def test_a_long_text_is_no_burden_wherever_it_is_sent() -> None:
    with texts.places() as places:
        for name, place in places.items():
            assert in_proportion(place, texts.WORST["single digits"]), name


def test_the_functions_zip_and_the_layer_are_small() -> None:
    made = package.measure()
    assert made.functions_zip <= report.GOALS["functions_kb"] * 1000
    assert made.layer_unzipped <= report.GOALS["layer_mb"] * 1e6
    assert made.layer_parts.keys() == report.WHY.keys(), "Say in bench/report.py why it is there."


def test_calls_are_counted_for_a_payment_without_the_simulators_books() -> None:
    calls = [
        AwsCall("validator", "PutItem", "payments", 0),
        AwsCall("validator", "PutItem", "payments", 0),
        AwsCall("processor", "UpdateItem", "ledger", 0),
        AwsCall("relay", "SendMessageBatch", "-", 2),
    ]
    assert per_payment(calls, 2, "ledger") == {"relay SendMessageBatch": 0.5, "validator PutItem": 1.0}


def test_a_picture_is_well_formed_and_to_scale() -> None:
    drawn = ET.fromstring(bars("a & b", [Bar("one", 1, "1"), Bar("<half>", 0.5, "0.5")], goal=0.75))  # noqa: S314
    one, half = (float(bar.get("width", 0)) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect"))
    assert half == pytest.approx(one / 2, abs=0.1)


def test_a_page_gets_what_was_measured_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- begin package -->\nold\n<!-- end package -->\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "JSON", tmp_path / "bench.json")
    report.write({"package": package.Package(1000, 2000, 3_000_000, {"msgspec": 3_000_000})._asdict()})
    text = page.read_text()
    assert text.startswith("before\n<!-- begin package -->\n| what |")
    assert "3.00 MB" in text
    assert "old" not in text
    assert text.endswith("<!-- end package -->\nafter\n")
    assert json.loads((tmp_path / "bench.json").read_text())["package"]["functions_zip"] == 1000


def test_the_page_has_a_place_for_each_table() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    for name in report.SECTIONS:
        assert text.count(f"<!-- begin {name} -->") == text.count(f"<!-- end {name} -->") == 1


WORKER = "import time; sum(range(3_000_000)); print(flush=True); time.sleep(60)"
SERVER = f"""
from subprocess import PIPE, Popen
workers = [
    Popen([{sys.executable!r}, "-c", {WORKER!r}], env={{"AWS_LAMBDA_FUNCTION_NAME": name}}, stdout=PIPE)
    for name in ("payment-relay-x", "payment-relay-x", "payment-reader-x")
]
for worker in workers:
    worker.stdout.readline()
print(flush=True)
workers[0].wait()
"""


def test_the_usage_is_reported_by_function() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            bench = Bench(MagicMock(pid=server.pid), MagicMock(), MagicMock())
            used = bench.processes()
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    assert used.keys() == {"server", "relay", "reader"}
    # The relay's two workers have each done the same work as the reader's one.
    assert used["relay"].cpu_seconds > used["reader"].cpu_seconds > 0
    assert all(1 < process.memory_mb < 1000 for process in used.values())
