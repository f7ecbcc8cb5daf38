"""The audit from outside: compares the gateway's books, the table, and the announcements that were received.

It takes plain data and uses nothing of the system's code but the names of its states, so that it does not repeat
a mistake that is made there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

# The states of a payment that nothing changes by itself any more.
ENDED = {"processed", "failed", "partially_refunded", "refunded"}
CHARGED = ENDED - {"failed"}
ANNOUNCED_AS = {"processed": "payment.refunded", "failed": "payment.refund_failed"}
_OTHER = {"processed": "failed", "failed": "processed"}


class Reply(Enum):
    """The final answer that a client got."""

    NONE = "none"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass
class PostedRefund:
    """A refund that a client has requested."""

    amount_minor: int
    answer: Reply = Reply.NONE


@dataclass
class Posted:
    """A client's request, and the answer that it got."""

    transaction_id: str
    amount_minor: int
    currency: str
    # How many decimals an amount in the currency has.
    exponent: int
    answer: Reply = Reply.NONE
    # Whether the same request got two different answers.
    answered_otherwise: bool = False
    # By refund_id.
    refunds: dict[str, PostedRefund] = field(default_factory=dict)


@dataclass
class Findings:
    """The errors that the audit found, each named by the payment (and refund) that it concerns."""

    lost: set[str] = field(default_factory=set)
    double_charged: set[str] = field(default_factory=set)
    amount_differences: set[str] = field(default_factory=set)
    unannounced: set[str] = field(default_factory=set)
    # Requests that were refused, or not answered while the client retried. Every request here is valid.
    refused: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    # Differences between the clients, the table, the gateway and the announcements.
    contradicted: set[str] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """Return the number of errors of each kind."""
        return {name: len(found) for name, found in vars(self).items()}


# The gateway's charges by payment, and its refunds by payment and refund.
_Books = tuple[dict[str, list[dict[str, Any]]], dict[tuple[str, str], list[dict[str, Any]]]]
# The announcements of a payment, or of one of its refunds: by type, the ids and amounts.
_Announced = dict[tuple[str, "str | None"], dict[str, set[tuple[str, Decimal]]]]


def audit(
    posted: list[Posted],
    table: list[dict[str, Any]],
    ledger: list[dict[str, Any]],
    events: list[dict[str, Any]],
) -> Findings:
    """Compare the requests with the table's items and the gateway's entries (both plain), and with the CloudEvents."""
    found = Findings()
    items = {item["transaction_id"]: item for item in table}
    charges, refunds = _books(ledger)
    announced = _heard(events)
    for payment in posted:
        name = payment.transaction_id
        item, booked = items.get(name), charges[name]
        if payment.answered_otherwise:
            found.contradicted.add(name)
        _audit_answer(payment.answer, name, found)
        if len(booked) > 1:
            found.double_charged.add(name)
        if any(
            (entry["amount_minor"], entry["currency"]) != (payment.amount_minor, payment.currency) for entry in booked
        ):
            found.amount_differences.add(name)
        if item is None or item["status"] not in ENDED:
            # A payment that no client saw accepted may be missing. One that is stored or charged must become final.
            if payment.answer is Reply.ACCEPTED or item is not None:
                found.lost.add(name)
            if booked:
                found.contradicted.add(name)
        else:
            _audit_ended(payment, item, announced, found, charged=bool(booked))
            _audit_refunds(payment, item, refunds, announced, found)
    _audit_unasked(posted, items, (charges, refunds), announced, found)
    return found


def _heard(events: list[dict[str, Any]]) -> _Announced:
    announced: _Announced = defaultdict(lambda: defaultdict(set))
    for event in events:
        data = event["data"]
        refund = data.get("refund", {})
        amount = Decimal(refund.get("amount", data["amount"]))
        announced[event["subject"], refund.get("refund_id")][event["type"]].add((event["id"], amount))
    return announced


def _audit_answer(answer: Reply, name: str, found: Findings) -> None:
    if answer is Reply.NONE:
        found.unanswered.add(name)
    elif answer is Reply.REFUSED:
        found.refused.add(name)


def _audit_announced(
    announced: dict[str, set[tuple[str, Decimal]]],
    outcomes: tuple[str, str],
    name: str,
    amount: Decimal,
    found: Findings,
) -> None:
    """Check that each outcome has one announcement, however often it was received, and that no other exists."""
    outcome, other = outcomes
    heard = announced.get(outcome, set())
    if not heard:
        found.unannounced.add(name)
    if len({event_id for event_id, _ in heard}) > 1 or other in announced:
        found.contradicted.add(name)
    if any(said != amount for _, said in heard):
        found.amount_differences.add(name)


def _audit_ended(
    payment: Posted, item: dict[str, Any], announced: _Announced, found: Findings, *, charged: bool
) -> None:
    name = payment.transaction_id
    if (item["amount_minor"], item["currency"]) != (payment.amount_minor, payment.currency):
        found.amount_differences.add(name)
    if (item["status"] in CHARGED) != charged:
        found.contradicted.add(name)
    outcomes = ("payment.failed", "payment.processed")
    amount = Decimal(payment.amount_minor).scaleb(-payment.exponent)
    _audit_announced(
        announced[name, None], outcomes if item["status"] == "failed" else outcomes[::-1], name, amount, found
    )


def _audit_unasked(
    posted: list[Posted], items: dict[str, Any], books: _Books, announced: _Announced, found: Findings
) -> None:
    """Find everything that was stored, charged, refunded or announced without a request."""
    charges, refunds = books
    payments = {payment.transaction_id for payment in posted}
    asked = {(payment.transaction_id, name) for payment in posted for name in payment.refunds}
    given = {(name, refund) for name, item in items.items() for refund in item.get("refunds", {})}
    given |= {key for key, booked in refunds.items() if booked}
    given |= {(name, refund) for name, refund in announced if refund is not None}
    found.contradicted |= {f"{name}/{refund}" for name, refund in given - asked if name in payments}
    names = (
        {name for name, booked in charges.items() if booked}
        | items.keys()
        | {name for name, _ in (*announced, *refunds)}
    )
    found.contradicted |= names - payments


def _books(ledger: list[dict[str, Any]]) -> _Books:
    """Return what the gateway has charged by payment, and what it has refunded by payment and refund."""
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
    announced: _Announced,
    found: Findings,
) -> None:
    name = payment.transaction_id
    stored = item.get("refunds", {})
    back = 0
    for refund_id, asked in payment.refunds.items():
        full = f"{name}/{refund_id}"
        entry = stored.get(refund_id)
        booked = books[name, refund_id]
        back += sum(one["amount_minor"] for one in booked)
        _audit_answer(asked.answer, full, found)
        if len(booked) > 1:
            found.double_charged.add(full)
        if entry is None or entry["status"] not in ANNOUNCED_AS:
            if asked.answer is Reply.ACCEPTED or entry is not None:
                found.lost.add(full)
            if booked:
                found.contradicted.add(full)
            continue
        if entry["amount_minor"] != asked.amount_minor or any(
            one["amount_minor"] != asked.amount_minor for one in booked
        ):
            found.amount_differences.add(full)
        if (entry["status"] == "processed") != bool(booked):
            found.contradicted.add(full)
        outcomes = (ANNOUNCED_AS[entry["status"]], ANNOUNCED_AS[_OTHER[entry["status"]]])
        amount = Decimal(asked.amount_minor).scaleb(-payment.exponent)
        _audit_announced(announced[name, refund_id], outcomes, full, amount, found)
    if back > payment.amount_minor:
        found.amount_differences.add(name)
