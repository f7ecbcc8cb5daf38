"""``POST /payments``: accept a payment, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.api.answers import PaymentAccepted
from payments.api.problems import MISMATCH, UNAVAILABLE, Response, body_of, header, problem, refusal, response
from payments.api.requests import MAX_BODY, BadRequestError, PaymentRequest, parse_payment
from payments.domain.clock import now, timestamp
from payments.domain.errors import UnavailableError
from payments.domain.lifecycle import Status
from payments.domain.payment import Payment
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure, trace_header
from payments.table.store import Table

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@wire_once
def wired() -> tuple[Table, str, dict[str, int]]:
    """Return the table, the default currency, and the largest amounts by currency, in minor units."""
    table = Table(client.connect("dynamodb"), settings.text("TABLE_NAME"))
    return table, settings.currency("DEFAULT_CURRENCY"), settings.amounts("AMOUNT_LIMITS")


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    table, default_currency, limits = wired()
    try:
        return _accept(event, table, default_currency, limits)
    except BadRequestError as error:
        measure("Refused")
        logger.info("refused", fields=[wrong.pointer for wrong in error.errors], reason=type(error).__name__)
        return refusal(error, request_id)


def _accept(event: dict[str, Any], table: Table, default_currency: str, limits: dict[str, int]) -> Response:
    request = parse_payment(body_of(event, MAX_BODY), header(event, "Idempotency-Key"), default_currency, limits)
    payment = _payment(request)
    request_id = event["requestContext"]["requestId"]
    try:
        stored = table.accept(payment)
    except UnavailableError as error:
        logger.warning("the table did not answer", transaction_id=payment.transaction_id, reason=str(error))
        detail = "The payment could not be stored. It is safe to repeat the request."
        return problem(UNAVAILABLE, detail, request_id)
    if stored.fingerprint != payment.fingerprint:
        measure("Mismatched")
        logger.info("mismatched", transaction_id=payment.transaction_id)
        return problem(
            MISMATCH,
            "A different payment has this transaction_id. Use a new transaction_id for a new payment.",
            request_id,
        )
    # A put whose answer was lost, and which the SDK repeated, meets its own item: that is no replay.
    replayed = stored.created_at != payment.created_at
    measure("Replayed" if replayed else "Accepted")
    logger.info("replayed" if replayed else "accepted", transaction_id=payment.transaction_id)
    headers = {"Location": f"/payments/{stored.transaction_id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return response(202, PaymentAccepted.of(stored), headers)


def _payment(request: PaymentRequest) -> Payment:
    moment = timestamp(now())
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
        trace=trace_header(),
    )
