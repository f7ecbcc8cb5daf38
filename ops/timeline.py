"""A payment's story: from its item and from the functions' logs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ops import logs
from ops.failures import code_of
from ops.stack import all_functions
from payments.domain.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.stack import Stack

# Fields that every line has, or that say nothing about the payment.
_COMMON = {
    "level",
    "location",
    "message",
    "timestamp",
    "service",
    "function_request_id",
    "transaction_id",
    "xray_trace_id",
    "cold_start",
}
# A line is written before its payment, and read by another clock.
_SLACK = timedelta(minutes=5)
_ALARMING = {"WARNING", "ERROR", "CRITICAL"}


@dataclass(frozen=True)
class TimelineEntry:
    """Something that happened to a payment."""

    time: str
    where: str
    what: str
    detail: str = ""
    level: str = "INFO"


def of_payment(payment: Mapping[str, Any]) -> list[TimelineEntry]:
    """Return the steps that the API's answer contains."""
    steps = [TimelineEntry(payment["created_at"], "payment", "validated", f"{payment['amount']} {payment['currency']}")]
    refunds = payment.get("refunds", [])
    for refund in refunds:
        what = f"refund {refund['refund_id']}"
        amount = f"{refund['amount']} {refund['currency']}"
        steps.append(
            TimelineEntry(
                refund["created_at"], what, "validated", " ".join(filter(None, [amount, refund.get("reason")]))
            )
        )
        if refund["status"] != "validated":
            steps.append(TimelineEntry(refund["updated_at"], what, refund["status"], _word(refund)))
    # A refund moves the payment's own time along: then only the log knows when the charge was made.
    if payment["status"] != "validated" and not refunds:
        steps.append(TimelineEntry(payment["updated_at"], "payment", payment["status"], _word(payment)))
    return steps


def _word(said: Mapping[str, Any]) -> str:
    return str(said.get("failure_code") or said.get("gateway_reference") or "")


def of_logs(stack: Stack, transaction_id: str, created_at: str) -> tuple[list[TimelineEntry], list[str]]:
    """Return a payment's events from the functions' logs, and the reason for each log that could not be read."""
    start = datetime.fromisoformat(created_at) - _SLACK
    client = stack.client("logs")
    functions = all_functions(stack.outputs)

    def read(function: str) -> list[TimelineEntry] | str:
        try:
            return _read(client, function, functions[function], transaction_id, start)
        except ClientError as error:
            return f"the log of {function} cannot be read: {code_of(error)}"

    with ThreadPoolExecutor(len(functions)) as pool:
        found = list(pool.map(read, functions))
    return (
        [step for steps in found if not isinstance(steps, str) for step in steps],
        [why for why in found if isinstance(why, str)],
    )


def _read(client: Any, function: str, name: str, transaction_id: str, start: datetime) -> list[TimelineEntry]:  # noqa: ANN401
    return [
        _step(function, milliseconds, line)
        for milliseconds, line in logs.about(client, name, transaction_id, start)
        if line.get("transaction_id") == transaction_id
    ]


def _step(function: str, milliseconds: int, line: dict[str, Any]) -> TimelineEntry:
    detail = ", ".join(f"{name}: {value}" for name, value in line.items() if name not in _COMMON and value is not None)
    return TimelineEntry(
        _moment(line, milliseconds), function, str(line.get("message", "")), detail, str(line.get("level", ""))
    )


def _moment(line: dict[str, Any], milliseconds: int) -> str:
    """Return when a line was written: by its own time if it has one."""
    try:
        return timestamp(datetime.fromisoformat(str(line.get("timestamp"))))
    except ValueError:
        return timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))


def in_order(steps: list[TimelineEntry]) -> list[TimelineEntry]:
    """Return steps in their order in time."""
    return sorted(steps, key=lambda step: step.time)


def is_alarming(step: TimelineEntry) -> bool:
    """Return whether an operator should look at a step."""
    return step.level in _ALARMING or step.what in {"failed", "unknown"}
