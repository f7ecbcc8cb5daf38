"""``POST /payments``: accept a payment, once."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from payments import aws, settings
from payments.contract import FieldError, NotJsonError, PaymentRequest, RequestError, parse
from payments.model import Payment, Status, now, timestamp
from payments.once import once
from payments.problems import INVALID, MALFORMED, MISMATCH, UNAVAILABLE, Response, problem, response
from payments.store import Table
from payments.telemetry import flush, logger, measure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@once
def wired() -> tuple[Table, str]:
    """Return the table and the default currency."""
    return Table(aws.client("dynamodb"), settings.text("TABLE_NAME")), settings.text("DEFAULT_CURRENCY")


def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    table, default_currency = wired()
    try:
        return _accept(event, table, default_currency)
    except NotJsonError:
        measure("Refused")
        return problem(MALFORMED, "The body must be a JSON object in UTF-8.", request_id)
    except RequestError as error:
        measure("Refused")
        logger.info("refused", fields=[wrong.pointer for wrong in error.errors])
        return problem(INVALID, "The request asks for no payment that could be made.", request_id, error.errors)
    except aws.UnavailableError as error:
        logger.warning("the table did not answer", reason=str(error))
        return problem(
            UNAVAILABLE, "The payment could not be stored now. It is safe to repeat the request.", request_id
        )
    finally:
        flush()


def _accept(event: dict[str, Any], table: Table, default_currency: str) -> Response:
    request = parse(_body(event), default_currency)
    _check_key(event, request)
    payment = _payment(request)
    stored = table.accept(payment)
    if stored.fingerprint != payment.fingerprint:
        measure("Mismatched")
        return problem(
            MISMATCH,
            "This transaction_id belongs to a payment that was asked for differently. Use a new one for a new payment.",
            event["requestContext"]["requestId"],
        )
    # A put whose answer was lost, and which the SDK repeated, meets its own item: that is no replay.
    replayed = stored.created_at != payment.created_at
    measure("Replayed" if replayed else "Accepted")
    logger.info("replayed" if replayed else "accepted", transaction_id=payment.transaction_id)
    return response(
        202,
        {
            "message": "Payment validated",
            "transaction_id": stored.transaction_id,
            "status": Status.VALIDATED,
            "customer_id": stored.customer_id,
            "amount": str(stored.money),
            "currency": stored.currency,
            "created_at": stored.created_at,
        },
        {"Location": f"/payments/{stored.transaction_id}"} | ({"Idempotent-Replayed": "true"} if replayed else {}),
    )


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotJsonError from error


def _check_key(event: dict[str, Any], request: PaymentRequest) -> None:
    for name, value in (event.get("headers") or {}).items():
        if name.lower() == "idempotency-key" and value != request.transaction_id:
            raise RequestError(
                [FieldError("/transaction_id", "must equal the Idempotency-Key header, where that is sent")]
            )


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
    )
