"""Tell one payment's whole story from the functions' logs: the saved Logs Insights query for a laptop.

``. .local/env && python -m local.story TRANSACTION_ID`` asks the AWS that the environment names; ``--env`` is the
stack's suffix. You can use it in an account too, but there the saved query is faster, because it does not read each log
group page by page.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = ("refund_id", "event", "status", "reason", "error", "cold_start", "function_request_id")


class LogLine(NamedTuple):
    """A line of a function's log about the payment."""

    at: str
    function: str
    message: str
    more: dict[str, Any]

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value}" for name, value in self.more.items())
        return f"{self.at}  {self.function:<10}  {self.message:<26}  {fields}"


def steps(logs: Any, environment: str, transaction_id: str) -> list[LogLine]:  # noqa: ANN401 - boto3's client
    """Return a payment's steps over all functions' log groups, in the order in which they happened."""
    suffix = f"-{environment}"
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/payment-")
    groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    found = [
        _step(line)
        for group in groups
        if group.endswith(suffix)
        for event in _events(logs, group, transaction_id)
        if (line := _line(event["message"])) and line.get("transaction_id") == transaction_id
    ]
    # Sorted by the line's own time: the embedded AWS gives all of a call's lines the time of its end.
    return sorted(found, key=lambda step: step.at)


def _events(logs: Any, group: str, transaction_id: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - boto3's client
    # A quoted term, which every CloudWatch Logs knows; what it finds is read and compared.
    for page in logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=f'"{transaction_id}"'
    ):
        yield from page["events"]


def _line(message: str) -> dict[str, Any] | None:
    try:
        line = json.loads(message)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _step(line: dict[str, Any]) -> LogLine:
    more = {name: line[name] for name in _SHOWN if line.get(name) is not None}
    return LogLine(str(line.get("timestamp", "")), str(line.get("service", "")), str(line.get("message", "")), more)


def main() -> int:
    """Print a payment's story; return 1 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m local.story", description="Tell one payment's story.")
    parser.add_argument("transaction_id")
    parser.add_argument("--env", default="local", help="the stack's environment_suffix")
    asked = parser.parse_args()
    story = steps(boto3.client("logs"), asked.env, asked.transaction_id)
    for step in story:
        sys.stdout.write(f"{step}\n")
    if not story:
        sys.stderr.write(f"no function of {asked.env!r} has logged anything of {asked.transaction_id!r}\n")
    return 0 if story else 1


if __name__ == "__main__":
    sys.exit(main())
