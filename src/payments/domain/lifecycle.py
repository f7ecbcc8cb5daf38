"""A payment's life, as data: which event leads from which states to which state.

    validated ──approve──► processed        validated ──lose──► unknown ──approve──► processed
    validated ──decline──► failed                               unknown ──decline──► failed

While the gateway waits for a bank or for the customer, a payment is unknown too: ``wait`` leads there, and stays there.

A refund has the same life, with one more transition: a bank can send the money back days later.

    processed ──revert──► failed

When a refund is processed or reverted, its payment changes in the same write:

    processed ──refund_part──► partially_refunded ──refund_part──► partially_refunded
    processed ──refund_rest──► refunded             partially_refunded ──refund_rest──► refunded

    partially_refunded ──revert_part──► partially_refunded      refunded ──revert_part──► partially_refunded
    partially_refunded ──revert_all───► processed               refunded ──revert_all───► processed

Every transition is one conditional update that names the states it may leave. A late update changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """The states of a payment. A refund has the first four."""

    VALIDATED = "validated"
    PROCESSED = "processed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class Transition(NamedTuple):
    """The states that the transition may leave, and the state that it reaches."""

    leaves: frozenset[Status]
    reaches: Status


# The gateway has not given its final answer yet.
OPEN = frozenset({Status.VALIDATED, Status.UNKNOWN})

# Nothing remains to ask or to charge.
FINAL = frozenset(Status) - OPEN

REFUND_STATES = OPEN | {Status.PROCESSED, Status.FAILED}

# Charged, and not fully refunded.
REFUNDABLE = frozenset({Status.PROCESSED, Status.PARTIALLY_REFUNDED})

# Some of it, or all of it, was refunded.
_REFUNDED = frozenset({Status.PARTIALLY_REFUNDED, Status.REFUNDED})

# A charge and a refund have these in common.
_TRANSITIONS = {
    "approve": Transition(OPEN, Status.PROCESSED),
    "decline": Transition(OPEN, Status.FAILED),
    "lose": Transition(frozenset({Status.VALIDATED}), Status.UNKNOWN),
    "wait": Transition(OPEN, Status.UNKNOWN),
}

REFUND_TRANSITIONS: dict[str, Transition] = _TRANSITIONS | {
    "revert": Transition(frozenset({Status.PROCESSED}), Status.FAILED),
}

TRANSITIONS: dict[str, Transition] = _TRANSITIONS | {
    "refund_part": Transition(REFUNDABLE, Status.PARTIALLY_REFUNDED),
    "refund_rest": Transition(REFUNDABLE, Status.REFUNDED),
    "revert_part": Transition(_REFUNDED, Status.PARTIALLY_REFUNDED),
    "revert_all": Transition(_REFUNDED, Status.PROCESSED),
}
