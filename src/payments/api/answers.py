"""The bodies of the API's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from payments.domain.lifecycle import Status
from payments.domain.money import Money

if TYPE_CHECKING:
    from payments.domain.payment import Payment, RefundRecord


class FieldError(Struct, frozen=True):
    """An invalid field, by its JSON pointer (RFC 6901), and what would be valid. The value is never repeated."""

    pointer: str
    detail: str


Amount = Annotated[str, Meta(description="In the currency's major unit, with as many decimals as the currency has.")]

Time = Annotated[str, Meta(description="UTC, RFC 3339 with microseconds.", extra_json_schema={"format": "date-time"})]


class PaymentAccepted(Struct, frozen=True):
    """The payment is stored, and will be charged. A repeat of the request always gets the same answer."""

    message: str
    transaction_id: str
    status: str
    customer_id: str
    amount: Amount
    currency: str
    created_at: Time

    @classmethod
    def of(cls, payment: Payment) -> PaymentAccepted:
        """Return the answer. It consists of fields that never change."""
        return cls(
            "Payment validated",
            payment.transaction_id,
            Status.VALIDATED,
            payment.customer_id,
            str(payment.money),
            payment.currency,
            payment.created_at,
        )


class RefundAccepted(Struct, frozen=True):
    """The refund is stored, and will be made. A repeat of the request always gets the same answer."""

    message: str
    transaction_id: str
    refund_id: str
    status: str
    amount: Amount
    currency: str
    created_at: Time

    @classmethod
    def of(cls, payment: Payment, refund_id: str) -> RefundAccepted:
        """Return the answer. It consists of fields that never change."""
        refund = payment.refunds[refund_id]
        return cls(
            "Refund validated",
            payment.transaction_id,
            refund_id,
            Status.VALIDATED,
            str(Money(refund.amount_minor, payment.currency)),
            payment.currency,
            refund.created_at,
        )


class RefundView(Struct, frozen=True, omit_defaults=True):
    """A refund as it is now."""

    transaction_id: str
    refund_id: str
    status: Annotated[str, Meta(description="validated, processed, failed or unknown.")]
    amount: Amount
    currency: str
    created_at: Time
    updated_at: Time
    reason: str | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None

    @classmethod
    def of(cls, payment: Payment, refund_id: str) -> RefundView:
        """Return the public form of a refund."""
        refund: RefundRecord = payment.refunds[refund_id]
        return cls(
            transaction_id=payment.transaction_id,
            refund_id=refund_id,
            status=refund.status,
            amount=str(Money(refund.amount_minor, payment.currency)),
            currency=payment.currency,
            created_at=refund.created_at,
            updated_at=refund.updated_at,
            reason=refund.reason,
            gateway_reference=refund.gateway_reference,
            failure_code=refund.failure_code,
        )


class PaymentView(Struct, frozen=True, omit_defaults=True):
    """A payment as it is now. The payment method is not shown."""

    transaction_id: str
    customer_id: str
    amount: Amount
    currency: str
    status: Annotated[str, Meta(description="The payment's current state.")]
    version: Annotated[int, Meta(ge=1, description="Counts the payment's changes: a greater number is newer.")]
    created_at: Time
    updated_at: Time
    description: str | None = None
    metadata: dict[str, str] | None = None
    gateway_reference: str | None = None
    failure_code: str | None = None
    amount_refunded: str | None = None
    refunds: list[RefundView] = []

    @classmethod
    def of(cls, payment: Payment) -> PaymentView:
        """Return the public form of a payment."""
        return cls(
            transaction_id=payment.transaction_id,
            customer_id=payment.customer_id,
            amount=str(payment.money),
            currency=payment.currency,
            status=payment.status,
            version=payment.version,
            created_at=payment.created_at,
            updated_at=payment.updated_at,
            description=payment.description,
            metadata=payment.metadata,
            gateway_reference=payment.gateway_reference,
            failure_code=payment.failure_code,
            amount_refunded=str(payment.refunded) if payment.refunded.minor else None,
            refunds=[RefundView.of(payment, refund_id) for refund_id in payment.refunds],
        )


class PaymentList(Struct, frozen=True, omit_defaults=True):
    """A page of a customer's payments, newest first, and the token of the next page, if there may be one."""

    payments: list[PaymentView]
    next_token: str | None = None


class Problem(Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457). ``type`` is stable: programs go by it. ``instance`` is the request's id."""

    type: str
    title: str
    detail: str
    instance: str
    status: int | None = None
    errors: Annotated[list[FieldError], Meta(description="Every invalid field, by its JSON pointer (RFC 6901).")] = []
