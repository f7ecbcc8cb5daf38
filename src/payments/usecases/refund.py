"""Accept a refund once, and never refund more than was charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payments.domain.clock import timestamp
from payments.domain.commands import MAX_REFUNDS
from payments.domain.errors import (
    MismatchError,
    NoPaymentError,
    NotRefundableError,
    TooMuchError,
    UnavailableError,
)
from payments.domain.ids import TRANSACTION_ID
from payments.domain.lifecycle import OPEN, REFUNDABLE, Status
from payments.domain.payment import RefundRecord
from payments.runtime.telemetry import logger, measure
from payments.usecases.accept import Accepted, observed

if TYPE_CHECKING:
    from payments.domain.commands import RefundRequest
    from payments.domain.money import Money
    from payments.domain.payment import Payment
    from payments.usecases.ports import Clock, Payments


# If several requests refund the same payment at once, one of them succeeds in each round.
_ROUNDS = 10


def accept_refund(
    payments: Payments, clock: Clock, transaction_id: str, request: RefundRequest, trace: str
) -> Accepted:
    """Add a refund to its payment, or find the one that has its id.

    Raises NoPaymentError, MismatchError, NotRefundableError, TooMuchError, InvalidFieldError if the amount is not of
    the payment's currency, and UnavailableError if the repository does not answer.
    """
    with observed(transaction_id):
        accepted = _accept(payments, timestamp(clock()), transaction_id, request, trace)
    measure("RefundReplayed" if accepted.replayed else "RefundAccepted")
    logger.info(
        "refund replayed" if accepted.replayed else "refund accepted",
        transaction_id=transaction_id,
        refund_id=request.refund_id,
    )
    return accepted


def _accept(payments: Payments, moment: str, transaction_id: str, request: RefundRequest, trace: str) -> Accepted:
    if not TRANSACTION_ID.fullmatch(transaction_id):
        raise NoPaymentError
    # The payment is read, and written on the condition that it has not changed since: so the remainder cannot change
    # in between.
    for _ in range(_ROUNDS):
        payment = payments.get(transaction_id)
        if payment is None:
            raise NoPaymentError
        fingerprint = request.fingerprint(payment)
        existing = payment.refunds.get(request.refund_id)
        if existing is not None:
            if existing.fingerprint != fingerprint:
                raise MismatchError
            # The SDK repeats a write whose answer was lost. The repeat finds its own entry, and is not a replay.
            return Accepted(payment, replayed=existing.created_at != moment)
        refund = RefundRecord(
            amount_minor=_amount(payment, request).minor,
            status=Status.VALIDATED,
            created_at=moment,
            updated_at=moment,
            fingerprint=fingerprint,
            reason=request.reason,
            trace=trace,
        )
        if payments.add_refund(payment, request.refund_id, refund):
            refunds = payment.refunds | {request.refund_id: refund}
            return Accepted(msgspec.structs.replace(payment, refunds=refunds), replayed=False)
    raise UnavailableError("the payment changes too fast")


def _amount(payment: Payment, request: RefundRequest) -> Money:
    if payment.status in OPEN:
        raise NotRefundableError("The payment is not final yet. Repeat the request when it is processed.")
    if payment.status not in REFUNDABLE:
        raise NotRefundableError(f"The payment is {payment.status}, so there is nothing to refund.")
    if len(payment.refunds) >= MAX_REFUNDS:
        raise NotRefundableError(f"The payment has {MAX_REFUNDS} refunds and cannot have more.")
    remainder = payment.refundable
    money = request.money(payment)
    if not 0 < money.minor <= remainder.minor:
        raise TooMuchError(f"At most {remainder} {remainder.currency} of this payment can still be refunded.")
    return money
