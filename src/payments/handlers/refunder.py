"""``POST /payments/{transaction_id}/refunds``: accept a refund, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.api.answers import RefundAccepted
from payments.api.problems import Response, accepted_response, body_of, header, refusal
from payments.api.requests import MAX_BODY, BadRequestError, RequestError, parse_refund
from payments.domain.clock import now
from payments.domain.errors import InvalidFieldError, RequestRefusedError, UnavailableError
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure, trace_header
from payments.table.store import Table
from payments.usecases.refund import accept_refund

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@wire_once
def wired() -> Table:
    """Return the table."""
    return Table(client.connect("dynamodb"), settings.text("TABLE_NAME"))


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer a request of API Gateway's proxy integration."""
    request_id = event["requestContext"]["requestId"]
    try:
        return _accept(event)
    except BadRequestError as error:
        measure("Refused")
        logger.info("refused", fields=[wrong.pointer for wrong in error.errors], reason=type(error).__name__)
        return refusal(error, "refund", request_id)
    except (RequestRefusedError, UnavailableError) as error:
        return refusal(error, "refund", request_id)


def _accept(event: dict[str, Any]) -> Response:
    transaction_id = event["pathParameters"]["transaction_id"]
    request = parse_refund(body_of(event, MAX_BODY), header(event, "Idempotency-Key"))
    try:
        accepted = accept_refund(wired(), now, transaction_id, request, trace_header())
    except InvalidFieldError as error:
        raise RequestError.of(error) from error
    location = f"/payments/{transaction_id}/refunds/{request.refund_id}"
    answer = RefundAccepted.of(accepted.payment, request.refund_id)
    return accepted_response(answer, location, replayed=accepted.replayed)
