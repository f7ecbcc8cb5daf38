"""One run: load under faults, recovery, and the audit."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from chaos.audit import ENDED, Findings, Reply, audit
from chaos.faults import Storm
from chaos.load import Load
from ops.dead_letters import QueueClient, dead_letter_queues, work_queues
from ops.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.proxy import Proxy
    from local.server import EmbeddedAWS
    from ops.client import Api
    from ops.stack import Stack

REFUNDED_SHARE = 0.1
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class SystemUnderTest:
    """The system under test: a stack, its API, the fault layer in front of its AWS, and that AWS."""

    stack: Stack
    api: Api
    proxy: Proxy
    server: EmbeddedAWS


@dataclass(frozen=True)
class Size:
    """How much to post, with which seed, and the pause between two fault events, in seconds."""

    payments: int
    seed: int
    pause: float = 2.0


def run(target: SystemUnderTest, size: Size, tell: Callable[[str, int], None]) -> tuple[dict[str, Any], Findings]:
    """Run, and return the report and the audit's findings. ``tell`` is called with each stage's progress."""
    # Letters separate the numbers, so that three of them cannot be mistaken for a card number.
    name = f"chaos-{size.seed}-run{uuid.uuid4().hex[:8]}"
    stack, client = target.stack, QueueClient(target.stack)
    load = Load(target.api, size.seed, name)
    began = time.monotonic()
    # Earlier dead letters do not belong to this run.
    before = _waiting(client)
    with Inbox(stack) as inbox:
        with Storm(stack, target.proxy, target.server, size.seed, size.pause) as storm:
            load.post(size.payments, lambda done: tell("posted", done))
            load.refund(REFUNDED_SHARE, lambda done: tell("refunded", done))
        calm = time.monotonic()
        redriven = _drain(client, load, inbox, before, tell)
        drained = time.monotonic()
        items = _items(stack, "dynamodb_table_name", name)
        ledger = _items(stack, "simulator_ledger_table_name", name)
        events = [event for event in inbox.received if event["subject"].startswith(name)]
        findings = audit(load.posted, items, ledger, events)
    report: dict[str, Any] = {
        "payments": size.payments,
        "seed": size.seed,
        **_posted(load),
        **findings.counts(),
        "redriven": redriven,
        "left_in_queues": max(_waiting(client) - before, 0),
        "faults": dict(sorted(storm.counts.items())),
        "clients": dict(sorted(load.counts.items())),
        "load_seconds": round(calm - began, 1),
        "drain_seconds": round(drained - calm, 1),
        "slowest_recovery_seconds": round(_slowest(items), 1),
    }
    return report, findings


def _posted(load: Load) -> dict[str, int]:
    refunds = [refund.answer for posted in load.posted for refund in posted.refunds.values()]
    return {
        "posted": len(load.posted),
        "acknowledged": sum(posted.answer is Reply.ACCEPTED for posted in load.posted),
        "refunds_posted": len(refunds),
        "refunds_acknowledged": refunds.count(Reply.ACCEPTED),
    }


def zeros(report: dict[str, Any]) -> dict[str, int]:
    """Return the counts that must be zero and are not."""
    names = [*Findings().counts(), "left_in_queues"]
    return {name: report[name] for name in names if report[name]}


def _drain(client: QueueClient, load: Load, inbox: Inbox, before: int, tell: Callable[[str, int], None]) -> int:
    """Do what an operator does after the faults, until everything is final; return how many messages were redriven.

    Redrives the dead-letter queues and calls the reconciler by hand. ``before`` messages may stay.
    """
    wanted = {posted.transaction_id for posted in load.posted if posted.answer is Reply.ACCEPTED}
    stack = client.stack
    redriven = 0
    done = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        items = {item["transaction_id"]: item for item in _items(stack, "dynamodb_table_name")}
        open_ = [name for name in wanted if not _has_ended(items.get(name))]
        tell("final", len(wanted) - len(open_) - done)
        done = len(wanted) - len(open_)
        if _all_told(wanted, inbox) and not open_ and _waiting(client) <= before:
            break
        for queue in dead_letter_queues(stack).values():
            redrive = client.redrive if queue.source else client.redrive_relay
            redriven += redrive(queue, lambda _done, _total: None)["sent"]
        if open_:
            _reconcile(stack, open_[:100])
        time.sleep(2)
    return redriven


def _has_ended(item: dict[str, Any] | None) -> bool:
    if item is None or item["status"] not in ENDED:
        return False
    return all(refund["status"] in ENDED for refund in item.get("refunds", {}).values())


def _waiting(client: QueueClient) -> int:
    """Return how many messages are waiting or being processed."""
    queues = [*work_queues(client.stack).values(), *dead_letter_queues(client.stack).values()]
    return sum(client.counts(queue).total for queue in queues)


def _all_told(wanted: set[str], inbox: Inbox) -> bool:
    """Return whether every expected announcement arrived. After the timeout, the audit reports those that did not."""
    while inbox.receive():
        pass
    announced = {event["subject"] for event in inbox.received}
    return wanted <= announced


def _reconcile(stack: Stack, transaction_ids: list[str]) -> None:
    stack.functions.invoke(
        FunctionName=stack.outputs["reconciler_function_name"],
        Qualifier="live",
        Payload=json.dumps({"transaction_ids": transaction_ids}).encode(),
    )


def _items(stack: Stack, table: str, run: str = "") -> list[dict[str, Any]]:
    """Return a table's items as plain data; ``run`` selects those whose ids start with it."""
    read = TypeDeserializer()
    pages = stack.dynamodb.get_paginator("scan").paginate(TableName=stack.outputs[table], ConsistentRead=True)
    return [
        {name: _whole(read.deserialize(value)) for name, value in item.items()}
        for page in pages
        for item in page["Items"]
        if item["transaction_id"]["S"].startswith(run)
    ]


def _whole(value: Any) -> Any:  # noqa: ANN401 - what DynamoDB holds
    """Return numbers as integers: the tables hold no others."""
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return value if isinstance(value, (str, set)) else int(value)


def _slowest(items: list[dict[str, Any]]) -> float:
    """Return how long the slowest charge or refund took from accepted to final, in seconds."""
    spans = [
        (part["created_at"], part["updated_at"])
        for item in items
        for part in (list(item["refunds"].values()) or [item])
        if part["status"] in ENDED
    ]
    taken = [(datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() for begin, end in spans]
    return max(taken, default=0.0)
