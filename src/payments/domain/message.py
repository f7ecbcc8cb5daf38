"""The message that the relay puts on a queue."""

from __future__ import annotations

from typing import Any, Literal, Self

import msgspec
from msgspec import Struct

from payments.domain.errors import PoisonError
from payments.domain.ids import Id
from payments.domain.payment import Payment

SCHEMA: Literal[1] = 1


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the relay puts on the notifier's queue: the event that happened, and the payment as it was then.

    ``one_of_several`` says that the same version of the payment is announced by other messages too.
    """

    schema: Literal[1]
    event: str
    payment: Payment
    refund_id: str | None = None
    dispute_id: str | None = None
    one_of_several: bool = False

    @classmethod
    def of(cls, event: str, payment: Payment, refund_id: str | None = None, dispute_id: str | None = None) -> Self:
        """Return the message of an event, in the schema of today."""
        return cls(schema=SCHEMA, event=event, payment=payment, refund_id=refund_id, dispute_id=dispute_id)

    @classmethod
    def decode(cls, body: str) -> Self:
        """Read a message; raises PoisonError where it is none of ours."""
        try:
            message = msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise PoisonError(f"not a message of ours: {error}") from error
        if message.refund_id is not None and message.refund_id not in message.payment.refunds:
            raise PoisonError("the message names a refund that its payment does not have")
        if message.dispute_id is not None and message.dispute_id not in message.payment.disputes:
            raise PoisonError("the message names a dispute that its payment does not have")
        return message

    @property
    def trace(self) -> str:
        """The trace of the request that began it; empty where there was none.

        The relay's own call has a trace of a batch, in which many payments meet.
        """
        payment = self.payment
        return payment.trace if self.refund_id is None else payment.refunds[self.refund_id].trace

    def named(self) -> dict[str, Any]:
        """Return what the log says of the message."""
        return {"transaction_id": self.payment.transaction_id, "refund_id": self.refund_id, "event": self.event}

    def encode(self) -> str:
        """Write the message as JSON."""
        return msgspec.json.encode(self).decode()


# What the processor works on; everything else is announced.
WORK = frozenset({"payment.validated", "refund.validated"})

_Work = Literal["payment.validated", "refund.validated"]


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=2):
    """What the relay puts on the processor's queue: the name of a payment or refund to work on, and nothing else.

    How much to charge, and whether to charge at all, is what the table says. So whoever can send to the queue can
    waste a read, and no more.
    """

    event: _Work
    transaction_id: Id
    refund_id: Id | None = None

    @classmethod
    def decode(cls, body: str) -> Task:
        """Read a task, of today's schema or the one before; raises PoisonError where it is none of ours."""
        try:
            task = msgspec.json.decode(body, type=Task | _PaymentCarried)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise PoisonError(f"not a task of ours: {error}") from error
        if isinstance(task, _PaymentCarried):
            return cls(event=task.event, transaction_id=task.payment.transaction_id, refund_id=task.refund_id)
        return task

    def named(self) -> dict[str, Any]:
        """Return what the log says of the task."""
        return {"transaction_id": self.transaction_id, "refund_id": self.refund_id, "event": self.event}

    def encode(self) -> str:
        """Write the task as JSON."""
        return msgspec.json.encode(self).decode()


class _Named(Struct, frozen=True):
    transaction_id: Id


class _PaymentCarried(Struct, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """A task of schema 1, which carried the payment as the relay saw it. Only its ids are used."""

    event: _Work
    payment: _Named
    refund_id: Id | None = None
