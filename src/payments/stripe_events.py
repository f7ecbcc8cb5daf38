"""What Stripe tells by itself: signed events, of what was pending, or was done at Stripe by someone else.

An event may come twice, late, or before an older one. The payment's own transitions see to that, as they do for
messages: a repeat changes nothing, and no event reopens a payment that is final. So an event's id need not be kept.
A dispute's events carry no metadata of the payment's: it is found by the charge that they name.
Stripe's package is not needed to read one, and this module does without.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from payments.contract import REFUND_ID, TRANSACTION_ID
from payments.gateway import Approved, Declined, Pending
from payments.model import DisputeRecord, timestamp
from payments.money import Money
from payments.stripe_money import AmountError, from_stripe
from payments.stripe_outcomes import charged, given_back, word
from payments.telemetry import logger, measure
from payments.transitions import OPEN, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from payments.charging import Settling
    from payments.model import Payment
    from payments.store import GatewayIndex, Table

# How old a signature may be, as Stripe recommends: it cannot be played again later.
TOLERANCE_SECONDS = 300
_MOST_SECRETS = 2
_MOST_SIGNATURES = 10
_DISPUTE_ID = re.compile(r"[A-Za-z0-9_]{1,64}")

# A charge's last words, and what the customer must do. ``processing`` adds nothing, and could come late.
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
    object: dict[str, Any]


class Event(Struct, frozen=True):
    """An event of Stripe's, as far as it is read."""

    id: str
    type: str
    data: _Data
    created: int = 0


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
        thing = event.data.object
        if event.type in DISPUTE_EVENTS:
            return self._dispute(event)
        if event.type not in CHARGE_EVENTS | REFUND_EVENTS:
            return "not ours to know"
        metadata = thing.get("metadata") or {}
        transaction_id = str(metadata.get("transaction_id", ""))
        refund_id = str(metadata.get("refund_id", "")) if event.type in REFUND_EVENTS else None
        if metadata.get("environment") != self._scope or not TRANSACTION_ID.fullmatch(transaction_id):
            return self._foreign(event)
        payment = self._table.get(transaction_id)
        if payment is None or (
            refund_id is not None and (not REFUND_ID.fullmatch(refund_id) or refund_id not in payment.refunds)
        ):
            logger.error("the gateway tells of what is not in the table", transaction_id=transaction_id)
            return "unknown"
        return self._settle(payment, refund_id, event)

    def _dispute(self, event: Event) -> str:
        thing = event.data.object
        reference = str(thing.get("payment_intent") or "")
        transaction_id = self._charges.find(reference) if reference else None
        payment = self._table.get(transaction_id) if transaction_id else None
        if payment is None:
            # Of another stack on the same account, or of a charge that was made by hand.
            logger.warning(
                "a dispute of a charge that was not made here", event_id=event.id, gateway_reference=reference
            )
            return "not ours"
        try:
            disputed = from_stripe(int(thing["amount"]), str(thing["currency"]))
            dispute_id = _DISPUTE_ID.fullmatch(str(thing["id"]))
        except (AmountError, KeyError, TypeError, ValueError):
            raise EventError("the body is no dispute") from None
        if dispute_id is None or disputed.currency != payment.currency or disputed.minor < 1:
            return self._contradicted(payment)
        closed = event.type == "charge.dispute.closed"
        at = self._clock()
        dispute = DisputeRecord(
            amount_minor=disputed.minor,
            status=word(thing.get("status"), "unknown"),
            reason=word(thing.get("reason"), "general"),
            # Both may be of the same second.
            told=2 * event.created + closed,
            updated_at=timestamp(at),
            closed=closed,
        )
        if not self._table.record_dispute(payment.transaction_id, dispute_id[0], dispute, at):
            return "late"
        if not closed:
            measure("Disputed")
        # Who opens one has to be answered within days, by a person.
        (logger.info if closed else logger.error)(
            "a dispute is closed" if closed else "a charge is disputed",
            transaction_id=payment.transaction_id,
            event_type=event.type,
            status=dispute.status,
            reason=dispute.reason,
        )
        return "noted"

    def _foreign(self, event: Event) -> str:
        if event.type in REFUND_EVENTS:
            # By hand, in Stripe's dashboard: the payment does not know, and could be refunded once more.
            measure("ForeignRefund")
            logger.warning("a refund that was not asked for here", event_id=event.id)
        return "not ours"

    def _contradicted(self, payment: Payment) -> str:
        measure("Contradicted")
        logger.error("the gateway tells of another amount", transaction_id=payment.transaction_id)
        return "contradicted"

    def _settle(self, payment: Payment, refund_id: str | None, event: Event) -> str:
        thing = event.data.object
        part = payment if refund_id is None else payment.refunds[refund_id]
        try:
            found = from_stripe(int(thing["amount"]), str(thing["currency"]))
        except (AmountError, KeyError, TypeError, ValueError):
            found = None
        if found != Money(part.amount_minor, payment.currency):
            return self._contradicted(payment)
        outcome = charged(thing) if refund_id is None else given_back(thing)
        if not isinstance(outcome, (Approved, Declined, Pending)):
            return "undecided"
        if isinstance(outcome, Declined) and refund_id is None and payment.status not in OPEN:
            # An attempt that failed, told of after the one that did not.
            return "late"
        if isinstance(outcome, Pending) and part.status is Status.UNKNOWN:
            # Told once more, or after what has happened since: what it waits for may be done.
            known = (part.gateway_reference, getattr(part, "next_action", "")) == (
                outcome.reference,
                outcome.next_action,
            )
            if known or event.created < int(datetime.fromisoformat(part.updated_at).timestamp()):
                return "late"
        self._settling.settle(payment, refund_id, outcome)
        return "settled"
