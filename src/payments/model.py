"""The payment, its refunds and its events, and how they are written in the table and in messages."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta, Struct

from payments.currencies import EXPONENTS
from payments.money import Money
from payments.transitions import OPEN, REFUND_STATES, Status

SCHEMA: Literal[1] = 1

# The ids that clients give payments and refunds.
ID = r"[A-Za-z0-9_-]{1,64}"

# An index key takes 1 000 writes a second. A customer's payments are spread over this many keys of the customer index,
# and the payments that are not final over that many of the open index. More can be had later, never fewer: what was
# written under a key must still be read (docs/decisions/0006).
CUSTOMER_SHARDS = 8
OPEN_SHARDS = 16
# And a day's charged payments over as many as are charged at the same time at most.
CHARGED_SHARDS = 16

Minor = Annotated[int, Meta(ge=1)]
Id = Annotated[str, Meta(pattern=rf"\A{ID}\Z")]


class RefundRecord(Struct, frozen=True, omit_defaults=True):
    """A refund as its payment holds it. Times are UTC, RFC 3339 with microseconds."""

    amount_minor: Minor
    status: Status
    created_at: str
    updated_at: str
    fingerprint: str
    reason: str | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None
    trace: str = ""

    def __post_init__(self) -> None:
        if self.status not in REFUND_STATES:
            raise ValueError("status is none that a refund can have")


class DisputeRecord(Struct, frozen=True, omit_defaults=True):
    """A customer's objection at the bank, as its payment holds it. ``status`` and ``reason`` are the gateway's words.

    ``told`` orders what the gateway has told of it: what is not greater was known already.
    """

    amount_minor: Minor
    status: str
    reason: str
    told: int
    updated_at: str
    closed: bool = False


class Payment(Struct, frozen=True, omit_defaults=True):
    """A payment as the table has it. Times are UTC, RFC 3339 with microseconds.

    ``payment_method`` and ``fingerprint`` are empty where who reads has no need of them. ``trace`` names the trace of
    the request, since the table's stream carries no trace header; it is empty where there was none. ``next_action`` is
    what the gateway waits for the customer to do, in its word; once the payment is final it says nothing.
    ``restored_at`` says when the item was put back from a backup; it is empty where it never was. What happened after
    the backup is not in it.
    """

    transaction_id: Id
    customer_id: str
    amount_minor: Minor
    currency: str
    status: Status
    version: int
    created_at: str
    updated_at: str
    payment_method: str = ""
    fingerprint: str = ""
    description: str | None = None
    metadata: dict[str, str] | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None
    refunds: dict[Id, RefundRecord] = {}
    redrives: int = 0
    trace: str = ""
    next_action: str = ""
    disputes: dict[str, DisputeRecord] = {}
    restored_at: str = ""

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise ValueError("currency is not the code of an ISO 4217 currency")

    @property
    def money(self) -> Money:
        """The amount."""
        return Money(self.amount_minor, self.currency)

    @property
    def refunded(self) -> Money:
        """What has been given back."""
        return self._sum(Status.PROCESSED)

    @property
    def refundable(self) -> Money:
        """What is neither given back nor about to be."""
        return Money(self.amount_minor - self._sum(Status.PROCESSED, *OPEN).minor, self.currency)

    def _sum(self, *states: Status) -> Money:
        return Money(sum(each.amount_minor for each in self.refunds.values() if each.status in states), self.currency)

    @property
    def open_refunds(self) -> list[str]:
        """The refunds of which the gateway has not said its last word."""
        return [refund_id for refund_id, refund in self.refunds.items() if refund.status in OPEN]

    @property
    def is_open(self) -> bool:
        """Whether there is a charge or a refund of which the gateway has not said its last word."""
        return self.status in OPEN or bool(self.open_refunds)


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


class PoisonError(Exception):
    """A message or record that no retry can mend."""


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, always with microseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def since(text: str, moment: datetime) -> timedelta:
    """Return how long before ``moment`` a time was that ``timestamp`` wrote."""
    return moment - datetime.fromisoformat(text)


def customer_key(customer_id: str, shard: int) -> str:
    """Return a key of the customer index; its sign is in no customer_id."""
    return f"{customer_id}#{shard}"


def _shard(transaction_id: str, shards: int) -> int:
    return int.from_bytes(hashlib.sha256(transaction_id.encode()).digest()[:4]) % shards


def open_key(transaction_id: str) -> str:
    """Return the key of the open index under which a payment stands while it is not final."""
    return str(_shard(transaction_id, OPEN_SHARDS))


def charged_key(transaction_id: str, at: datetime) -> str:
    """Return the key under which a payment stands that was charged then; a day's length is UTC's."""
    return f"{timestamp(at)[:10]}#{_shard(transaction_id, CHARGED_SHARDS)}"


def to_attribute(value: Any) -> dict[str, Any]:  # noqa: ANN401 - what msgspec makes of a struct
    """Write a plain value as a DynamoDB attribute; what is None in a map is left out."""
    match value:
        case str():
            return {"S": str(value)}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case dict():
            return {"M": {name: to_attribute(part) for name, part in value.items() if part is not None}}
        case _:
            raise TypeError(f"no attribute holds a {type(value).__name__}")


def to_item(payment: Payment) -> dict[str, Any]:
    """Write a payment as a DynamoDB item, with the keys that the indexes find it by."""
    plain = {name: value for name, value in msgspec.structs.asdict(payment).items() if value not in (None, "")}
    plain |= {"refunds": msgspec.to_builtins(payment.refunds), "disputes": msgspec.to_builtins(payment.disputes)}
    if not payment.disputes:
        del plain["disputes"]
    plain["customer_shard"] = customer_key(payment.customer_id, _shard(payment.transaction_id, CUSTOMER_SHARDS))
    if payment.status in OPEN:
        plain |= {"open_shard": open_key(payment.transaction_id), "open_from": payment.created_at}
    item: dict[str, Any] = to_attribute(plain)["M"]
    return item


def _plain(attribute: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the item holds
    match attribute:
        case {"S": str(text)}:
            return text
        case {"N": str(number)}:
            return int(number)
        case {"BOOL": bool(truth)}:
            return truth
        case {"M": dict(entries)}:
            return {key: _plain(entry, f"{name}.{key}") for key, entry in entries.items()}
        case _:
            raise PoisonError(f"the attribute {name} has a type that no payment has")


def from_item(item: dict[str, Any]) -> Payment:
    """Read a payment from a DynamoDB item; raises PoisonError where it is none."""
    try:
        plain = {name: _plain(item[name], name) for name in Payment.__struct_fields__ if name in item}
        return msgspec.convert(plain, Payment)
    except (msgspec.ValidationError, ValueError) as error:
        raise PoisonError(f"not a payment: {error}") from error
