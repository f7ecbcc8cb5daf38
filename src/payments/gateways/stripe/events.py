"""Stripe's events: checks the signature, and reads the report in the port's terms. Stripe's package is not needed."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from payments.gateways.port import ChargeReported, DisputeReported, RefundReported, ReportError
from payments.gateways.stripe.money import AmountError, from_stripe
from payments.gateways.stripe.outcomes import (
    Amount,
    Intent,
    RefundObject,
    charge_outcome,
    refund_outcome,
    stable_code,
)

if TYPE_CHECKING:
    from payments.domain.money import Money
    from payments.gateways.port import Report


# Bytes of an event's body. The largest is a dispute's: 150 000 characters of evidence
# (https://docs.stripe.com/api/disputes/evidence_object) and 27 000 of metadata are 1.1 MB, if each is an escape of six
# bytes. An event's previous values take little more.
MAX_BODY = 2 * 1024 * 1024

# The greatest age of a signature, as Stripe recommends: an event cannot be replayed later.
TOLERANCE_SECONDS = 300

_MOST_SECRETS = 2

_MOST_SIGNATURES = 10

# A charge's outcomes, and the action that the customer must take. ``processing`` adds nothing.
CHARGE_EVENTS = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.requires_action",
    }
)

# The last one is the older name of ``refund.updated``.
REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})

_DISPUTE_CLOSED = "charge.dispute.closed"

DISPUTE_EVENTS = frozenset({"charge.dispute.created", _DISPUTE_CLOSED})


class SignatureError(Exception):
    """The signature is not Stripe's, or too old. The message repeats nothing of it."""


_SECRET = re.compile(r"whsec_[!-~]{16,}")


class _SigningSecrets(Struct, frozen=True):
    secrets: list[str]


class _Data(Struct, frozen=True):
    object: msgspec.Raw


class _Dispute(Struct, frozen=True):
    id: str
    amount: Amount
    currency: str
    payment_intent: str | None = None
    reason: str | None = None
    status: str | None = None


T = TypeVar("T")


class Event(Struct, frozen=True):
    """The fields of a Stripe event that are read."""

    id: str
    type: str
    data: _Data
    created: Annotated[int, Meta(ge=0, le=2**40)] = 0


def signing_secrets(text: str) -> list[str]:
    """Read a secret's JSON: one secret or, while it is being rolled, two. Raises ValueError if there is none."""
    try:
        secrets = msgspec.json.decode(text, type=_SigningSecrets).secrets
    except msgspec.MsgspecError as error:
        raise ValueError('the secret must be JSON: {"secrets": ["whsec_..."]}') from error
    # Anyone could guess a shorter one, such as the prefix alone, which an empty variable would give.
    if not 1 <= len(secrets) <= _MOST_SECRETS or not all(map(_SECRET.fullmatch, secrets)):
        raise ValueError("the secret must hold one or two values: whsec_ and at least 16 more characters")
    return secrets


def verify(body: bytes, header: str, secrets: list[str], now: float) -> None:
    """Raise SignatureError unless one of the secrets signed these bytes of the body a short while ago."""
    parts = [part.strip().partition("=") for part in header.split(",", _MOST_SIGNATURES)]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value.encode() for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or not signatures:
        raise SignatureError("the header has no signature of scheme v1")
    signed = times[0].encode() + b"." + body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    # Every pair is compared in full, so the time taken reveals nothing.
    if not any([hmac.compare_digest(one, other) for one in expected for other in signatures]):  # noqa: C419
        raise SignatureError("no secret matches the signature")
    # Checked after the signature, so that only Stripe can learn our clock's time.
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise SignatureError("the signature is too old")


def event_of(body: bytes) -> Event:
    """Read an event; raises ReportError if the body is not an event."""
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReportError("the body is not an event") from error


def report_of(event: Event) -> Report | None:
    """Return what an event reports; None if it is not about a payment. Raises ReportError if it makes no sense."""
    if event.type in DISPUTE_EVENTS:
        return _dispute_report(event)
    if event.type in REFUND_EVENTS:
        refund = _read(event, RefundObject)
        return RefundReported(
            event.id, refund.id, refund.metadata or {}, _money(refund.amount, refund.currency), refund_outcome(refund)
        )
    if event.type in CHARGE_EVENTS:
        intent = _read(event, Intent)
        return ChargeReported(
            event.id, intent.id, intent.metadata or {}, _money(intent.amount, intent.currency), charge_outcome(intent)
        )
    return None


def _dispute_report(event: Event) -> DisputeReported:
    dispute = _read(event, _Dispute)
    return DisputeReported(
        event_id=event.id,
        dispute_id=dispute.id,
        charge_reference=dispute.payment_intent or "",
        money=_money(dispute.amount, dispute.currency),
        status=stable_code(dispute.status, "unknown"),
        reason=stable_code(dispute.reason, "general"),
        created=event.created,
        closed=event.type == _DISPUTE_CLOSED,
    )


def _money(amount: int | None, currency: str | None) -> Money | None:
    try:
        return from_stripe(amount or 0, currency or "")
    except AmountError:
        return None


def _read(event: Event, kind: type[T]) -> T:
    """Return the object of an event; raises ReportError if it is not of this kind."""
    try:
        return msgspec.json.decode(event.data.object, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReportError("the event's object does not match its type") from error
