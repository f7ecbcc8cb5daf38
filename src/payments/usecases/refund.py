"""Accept a refund once, and never more refunds than were charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from payments.api.requests import MAX_REFUNDS, RefundRequest
from payments.domain.clock import timestamp
from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import OPEN, REFUNDABLE, Status
from payments.domain.payment import Payment, RefundRecord
from payments.runtime.telemetry import trace_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from payments.domain.money import Money
    from payments.table.store import Table


# Each round, one of those who refund the same payment at the same moment is served.
_ROUNDS = 10


class NoPaymentError(Exception):
    """There is no payment with the id."""


class MismatchError(Exception):
    """The refund's id belongs to a refund that was asked for differently."""


class NotRefundableError(Exception):
    """Nothing can be given back of the payment as it is; the message says why, and is fit for the caller."""


class TooMuchError(Exception):
    """More is asked for than is left; the message says what is left, and is fit for the caller."""


class Accepted(Struct, frozen=True):
    """The payment with the refund in it, and whether the refund was there before."""

    payment: Payment
    replayed: bool


class Refunding:
    """Accepts refunds into their payments; ``clock`` tells the time."""

    def __init__(self, table: Table, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._clock = clock

    def accept(self, transaction_id: str, request: RefundRequest) -> Accepted:
        """Add a refund to its payment, or find the one that has its id.

        The payment is read, and written on the condition that it is still as it was read: what is left to give back
        cannot change in between. Raises NoPaymentError, MismatchError, NotRefundableError, TooMuchError, RequestError
        where the amount is none of the payment's currency, and UnavailableError where DynamoDB does not answer.
        """
        moment = timestamp(self._clock())
        for _ in range(_ROUNDS):
            payment = self._table.get(transaction_id)
            if payment is None:
                raise NoPaymentError
            there = payment.refunds.get(request.refund_id)
            fingerprint = request.fingerprint(payment)
            if there is not None:
                if there.fingerprint != fingerprint:
                    raise MismatchError
                # A write whose answer was lost, and which was tried again, meets its own entry: that is no replay.
                return Accepted(payment, replayed=there.created_at != moment)
            refund = RefundRecord(
                amount_minor=_amount(payment, request).minor,
                status=Status.VALIDATED,
                created_at=moment,
                updated_at=moment,
                fingerprint=fingerprint,
                reason=request.reason,
                trace=trace_header(),
            )
            if self._table.add_refund(payment, request.refund_id, refund):
                return Accepted(_with(payment, request.refund_id, refund), replayed=False)
        raise UnavailableError("the payment changes too fast")


def _with(payment: Payment, refund_id: str, refund: RefundRecord) -> Payment:
    return msgspec.structs.replace(payment, refunds=payment.refunds | {refund_id: refund})


def _amount(payment: Payment, request: RefundRequest) -> Money:
    if payment.status in OPEN:
        raise NotRefundableError("The payment is not final yet. Repeat the request when it is processed.")
    if payment.status not in REFUNDABLE:
        raise NotRefundableError(f"The payment is {payment.status}: there is nothing to give back.")
    if len(payment.refunds) >= MAX_REFUNDS:
        raise NotRefundableError(f"The payment has {MAX_REFUNDS} refunds, and takes no more.")
    left = payment.refundable
    money = request.money(payment)
    if not 0 < money.minor <= left.minor:
        raise TooMuchError(f"Of this payment, {left} {left.currency} can still be given back.")
    return money
