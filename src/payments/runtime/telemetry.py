"""Logs and metrics: one masked JSON line for each step; metrics in CloudWatch's embedded format (EMF)."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from payments.domain.cards import redact

# Why a gateway refuses, as a metric may tell it apart: every value of a dimension is a metric, which costs money for a
# month, and a gateway can return any text. A code that is not listed here counts as "other"; the log has the text.
FAILURE_REASONS = frozenset(
    {
        "authentication_required",
        "card_declined",
        "do_not_honor",
        "expired_card",
        "fraudulent",
        "incorrect_cvc",
        "insufficient_funds",
        "invalid_payment_method",
        "limit_exceeded",
        "lost_card",
        "processing_error",
        "stolen_card",
    }
)


def _serialize(entry: dict[str, Any]) -> str:
    # Every line passes here last, from any source.
    return json.dumps(_masked(entry), default=lambda value: redact(str(value)), ensure_ascii=False)


def _masked(value: Any) -> Any:  # noqa: ANN401 - anything can be logged
    """Return a value with every card number masked, in names too, and in numbers."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(str(name)): _masked(part) for name, part in value.items()}
        case list() | tuple():
            return [_masked(part) for part in value]
        case int() | float() if not isinstance(value, bool) and abs(value) >= _SHORTEST_CARD:
            text = redact(str(value))
            return value if text == str(value) else text
        case _:
            return value


_SHORTEST_CARD = 10**12

# Lambda reads a line's time only if it is in RFC 3339's format.
logger = Logger(json_serializer=_serialize, use_rfc3339=True)
# Powertools prefers the level of Lambda's filter, which stays at INFO so that metrics pass it (docs/observability.md).
logging.getLogger(logger.name).setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper())

metrics = Metrics()

# The measurements of a call: by dimension (a name and a value, both empty for none) and by metric. Powertools
# takes it at the call's end, in one thread: it counts the first of two that begin a metric at once, and not the second.
_measured: dict[tuple[str, str], dict[str, list[float]]] = {}

_measuring = threading.Lock()

_SECONDS = "Seconds"


def measure(name: str, value: int = 1) -> None:
    """Count something."""
    _add(("", ""), name, value)


def measure_seconds(name: str, seconds: float) -> None:
    """Add a time to a distribution. The metric's name contains Seconds."""
    with _measuring:
        _measured.setdefault(("", ""), {}).setdefault(name, []).append(seconds)


def measure_failure(name: str, code: str | None) -> None:
    """Count a failure, in total and by its reason."""
    _add(("", ""), name, 1)
    _add(("reason", code if code in FAILURE_REASONS else "other"), name, 1)


def measure_kind(name: str, kind: str) -> None:
    """Count something, and count it by its kind too. There are few kinds."""
    _add(("", ""), name, 1)
    _add(("kind", kind), name, 1)


def measure_money(name: str, minor: int, currency: str) -> None:
    """Add an amount in minor units to the metric of its currency, which must be an ISO 4217 code."""
    _add(("currency", currency), name, minor)


def _add(dimension: tuple[str, str], name: str, value: int) -> None:
    with _measuring:
        sums = _measured.setdefault(dimension, {}).setdefault(name, [0])
        sums[0] += value


@cache
def _metrics_by(dimension: str, value: str) -> AmazonCloudWatchEMFProvider:
    return AmazonCloudWatchEMFProvider(default_dimensions={dimension: value})


def flush() -> None:
    """Write the metrics that were measured during a call: a line for each dimension."""
    with _measuring:
        measured = dict(_measured)
        _measured.clear()
    for dimension, named in measured.items():
        chosen = _metrics_by(*dimension) if dimension[0] else metrics
        for name, values in named.items():
            unit = MetricUnit.Seconds if _SECONDS in name else MetricUnit.Count
            for value in values:
                chosen.add_metric(name=name, unit=unit, value=value)
        # Powertools writes on its own whenever a metric has a hundred values.
        if chosen.metric_set:
            chosen.flush_metrics()


# As X-Ray writes it. SQS refuses a message with anything else, and so the whole batch, which is then retried each time.
_TRACE = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;Parent=[0-9a-f]{16})?(;Sampled=[01])?")


def is_trace(header: str) -> bool:
    """Return whether a text is exactly a trace header."""
    return _TRACE.fullmatch(header) is not None


def trace_header() -> str:
    """Return the trace header of this call, as Lambda's active tracing sets it; empty if there is none.

    Only the parts that identify the trace are kept: others (Lineage) concern only this call. A client may send its own
    trace header, which is stored with the payment, so a header in any other form counts as none.
    """
    parts = os.environ.get("_X_AMZN_TRACE_ID", "").split(";")
    header = ";".join(part for part in parts if part.startswith(("Root=", "Parent=", "Sampled=")))
    return header if is_trace(header) else ""
