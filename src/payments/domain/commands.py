"""A client's checked requests: to accept a payment, or a refund of a payment."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from msgspec import Struct

from payments.domain.errors import InvalidFieldError
from payments.domain.money import Money, MoneyError

if TYPE_CHECKING:
    from payments.domain.payment import Payment

# Each refund is an entry in its payment's item, which DynamoDB limits to 400 KB.
MAX_REFUNDS = 50


class PaymentRequest(Struct, frozen=True):
    """A checked request for a payment."""

    transaction_id: str
    customer_id: str
    money: Money
    payment_method: str
    description: str | None
    metadata: dict[str, str] | None

    def fingerprint(self) -> str:
        """Return a hash that is equal for two ways to write the same request."""
        return _fingerprint(
            self.transaction_id,
            self.customer_id,
            self.money.minor,
            self.money.currency,
            self.payment_method,
            self.description,
            sorted((self.metadata or {}).items()),
        )


class RefundRequest(Struct, frozen=True):
    """A request for a refund, checked as far as possible without its payment. No amount means the whole remainder."""

    refund_id: str
    amount: str | None
    currency: str | None
    reason: str | None

    def money(self, payment: Payment) -> Money:
        """Return the amount to refund; raises InvalidFieldError if it is not an amount of the payment's currency."""
        if self.currency not in (None, payment.currency):
            raise InvalidFieldError("currency", "must be the payment's currency, if you send it")
        if self.amount is None:
            return payment.refundable
        try:
            return Money.parse(self.amount, payment.currency)
        except MoneyError as error:
            raise InvalidFieldError("amount", str(error)) from error

    def fingerprint(self, payment: Payment) -> str:
        """Return a hash that is equal for two ways to write the same request."""
        amount = None if self.amount is None else self.money(payment).minor
        return _fingerprint(payment.transaction_id, self.refund_id, amount, self.reason)


def _fingerprint(*parts: object) -> str:
    """Return the SHA-256 of the parts as compact JSON in UTF-8. Stored payments hold it, so it must never change."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
