"""The messages of the relay: an event with its payment, or the id of a payment to process."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

from msgspec import Struct

from payments.domain.ids import Id
from payments.domain.payment import Payment

# The events that the processor handles; all others are announced.
WORK = frozenset({"payment.validated", "refund.validated"})

Work = Literal["payment.validated", "refund.validated"]


class Message(Struct, frozen=True):
    """An event that happened, and the payment as it was then.

    ``one_of_several`` says that other messages announce the same version of the payment too.
    """

    event: str
    payment: Payment
    refund_id: str | None = None
    dispute_id: str | None = None
    one_of_several: bool = False

    @property
    def trace(self) -> str:
        """The trace of the request that started it; empty if there was none.

        The trace of the relay's own call belongs to a batch of many payments.
        """
        return self.payment.trace if self.refund_id is None else self.payment.refunds[self.refund_id].trace

    def log_fields(self) -> dict[str, Any]:
        """Return the message's fields for the log."""
        return {"transaction_id": self.payment.transaction_id, "refund_id": self.refund_id, "event": self.event}


class Sent(NamedTuple):
    """The result of sending a message: the reason if its queue refused it, and whether a retry is pointless."""

    message: Message
    reason: str = ""
    for_good: bool = False


class Task(Struct, frozen=True, kw_only=True):
    """The id of a payment or refund for the processor, and nothing else.

    The table decides how much to charge, and whether to charge at all. So anyone who can send to the queue can only
    waste a read. ``redriven`` says that the reconciler has sent the payment again.
    """

    event: Work
    transaction_id: Id
    refund_id: Id | None = None
    redriven: bool = False

    @classmethod
    def of(cls, message: Message) -> Task:
        """Return the task of a message whose event is one of WORK."""
        return cls(
            event=cast("Work", message.event),
            transaction_id=message.payment.transaction_id,
            refund_id=message.refund_id,
            redriven=message.payment.redrives > 0,
        )

    def log_fields(self) -> dict[str, Any]:
        """Return the task's fields for the log."""
        return {"transaction_id": self.transaction_id, "refund_id": self.refund_id, "event": self.event}
