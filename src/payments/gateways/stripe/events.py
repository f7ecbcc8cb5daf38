"""What Stripe tells by itself: signed events, of what was pending, or was done at Stripe by someone else.

An event may come twice, late, or before an older one. So it is a hint: what is final at Stripe settles the payment, and
anything else makes the processor ask Stripe for what is true now. A repeat changes nothing, no event reopens a payment
that is final, and no clock of ours is compared with Stripe's to tell what came first. An event's id need not be kept.
A dispute's events carry no metadata of the payment's: it is found by the charge that they name.
Stripe's package is not needed to read one, and this module does without.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from payments.domain.clock import timestamp
from payments.domain.errors import UnavailableError
from payments.domain.ids import REFUND_ID, TRANSACTION_ID
from payments.domain.lifecycle import OPEN, Status
from payments.domain.money import Money
from payments.domain.payment import DisputeRecord
from payments.gateways.port import Approved, Declined, Pending
from payments.gateways.stripe.money import AmountError, from_stripe
from payments.gateways.stripe.outcomes import Amount, Intent, RefundObject, charged, given_back, word
from payments.runtime.telemetry import logger, measure

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from payments.domain.payment import Payment, RefundRecord
    from payments.table.indexes import GatewayIndex
    from payments.table.store import Table
    from payments.usecases.settle import Settling


# How old a signature may be, as Stripe recommends: it cannot be played again later.
TOLERANCE_SECONDS = 300

_MOST_SECRETS = 2

_MOST_SIGNATURES = 10

_DISPUTE_ID = re.compile(r"[A-Za-z0-9_]{1,64}")

# How long a dispute may wait for its charge to be written down. Stripe sends again for three days, a few times in the
# first hour (https://docs.stripe.com/webhooks#retries).
DISPUTE_PATIENCE = timedelta(hours=1)

# A charge's last words, and what the customer must do. ``processing`` adds nothing.
CHARGE_EVENTS = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.requires_action",
    }
)

REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed"})

DISPUTE_EVENTS = frozenset({"charge.dispute.created", "charge.dispute.closed"})


class SignatureError(Exception):
    """The signature is none of Stripe's, or too old. The message repeats nothing of it."""


class EventError(Exception):
    """Stripe has signed something that is no event."""


_SECRET = re.compile(r"whsec_[!-~]{16,}")


class _Secrets(Struct, frozen=True):
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
    """An event of Stripe's, as far as it is read."""

    id: str
    type: str
    data: _Data
    created: Annotated[int, Meta(ge=0, le=2**40)] = 0


def signing_secrets(text: str) -> list[str]:
    """Read a secret's JSON: one or, while it is being rolled, two. Raises ValueError where it holds none."""
    try:
        secrets = msgspec.json.decode(text, type=_Secrets).secrets
    except msgspec.MsgspecError as error:
        raise ValueError('the secret must be JSON: {"secrets": ["whsec_..."]}') from error
    # One that is no longer than that, as from a variable that was not set, anybody could guess.
    if not 1 <= len(secrets) <= _MOST_SECRETS or not all(map(_SECRET.fullmatch, secrets)):
        raise ValueError("the secret must hold one or two that begin with whsec_ and go on for 16 characters or more")
    return secrets


def verify(body: bytes, header: str, secrets: list[str], now: float) -> None:
    """Raise SignatureError unless one of the secrets has signed the body, as it came, a short while ago."""
    parts = [part.strip().partition("=") for part in header.split(",", _MOST_SIGNATURES)]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value.encode() for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or not signatures:
        raise SignatureError("there is no signature of the scheme v1")
    signed = times[0].encode() + b"." + body
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    # Each with each, to the end: how long it takes tells nothing.
    if not any([hmac.compare_digest(one, other) for one in expected for other in signatures]):  # noqa: C419
        raise SignatureError("no secret has made the signature")
    # After the signature, so that only Stripe can learn what our clock says.
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise SignatureError("the signature is too old")


def event_of(body: bytes) -> Event:
    """Read an event; raises EventError where the body is none."""
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise EventError("the body is no event") from error


