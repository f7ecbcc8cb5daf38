"""The payment, its events, and how it is written in the table and in messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import msgspec
from msgspec import Struct

from payments.money import Money

SCHEMA = 1


class Status(StrEnum):
    """The states of a payment's life."""

    VALIDATED = "validated"
    PROCESSED = "processed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Payment(Struct, frozen=True, omit_defaults=True):
    """A payment as the table has it. Times are UTC, RFC 3339 with microseconds."""

    transaction_id: str
    customer_id: str
    amount_minor: int
    currency: str
    payment_method: str
    status: str
    version: int
    created_at: str
    updated_at: str
    fingerprint: str
    description: str | None = None
    metadata: dict[str, str] | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None

    @property
    def money(self) -> Money:
        """The amount."""
        return Money(self.amount_minor, self.currency)

    def age(self, now: datetime) -> timedelta:
        """Return how long ago the payment was accepted."""
        return now - datetime.fromisoformat(self.created_at)


class Message(Struct, frozen=True):
    """What the relay puts on a queue: the event that happened, and the payment as it was then."""

    event: str
    payment: Payment
    schema: int = SCHEMA

    @classmethod
    def decode(cls, body: str) -> Self:
        """Read a message; raises PoisonError where it is none of ours."""
        try:
            message = msgspec.json.decode(body, type=cls)
        except msgspec.MsgspecError as error:
            raise PoisonError(f"not a message of ours: {error}") from error
        if message.schema != SCHEMA:
            raise PoisonError(f"message schema {message.schema} is not known here, only {SCHEMA}")
        return message


class PoisonError(Exception):
    """A message or record that no retry can mend."""


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, always with microseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_item(payment: Payment) -> dict[str, Any]:
    """Write a payment as a DynamoDB item."""
    item: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(payment).items():
        match value:
            case None:
                continue
            case int():
                item[name] = {"N": str(value)}
            case str():
                item[name] = {"S": value}
            case _:
                item[name] = {"M": {key: {"S": text} for key, text in value.items()}}
    return item


def from_item(item: dict[str, Any]) -> Payment:
    """Read a payment from a DynamoDB item; raises PoisonError where it is none."""
    plain: dict[str, Any] = {}
    for name, attribute in item.items():
        match attribute:
            case {"S": str(text)}:
                plain[name] = text
            case {"N": str(number)}:
                plain[name] = int(number)
            case {"M": dict(entries)}:
                plain[name] = {key: entry["S"] for key, entry in entries.items()}
            case _:
                raise PoisonError(f"the attribute {name} has a type that no payment has")
    try:
        return msgspec.convert(plain, Payment)
    except msgspec.ValidationError as error:
        raise PoisonError(f"not a payment: {error}") from error
