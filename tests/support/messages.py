"""The messages that the relay sends for records of the table's stream."""

from __future__ import annotations

from typing import Any

from payments.domain.message import Message
from payments.table.stream import change_of
from payments.usecases import relay


def messages_of(record: dict[str, Any]) -> list[Message]:
    """Return the messages that the relay sends for a stream record."""
    change = change_of(record)
    return [] if change is None else relay.messages_of(change)
