"""Messages and tasks as the queues hold them, in JSON.

Schema 1 holds an event and its payment; schema 2 holds the id of a payment to process. The processor's queue held
schema 1 before schema 2 existed, so tasks are read in both.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from payments.domain.errors import PoisonError
from payments.domain.ids import Id
from payments.domain.message import Message, Task, Work


class _MessageForm(Message, frozen=True, kw_only=True, omit_defaults=True):
    # A field instead of a tag: msgspec would accept a lone tagged struct even without its tag.
    schema: Literal[1] = msgspec.field()


class _TaskForm(Task, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=2):
    pass


class _PaymentName(Struct, frozen=True):
    transaction_id: Id


class _OldTaskForm(Struct, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """A task of schema 1, which held the payment as the relay saw it. Only its ids are used."""

    event: Work
    payment: _PaymentName
    refund_id: Id | None = None


_BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError)


def encode(message: Message | Task) -> str:
    """Write a message or a task in the queue's form."""
    fields = asdict(message)
    form = _MessageForm(**fields, schema=1) if isinstance(message, Message) else _TaskForm(**fields)
    return msgspec.json.encode(form).decode()


def decode_message(body: str) -> Message:
    """Read a message; raises PoisonError if the body holds none."""
    try:
        form = msgspec.json.decode(body, type=_MessageForm)
    except _BROKEN as error:
        raise PoisonError(f"not a message of ours: {error}") from error
    message = Message(**{name: getattr(form, name) for name in Message.__struct_fields__})
    if message.refund_id is not None and message.refund_id not in message.payment.refunds:
        raise PoisonError("the message names a refund that its payment does not have")
    if message.dispute_id is not None and message.dispute_id not in message.payment.disputes:
        raise PoisonError("the message names a dispute that its payment does not have")
    return message


def decode_task(body: str) -> Task:
    """Read a task, of today's schema or the one before; raises PoisonError if the body holds none."""
    try:
        form = msgspec.json.decode(body, type=_TaskForm | _OldTaskForm)
    except _BROKEN as error:
        raise PoisonError(f"not a task of ours: {error}") from error
    if isinstance(form, _TaskForm):
        return Task(**asdict(form))
    return Task(event=form.event, transaction_id=form.payment.transaction_id, refund_id=form.refund_id)
