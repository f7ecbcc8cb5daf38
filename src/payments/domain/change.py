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


class UnreadableRecord(Struct, frozen=True):
    """A record that holds no payment: the reason, and what an operator needs to find it."""

    reason: str
    event: str
    stream: str
    sequence_number: str
    transaction_id: str
