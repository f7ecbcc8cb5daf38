"""A payment's life, as data: what may happen to it, in which states, and the state that it then has.

    validated ──► processed ──► partially_refunded ──► refunded
        │ └─────► failed
        └───────► unknown ──► processed | failed

Each transition is one conditional update that names the states it may leave. When two race, the table picks the winner,
and the loser finds that there is nothing left to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(StrEnum):
    """The states of a payment."""

    VALIDATED = "validated"
    PROCESSED = "processed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class Happening(StrEnum):
    """What can happen to a payment after it was accepted."""

    APPROVED = "approved"
    DECLINED = "declined"
    GIVEN_UP = "given_up"
    """Every delivery is used up, and nobody knows whether the gateway charged."""
    REFUNDED_IN_PART = "refunded_in_part"
    REFUNDED_IN_FULL = "refunded_in_full"


@dataclass(frozen=True)
class Transition:
    """The states that a happening may find, and the one that it makes of them."""

    leaves: frozenset[Status]
    enters: Status


TRANSITIONS: Mapping[Happening, Transition] = MappingProxyType(
    {
        Happening.APPROVED: Transition(frozenset({Status.VALIDATED, Status.UNKNOWN}), Status.PROCESSED),
        Happening.DECLINED: Transition(frozenset({Status.VALIDATED, Status.UNKNOWN}), Status.FAILED),
        # Never from a state that is known: not knowing is no news.
        Happening.GIVEN_UP: Transition(frozenset({Status.VALIDATED}), Status.UNKNOWN),
        Happening.REFUNDED_IN_PART: Transition(frozenset({Status.PROCESSED}), Status.PARTIALLY_REFUNDED),
        Happening.REFUNDED_IN_FULL: Transition(frozenset({Status.PARTIALLY_REFUNDED}), Status.REFUNDED),
    }
)

# What the gateway has yet to decide. Everything else is decided.
OPEN = frozenset({Status.VALIDATED, Status.UNKNOWN})


def after(status: Status, happening: Happening) -> Status | None:
    """Return the state that a happening makes of another, or None where it changes nothing."""
    transition = TRANSITIONS[happening]
    return transition.enters if status in transition.leaves else None
