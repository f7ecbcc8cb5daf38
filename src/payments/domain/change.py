"""The content of the table's stream: a change of a payment, or a record that holds no payment."""

from __future__ import annotations

from msgspec import Struct

from payments.domain.payment import Payment


class Change(Struct, frozen=True):
    """A payment as it is now, and as it was before: None if it is new, or if the old item could not be read.

    ``restored`` says that the payment was put back from a backup by this change.
    """

    new: Payment
    old: Payment | None = None
    restored: bool = False


class DeadLetter(Struct, frozen=True):
    """Something that no retry can relay: a record that holds no payment, or a message refused for its content.

    It says why, and what an operator needs to find it. A message has no ``stream`` and no ``sequence_number``.
    """

    reason: str
    event: str
    transaction_id: str
    stream: str = ""
    sequence_number: str = ""
