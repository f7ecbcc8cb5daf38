"""What the table's stream says: how a payment changed, or that a record holds no payment."""

from __future__ import annotations

from msgspec import Struct

from payments.domain.payment import Payment


class Change(Struct, frozen=True):
    """A payment as it is, and as it was before: None where there was none, or none that could be read.

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
