"""Logs and metrics: one JSON line a step, masked; metrics in CloudWatch's embedded format (EMF)."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from payments.cards import redact


def _serialize(entry: dict[str, Any]) -> str:
    # The last gate of every line, whatever it was made of.
    return json.dumps(_masked(entry), default=lambda value: redact(str(value)), ensure_ascii=False)


def _masked(value: Any) -> Any:  # noqa: ANN401 - whatever is logged
    """Return a value with every card number masked, in names too, and in numbers."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(str(name)): _masked(part) for name, part in value.items()}
        case list() | tuple():
            return [_masked(part) for part in value]
        case int() if not isinstance(value, bool) and value >= _SHORTEST_CARD:
            text = redact(str(value))
            return value if text == str(value) else text
        case _:
            return value


_SHORTEST_CARD = 10**12

logger = Logger(json_serializer=_serialize)
metrics = Metrics()


def measure(name: str, value: int = 1) -> None:
    """Count something."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def flush() -> None:
    """Write the metrics that were counted during a call."""
    if metrics.metric_set:
        metrics.flush_metrics()
