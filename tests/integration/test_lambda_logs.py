"""Lambda drops a function's line below its own filter's level. The metrics are lines too, and they have no level."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from local import ROOT

PROGRAM = """
from payments.runtime.telemetry import flush, logger, measure, measure_failure, measure_money
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)(f"a {level} line")
measure("Accepted")
measure_failure("Failed", "card_declined")
measure_money("MoneyProcessed", 1250, "EUR")
flush()
"""
ORDER = ["DEBUG", "INFO", "WARN", "ERROR"]
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def written(level: str) -> list[dict[str, Any]]:
    """Return the lines of a function with this log level, as Lambda starts it: its filter's level is in a variable."""
    environment = {
        "AWS_LAMBDA_LOG_LEVEL": "DEBUG" if level == "DEBUG" else "INFO",
        "PATH": os.environ["PATH"],
        "POWERTOOLS_LOG_LEVEL": level,
        "POWERTOOLS_METRICS_NAMESPACE": "Payments/test",
        "POWERTOOLS_SERVICE_NAME": "test",
        "PYTHONPATH": str(ROOT / "src"),
    }
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("level", ORDER)
def test_powertools_filters_by_the_level_that_was_chosen(level: str) -> None:
    logged = [line for line in written(level) if "_aws" not in line]
    names = {"WARN": "WARNING"}
    assert [line["level"] for line in logged] == [names.get(one, one) for one in ORDER[ORDER.index(level) :]]
    assert [line["timestamp"] for line in logged if not RFC_3339.fullmatch(line["timestamp"])] == []


@pytest.mark.parametrize("level", ORDER)
def test_lambda_keeps_every_metric(level: str) -> None:
    """A line without a level counts as INFO. CloudWatch reads a metric from a line that is one EMF object."""
    metrics = [line for line in written(level) if "_aws" in line]
    assert {name for line in metrics for name in line if name in {"Accepted", "Failed", "MoneyProcessed"}} == {
        "Accepted",
        "Failed",
        "MoneyProcessed",
    }
    for line in metrics:
        # Text in either would make Lambda read a level of its own from the line.
        assert line.keys().isdisjoint({"level", "timestamp"})
        assert isinstance(line["_aws"]["Timestamp"], int)
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"] == "Payments/test"
            assert all(line[name] for metric in directive["Metrics"] for name in [metric["Name"]])
            assert all(isinstance(line[name], str) for names in directive["Dimensions"] for name in names)
