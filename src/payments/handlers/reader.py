"""``GET /payments/{transaction_id}`` and ``GET /customers/{customer_id}/payments``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import aws, settings
from payments.contract import CUSTOMER_ID, TRANSACTION_ID, FieldError
from payments.once import once
from payments.problems import INVALID, NOT_FOUND, UNAVAILABLE, Response, problem, response
from payments.store import Table, TokenError
from payments.telemetry import flush, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.model import Payment

DEFAULT_LIMIT = 20
# What BatchGetItem takes in one call.
MAX_LIMIT = 100


@once
def wired() -> Table:
    """Return the table."""
    return Table(aws.client("dynamodb"), settings.text("TABLE_NAME"), settings.text("CUSTOMER_INDEX_NAME"))


def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    try:
        if event["resource"] == "/payments/{transaction_id}":
            return _one(event["pathParameters"]["transaction_id"], request_id)
        return _list(event["pathParameters"]["customer_id"], event.get("queryStringParameters") or {}, request_id)
    except aws.UnavailableError as error:
        logger.warning("the table did not answer", reason=str(error))
        return problem(UNAVAILABLE, "The answer could not be read now. Repeat the request.", request_id)
    finally:
        flush()


def _one(transaction_id: str, request_id: str) -> Response:
    payment = wired().get(transaction_id) if TRANSACTION_ID.fullmatch(transaction_id) else None
    if payment is None:
        return problem(NOT_FOUND, "There is no payment with this transaction_id.", request_id)
    return response(200, view(payment))


def _list(customer_id: str, query: dict[str, str], request_id: str) -> Response:
    if not CUSTOMER_ID.fullmatch(customer_id):
        return _wrong("customer_id", f"must match ^{CUSTOMER_ID.pattern}$", request_id)
    limit = query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= MAX_LIMIT):  # noqa: PLR2004
        return _wrong("limit", f"must be a whole number from 1 to {MAX_LIMIT}", request_id)
    try:
        page = wired().of_customer(customer_id, int(limit), query.get("next_token"))
    except TokenError:
        return _wrong("next_token", "must be the next_token of an earlier page of this list", request_id)
    body: dict[str, Any] = {"payments": [view(payment) for payment in page.payments]}
    if page.next_token:
        body["next_token"] = page.next_token
    return response(200, body)


def _wrong(parameter: str, detail: str, request_id: str) -> Response:
    error = FieldError(f"/{parameter}", detail)
    return problem(INVALID, "A parameter is wrong.", request_id, [error])


def view(payment: Payment) -> dict[str, Any]:
    """Return what a reader is shown of a payment: not the payment method, nor the fingerprint."""
    shown = {
        "transaction_id": payment.transaction_id,
        "customer_id": payment.customer_id,
        "amount": str(payment.money),
        "currency": payment.currency,
        "status": payment.status,
        "version": payment.version,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
        "description": payment.description,
        "metadata": payment.metadata,
        "gateway_reference": payment.gateway_reference,
        "failure_code": payment.failure_code,
    }
    return {name: value for name, value in shown.items() if value is not None}
