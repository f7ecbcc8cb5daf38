"""Logs and metrics: one JSON line a step, masked; metrics in CloudWatch's embedded format (EMF)."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from payments.cards import redact


def _serialize(entry: dict[str, Any]) -> str:
    # The last gate of every line, whatever it was made of.
    return redact(json.dumps(entry, default=str, ensure_ascii=False))


logger = Logger(json_serializer=_serialize)
metrics = Metrics()


def measure(name: str, value: int = 1) -> None:
    """Count something."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def flush() -> None:
    """Write the metrics that were counted during a call."""
    if metrics.metric_set:
        metrics.flush_metrics()
