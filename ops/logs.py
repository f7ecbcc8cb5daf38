"""The functions' logs. Their lines are JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from payments.domain.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

# What modules/monitoring counts as a logged error: lines of the functions, and Lambda's report of a call that failed.
ERRORS = (
    '{ ($.level = "ERROR") || ($.level = "CRITICAL") '
    '|| (($.type = "platform.report") && ($.record.status != "success")) }'
)
_MOST_ABOUT, _MOST_ERRORS = 200, 1000
# How Python's report of a module that cannot be loaded begins, if Lambda does not write JSON.
_TRACEBACK = "Traceback (most recent call last)"
# Each function's handler turns every error into this one: any other one happened before the handler could run.
_HANDLED = "FunctionError"


@dataclass(frozen=True)
class LoggedError:
    """An error in a function's log. ``at_start`` says that the function could not even be loaded."""

    time: str
    text: str
    at_start: bool


def lines(client: Any, function: str, pattern: str, start: datetime, most: int) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
    """Yield the lines of a function's log that match, each with its time in milliseconds, as JSON if it is JSON."""
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{function}",
        startTime=int(start.timestamp() * 1000),
        filterPattern=pattern,
        PaginationConfig={"MaxItems": most},
    )
    for page in pages:
        for event in page["events"]:
            try:
                yield event["timestamp"], json.loads(event["message"])
            except ValueError:
                yield event["timestamp"], event["message"]


def about(
    client: Any,  # noqa: ANN401 - botocore's
    function: str,
    word: str,
    start: datetime,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON lines that hold a word. The caller checks which of their members does."""
    for milliseconds, line in lines(client, function, f'"{word}"', start, _MOST_ABOUT):
        if isinstance(line, dict):
            yield milliseconds, line


def errors(client: Any, function: str, start: datetime) -> list[LoggedError]:  # noqa: ANN401
    """Return the errors that a function has logged, the oldest first."""
    found = [_error(at, line) for at, line in lines(client, function, ERRORS, start, _MOST_ERRORS)]
    return sorted((error for error in found if error), key=lambda error: error.time)


def _error(milliseconds: int, line: Any) -> LoggedError | None:  # noqa: ANN401 - JSON, or text
    moment = timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))
    if isinstance(line, str):
        return LoggedError(moment, line.strip().splitlines()[-1], at_start=True) if _TRACEBACK in line else None
    if not isinstance(line, dict):
        return None
    record = line.get("record")
    status = record.get("status") if line.get("type") == "platform.report" and isinstance(record, dict) else None
    if line.get("level") not in {"ERROR", "CRITICAL"} and status in {None, "success"}:
        return None
    kind = line.get("errorType") or line.get("error")
    words = [kind, line.get("errorMessage") or line.get("message"), line.get("reason"), status]
    text = ": ".join(dict.fromkeys(str(word) for word in words if word))
    return LoggedError(moment, text, at_start="errorType" in line and line["errorType"] != _HANDLED)
