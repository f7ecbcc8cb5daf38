"""``GET``: read a payment, a refund, or a customer's payments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from payments.api.answers import FieldError, PaymentList, PaymentView, RefundView
from payments.api.problems import INVALID, NOT_FOUND, UNAVAILABLE, Response, problem, response
from payments.api.requests import DEFAULT_LIMIT, MAX_LIMIT, MAX_TOKEN
from payments.domain.errors import UnavailableError
from payments.domain.ids import CUSTOMER_ID, REFUND_ID, TRANSACTION_ID
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger
from payments.table.indexes import CustomerIndex, TokenError
from payments.table.store import Table

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.domain.payment import Payment

_LIMIT = re.compile(r"[0-9]{1,3}")
# The most bytes for a page's payments. Lambda limits an answer to 6 MiB; a payment with 50 refunds can take 0.5 MiB.
MAX_PAGE = 5 * 1024 * 1024


@wire_once
def wired() -> tuple[Table, CustomerIndex]:
    """Return the table and its index of customers."""
    dynamodb = client.connect("dynamodb")
    name = settings.text("TABLE_NAME")
    index = CustomerIndex(dynamodb, name, settings.text("CUSTOMER_INDEX_NAME"), settings.text("PAGE_TOKEN_SEAL"))
    return Table(dynamodb, name), index


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    path = event["pathParameters"]
    table, index = wired()
    try:
        match event["resource"]:
            case "/payments/{transaction_id}":
                return _payment(table, path["transaction_id"], request_id)
            case "/payments/{transaction_id}/refunds/{refund_id}":
                return _refund(table, path["transaction_id"], path["refund_id"], request_id)
            case _:
                query = event.get("queryStringParameters") or {}
                return _list(index, path["customer_id"], query, request_id)
    except UnavailableError as error:
        logger.warning("the table did not answer", reason=str(error))
        return problem(UNAVAILABLE, "The table did not answer. Repeat the request.", request_id)


def _payment(table: Table, transaction_id: str, request_id: str) -> Response:
    payment = table.get(transaction_id) if TRANSACTION_ID.fullmatch(transaction_id) else None
    if payment is None:
        return problem(NOT_FOUND, "There is no payment with this transaction_id.", request_id)
    return response(200, PaymentView.of(payment))


def _refund(table: Table, transaction_id: str, refund_id: str, request_id: str) -> Response:
    are_ids = TRANSACTION_ID.fullmatch(transaction_id) and REFUND_ID.fullmatch(refund_id)
    payment = table.get(transaction_id) if are_ids else None
    if payment is None or refund_id not in payment.refunds:
        return problem(NOT_FOUND, "This payment has no refund with this refund_id.", request_id)
    return response(200, RefundView.of(payment, refund_id))


def _list(index: CustomerIndex, customer_id: str, query: dict[str, str], request_id: str) -> Response:
    errors = []
    if not CUSTOMER_ID.fullmatch(customer_id):
        errors.append(FieldError("/customer_id", f"must match ^{CUSTOMER_ID.pattern}$"))
    limit = query.get("limit", str(DEFAULT_LIMIT))
    next_token = query.get("next_token")
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        errors.append(FieldError("/limit", f"must be a whole number from 1 to {MAX_LIMIT}"))
    if next_token is not None and len(next_token) > MAX_TOKEN:
        errors.append(_NOT_A_TOKEN)
    if not errors:
        try:
            page = index.page(customer_id, int(limit), next_token, _Room().takes)
        except TokenError:
            errors.append(_NOT_A_TOKEN)
    if errors:
        return problem(INVALID, "Some parameters are invalid.", request_id, errors)
    return response(200, PaymentList([PaymentView.of(payment) for payment in page.payments], page.next_token))


_NOT_A_TOKEN = FieldError("/next_token", "must be the next_token of an earlier page of this list")


class _Room:
    """Room for payments in one answer."""

    def __init__(self) -> None:
        self._left = MAX_PAGE

    def takes(self, payment: Payment) -> bool:
        """Reserve room for a payment; return whether there was enough."""
        # Lambda's runtime writes the body as a string inside JSON. Some of its versions escape characters outside
        # ASCII, and some do not; this is the longer of the two forms.
        self._left -= len(json.dumps(msgspec.json.encode(PaymentView.of(payment)).decode()))
        return self._left >= 0
