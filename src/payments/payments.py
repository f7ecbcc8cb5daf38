"""The payment, and the request that makes one."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from payments.money import Money
from payments.transitions import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with microseconds. As text these sort as they happened."""
    return moment.astimezone(UTC).strftime(TIMESTAMP)


def moment(text: str) -> datetime:
    """Return the moment that a timestamp of ours stands for."""
    return datetime.strptime(text, TIMESTAMP).replace(tzinfo=UTC)


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for, after every field was found good."""

    transaction_id: str
    customer_id: str
    amount: Money
    payment_method: str
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    currency_defaulted: bool = False
    """The client named no currency, so the amount is in the one that was the default at the time."""

    def in_currency(self, currency: str) -> PaymentRequest:
        """Return the same request in another currency, for one that named none."""
        return msgspec.structs.replace(self, amount=Money(self.amount.minor, currency))

    def fingerprint(self) -> str:
        """Return the SHA-256 of everything that was asked for, written in one way only.

        How the client wrote it makes no difference: the order of the fields, ``10.5`` or ``"10.50"``, an empty metadata
        or none.
        """
        canonical = {
            "amount": self.amount.decimal_string(),
            "currency": self.amount.currency,
            "customer_id": self.customer_id,
            "description": self.description,
            "metadata": dict(self.metadata) if self.metadata else None,
            "payment_method": self.payment_method,
            "transaction_id": self.transaction_id,
        }
        text = json.dumps(canonical, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the table has it: the truth, and the record of the request that made it."""

    transaction_id: str
    customer_id: str
    amount: Money
    payment_method: str
    status: Status
    version: int
    created_at: str
    updated_at: str
    fingerprint: str
    request_id: str | None = None
    """Which call wrote the item first. A call that finds its own id there wrote it, and only its answer was lost."""
    currency_defaulted: bool = False
    description: str | None = None
    metadata: Mapping[str, str] | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None


def accept(request: PaymentRequest, *, now: datetime, request_id: str) -> Payment:
    """Return the payment that a request makes."""
    at = timestamp(now)
    return Payment(
        transaction_id=request.transaction_id,
        customer_id=request.customer_id,
        amount=request.amount,
        payment_method=request.payment_method,
        status=Status.VALIDATED,
        version=1,
        created_at=at,
        updated_at=at,
        fingerprint=request.fingerprint(),
        request_id=request_id,
        currency_defaulted=request.currency_defaulted,
        description=request.description,
        metadata=request.metadata,
    )
