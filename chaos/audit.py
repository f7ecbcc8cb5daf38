"""The audit from outside: the gateway's books against the table against the announcements that were received.

It takes plain facts and knows none of the system's code but the names of its states, so that a mistake there is not
repeated here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

# A payment's states in which nothing is left to happen by itself.
ENDED = {"processed", "failed", "partially_refunded", "refunded"}
CHARGED = ENDED - {"failed"}
ANNOUNCED_AS = {"processed": "payment.refunded", "failed": "payment.refund_failed"}


@dataclass
class Posted:
    """What a client has asked for, and whether it was told that it was accepted."""

    transaction_id: str
    amount_minor: int
    currency: str
    acknowledged: bool = False
    # By refund_id: the amount, and whether it was accepted.
    refunds: dict[str, tuple[int, bool]] = field(default_factory=dict)


@dataclass
class Findings:
    """What is wrong, each by the payment (and refund) that it is wrong with."""

    lost: set[str] = field(default_factory=set)
    double_charged: set[str] = field(default_factory=set)
    amount_differences: set[str] = field(default_factory=set)
    unannounced: set[str] = field(default_factory=set)
    contradicted: set[str] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """Return how many of each there are."""
        return {name: len(found) for name, found in vars(self).items()}


def audit(
    posted: list[Posted],
    table: list[dict[str, Any]],
    ledger: list[dict[str, Any]],
    events: list[dict[str, Any]],
) -> Findings:
    """Compare what was asked for with the table's items, the gateway's entries (both plain) and the CloudEvents."""
    found = Findings()
    items = {item["transaction_id"]: item for item in table}
    charges, refunds = _books(ledger)
    told = {(event["subject"], event["type"], event["data"].get("refund", {}).get("refund_id")) for event in events}
    for payment in posted:
        name = payment.transaction_id
        item, made = items.get(name), charges[name]
        if len(made) > 1:
            found.double_charged.add(name)
        if any(
            (entry["amount_minor"], entry["currency"]) != (payment.amount_minor, payment.currency) for entry in made
        ):
            found.amount_differences.add(name)
        if item is None or item["status"] not in ENDED:
            # What nobody was told is accepted may be missing; what is there, or was charged, must come to its end.
            if payment.acknowledged or item is not None:
                found.lost.add(name)
            if made:
                found.contradicted.add(name)
        else:
            _audit_ended(payment, item, told, found, charged=bool(made))
            _audit_refunds(payment, item, refunds, told, found)
    return found


def _audit_ended(
    payment: Posted, item: dict[str, Any], told: set[tuple[str, str, str | None]], found: Findings, *, charged: bool
) -> None:
    name = payment.transaction_id
    if (item["amount_minor"], item["currency"]) != (payment.amount_minor, payment.currency):
        found.amount_differences.add(name)
    if (item["status"] in CHARGED) != charged:
        found.contradicted.add(name)
    if (name, "payment.failed" if item["status"] == "failed" else "payment.processed", None) not in told:
        found.unannounced.add(name)


def _books(ledger: list[dict[str, Any]]) -> tuple[dict[str, list[dict[str, Any]]], dict[tuple[str, str], list[Any]]]:
    """Return what the gateway has charged by payment, and what it has given back by payment and refund."""
    charges: dict[str, list[dict[str, Any]]] = defaultdict(list)
    refunds: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for entry in ledger:
        if "reference" not in entry:
            continue
        name = entry["transaction_id"]
        if entry["idempotency_key"].startswith("refund-"):
            refunds[name, entry["idempotency_key"].rpartition(".")[2]].append(entry)
        else:
            charges[name].append(entry)
    return charges, refunds


def _audit_refunds(
    payment: Posted,
    item: dict[str, Any],
    books: dict[tuple[str, str], list[Any]],
    told: set[tuple[str, str, str | None]],
    found: Findings,
) -> None:
    name = payment.transaction_id
    stored = item.get("refunds", {})
    back = 0
    for refund_id, (amount, acknowledged) in payment.refunds.items():
        full = f"{name}/{refund_id}"
        entry = stored.get(refund_id)
        made = books[name, refund_id]
        back += sum(one["amount_minor"] for one in made)
        if len(made) > 1:
            found.double_charged.add(full)
        if entry is None or entry["status"] not in ANNOUNCED_AS:
            if acknowledged or entry is not None:
                found.lost.add(full)
            if made:
                found.contradicted.add(full)
            continue
        if entry["amount_minor"] != amount or any(one["amount_minor"] != amount for one in made):
            found.amount_differences.add(full)
        if (entry["status"] == "processed") != bool(made):
            found.contradicted.add(full)
        if (name, ANNOUNCED_AS[entry["status"]], refund_id) not in told:
            found.unannounced.add(full)
    if back > payment.amount_minor:
        found.amount_differences.add(name)
