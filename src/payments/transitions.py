"""A payment's life, as data: which event leads from which states to which state.

    validated ──approve──► processed        validated ──lose──► unknown ──approve──► processed
    validated ──decline──► failed                               unknown ──decline──► failed

Every transition is one conditional update that names the states it may leave. Who comes late changes nothing.
"""

from typing import NamedTuple

from payments.model import Status


class Transition(NamedTuple):
    """The states that may be left, and the state that is reached."""

    leaves: frozenset[Status]
    reaches: Status


TRANSITIONS: dict[str, Transition] = {
    "approve": Transition(frozenset({Status.VALIDATED, Status.UNKNOWN}), Status.PROCESSED),
    "decline": Transition(frozenset({Status.VALIDATED, Status.UNKNOWN}), Status.FAILED),
    "lose": Transition(frozenset({Status.VALIDATED}), Status.UNKNOWN),
}

# In a final state the gateway has said its last word: there is nothing left to ask or to charge.
FINAL = frozenset({Status.PROCESSED, Status.FAILED})
