"""Accept a payment once: a repeat finds the payment that the first request stored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from payments.domain.clock import timestamp
from payments.domain.errors import MismatchError, UnavailableError
from payments.domain.lifecycle import Status
from payments.domain.payment import Payment
from payments.runtime.telemetry import logger, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments.domain.commands import PaymentRequest
    from payments.usecases.ports import Clock, Payments


class Accepted(Struct, frozen=True):
    """The stored payment, and whether an earlier request had already stored it, or the refund in it."""

    payment: Payment
    replayed: bool


@contextmanager
def observed(transaction_id: str) -> Iterator[None]:
    """Count and log a request that fails although its fields are valid."""
    try:
        yield
    except MismatchError:
        measure("Mismatched")
        logger.info("mismatched", transaction_id=transaction_id)
        raise
    except UnavailableError as error:
        logger.warning("the table did not answer", transaction_id=transaction_id, reason=str(error))
        raise


def accept_payment(payments: Payments, clock: Clock, request: PaymentRequest, trace: str) -> Accepted:
    """Store a payment, or find the one that has its id.

    Raises MismatchError if that is a different payment, and UnavailableError if the repository does not answer.
    """
    payment = _payment(request, timestamp(clock()), trace)
    with observed(payment.transaction_id):
        stored = payments.accept(payment)
        if stored.fingerprint != payment.fingerprint:
            raise MismatchError
    # The SDK repeats a put whose answer was lost. The repeat finds its own item, and does not count as a replay.
    replayed = stored.created_at != payment.created_at
    measure("Replayed" if replayed else "Accepted")
    logger.info("replayed" if replayed else "accepted", transaction_id=payment.transaction_id)
    return Accepted(stored, replayed)


def _payment(request: PaymentRequest, moment: str, trace: str) -> Payment:
    return Payment(
        transaction_id=request.transaction_id,
        customer_id=request.customer_id,
        amount_minor=request.money.minor,
        currency=request.money.currency,
        payment_method=request.payment_method,
        status=Status.VALIDATED,
        version=1,
        created_at=moment,
        updated_at=moment,
        fingerprint=request.fingerprint(),
        description=request.description,
        metadata=request.metadata,
        trace=trace,
    )
