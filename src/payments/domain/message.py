"""What the relay sends: an event with its payment, or the name of a payment to work on."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from payments.domain.ids import Id
from payments.domain.payment import Payment

# What the processor works on; everything else is announced.
WORK = frozenset({"payment.validated", "refund.validated"})

Work = Literal["payment.validated", "refund.validated"]


class Message(Struct, frozen=True):
    """An event that happened, and the payment as it was then.

    ``one_of_several`` says that the same version of the payment is announced by other messages too.
    """

    event: str
    payment: Payment
    refund_id: str | None = None
    dispute_id: str | None = None
    one_of_several: bool = False

    @property
    def trace(self) -> str:
        """The trace of the request that began it; empty where there was none.

        The relay's own call has a trace of a batch, in which many payments meet.
        """
        return self.payment.trace if self.refund_id is None else self.payment.refunds[self.refund_id].trace

    def named(self) -> dict[str, Any]:
        """Return what the log says of the message."""
        return {"transaction_id": self.payment.transaction_id, "refund_id": self.refund_id, "event": self.event}


class Task(Struct, frozen=True, kw_only=True):
    """The name of a payment or refund for the processor to work on, and nothing else.

    How much to charge, and whether to charge at all, is what the table says. So whoever can send to the queue can
    waste a read, and no more. ``redriven`` says that the reconciler has sent the payment again.
    """

    event: Work
    transaction_id: Id
    refund_id: Id | None = None
    redriven: bool = False

    def named(self) -> dict[str, Any]:
        """Return what the log says of the task."""
        return {"transaction_id": self.transaction_id, "refund_id": self.refund_id, "event": self.event}