def _read(event: Event, kind: type[T]) -> T:
    """Return what an event is about; raises EventError where it is none of the kind."""
    try:
        return msgspec.json.decode(event.data.object, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise EventError("the event is about something else than its type says") from error


class Events:
    """Takes Stripe's events to the payments of one stack, which ``scope`` names."""

    def __init__(
        self,
        table: Table,
        charges: GatewayIndex,
        settling: Settling,
        scope: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._charges = charges
        self._settling = settling
        self._scope = scope
        self._clock = clock

    def take(self, event: Event) -> str:
        """Take an event, and say in a word what came of it. Raises UnavailableError where the table does not answer."""
        came = self._take(event)
        logger.info("event of the gateway", event_id=event.id, event_type=event.type, came=came)
        return came

    def _take(self, event: Event) -> str:
        if event.type in DISPUTE_EVENTS:
            return self._dispute(event, _read(event, _Dispute))
        if event.type in REFUND_EVENTS:
            return self._refund(event, _read(event, RefundObject))
        if event.type in CHARGE_EVENTS:
            return self._charge(_read(event, Intent))
        return "not ours to know"

    def _named(self, thing: Intent | RefundObject) -> str | None:
        """Return the transaction that a charge or a refund names, where it is one of this stack's."""
        metadata = thing.metadata or {}
        transaction_id = metadata.get("transaction_id", "")
        ours = metadata.get("environment") == self._scope and TRANSACTION_ID.fullmatch(transaction_id)
        return transaction_id if ours else None

    def _charge(self, intent: Intent) -> str:
        transaction_id = self._named(intent)
        if transaction_id is None:
            return "not ours"
        payment = self._table.get(transaction_id)
        if payment is None:
            return _unknown(transaction_id)
        outcome = charged(intent)
        surprise = _contradiction(payment, payment, intent, outcome)
        if surprise:
            return _contradicted(payment, surprise)
        if isinstance(outcome, Approved) and payment.gateway_reference in {None, intent.id}:
            self._settling.settle(payment, None, outcome)
            return "settled"
        return self._hint(payment, intent, outcome)

    def _hint(self, payment: Payment, intent: Intent, outcome: Approved | Declined | Pending) -> str:
        """Take what is not the last word of a charge, or may not be the last word of this payment's."""
        if payment.status not in OPEN:
            return "late"
        if payment.status is Status.VALIDATED:
            # The processor is charging it, or will repeat the call under the same key: its answer tells.
            return "under way"
        if payment.gateway_reference not in {None, intent.id}:
            return "another charge's"
        if isinstance(outcome, Declined) and payment.gateway_reference == intent.id:
            # Canceled: Stripe charges nothing by this PaymentIntent any more, and there is no other.
            self._settling.settle(payment, None, outcome)
            return "settled"
        if isinstance(outcome, Pending) and outcome.next_action and outcome.next_action == payment.next_action:
            return "late"
        # The processor asks Stripe what is true now, and cancels what has failed.
        if not self._table.redrive(payment, self._clock()):
            raise UnavailableError("the payment has changed meanwhile")
        return "asked"

    def _refund(self, event: Event, thing: RefundObject) -> str:
        transaction_id, refund_id = self._named(thing), (thing.metadata or {}).get("refund_id", "")
        if transaction_id is None:
            # By hand, in Stripe's dashboard: the payment does not know, and could be refunded once more.
            measure("ForeignRefund")
            logger.warning("a refund that was not asked for here", event_id=event.id)
            return "not ours"
        payment = self._table.get(transaction_id)
        refund = payment.refunds.get(refund_id) if payment and REFUND_ID.fullmatch(refund_id) else None
        if payment is None or refund is None:
            return _unknown(transaction_id)
        outcome = given_back(thing)
        surprise = _contradiction(payment, refund, thing, outcome)
        if surprise:
            return _contradicted(payment, surprise)
        if refund.gateway_reference not in {None, thing.id}:
            return "another refund's"
        if isinstance(outcome, Pending) and refund.gateway_reference == thing.id:
            return "late"
        self._settling.settle(payment, refund_id, outcome)
        return "settled"

    def _dispute(self, event: Event, thing: _Dispute) -> str:
        reference = thing.payment_intent or ""
        transaction_id = self._charges.find(reference) if reference else None
        payment = self._table.get(transaction_id) if transaction_id else None
        if payment is None:
            return self._stray_dispute(event, reference)
        try:
            disputed = from_stripe(thing.amount, thing.currency)
        except AmountError:
            raise EventError("the body is no dispute") from None
        if not _DISPUTE_ID.fullmatch(thing.id) or disputed.currency != payment.currency or disputed.minor < 1:
            return _contradicted(payment, "the gateway tells of another amount")
        closed = event.type == "charge.dispute.closed"
        at = self._clock()
        dispute = DisputeRecord(
            amount_minor=disputed.minor,
            status=word(thing.status, "unknown"),
            reason=word(thing.reason, "general"),
            # Both may be of the same second.
            sequence=2 * event.created + closed,
            updated_at=timestamp(at),
            closed=closed,
        )
        # The relay counts it, from the table's stream: the answer to this write may be lost.
        noted = self._table.record_dispute(payment.transaction_id, thing.id, dispute, at)
        return "noted" if noted else "late"

    def _stray_dispute(self, event: Event, reference: str) -> str:
        """Take a dispute of a charge that no payment has: one of another stack's, by hand, or not written down yet."""
        if reference and self._clock().timestamp() - event.created < DISPUTE_PATIENCE.total_seconds():
            raise UnavailableError("no payment has the disputed charge yet")
        logger.warning("a dispute of a charge that was not made here", event_id=event.id, gateway_reference=reference)
        return "not ours"


def _unknown(transaction_id: str) -> str:
    logger.error("the gateway tells of what is not in the table", transaction_id=transaction_id)
    return "unknown"


def _contradiction(
    payment: Payment,
    part: Payment | RefundRecord,
    thing: Intent | RefundObject,
    outcome: Approved | Declined | Pending,
) -> str | None:
    """Return what is wrong with what Stripe tells of a payment, or of its refund; None where nothing is."""
    try:
        money = from_stripe(thing.amount or 0, thing.currency or "")
    except AmountError:
        money = None
    if money != Money(part.amount_minor, payment.currency):
        return "the gateway tells of another amount"
    if isinstance(outcome, Approved) and part.gateway_reference not in {None, thing.id}:
        return "the gateway has moved the money twice"
    return None


def _contradicted(payment: Payment, reason: str) -> str:
    measure("Contradicted")
    logger.error(reason, transaction_id=payment.transaction_id)
    return "contradicted"
