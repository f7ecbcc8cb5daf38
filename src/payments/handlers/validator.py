"""``POST /payments``: accept a payment, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.api.answers import PaymentAccepted
from payments.api.problems import Response, accepted_response, body_of, header, refusal
from payments.api.requests import MAX_BODY, BadRequestError, parse_payment
from payments.domain.clock import now
from payments.domain.errors import RequestRefusedError, UnavailableError
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure, trace_header
from payments.table.store import Table
from payments.usecases.accept import accept_payment

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
    try:
        return _accept(event)
    except BadRequestError as error:
        measure("Refused")
        logger.info("refused", fields=[wrong.pointer for wrong in error.errors], reason=type(error).__name__)
        return refusal(error, "payment", request_id)
    except (RequestRefusedError, UnavailableError) as error:
        return refusal(error, "payment", request_id)


def _accept(event: dict[str, Any]) -> Response:
    table, default_currency, limits = wired()
    request = parse_payment(body_of(event, MAX_BODY), header(event, "Idempotency-Key"), default_currency, limits)
    accepted = accept_payment(table, now, request, trace_header())
    payment = accepted.payment
    location = f"/payments/{payment.transaction_id}"
    return accepted_response(PaymentAccepted.of(payment), location, replayed=accepted.replayed)
