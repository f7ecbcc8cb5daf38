"""``POST /gateways/stripe/webhook``: Stripe's events. Only Stripe can sign one, so nobody else can change a payment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from payments.api.problems import (
    INVALID,
    MALFORMED,
    TOO_LARGE,
    UNAVAILABLE,
    Response,
    body_of,
    header,
    problem,
    response,
)
from payments.api.requests import NotJsonError, TooLargeError
from payments.domain.clock import now
from payments.domain.errors import UnavailableError
from payments.gateways.port import ReportError
from payments.gateways.stripe import secret
from payments.gateways.stripe.events import MAX_BODY, SignatureError, event_of, report_of, signing_secrets, verify
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.telemetry import logger, measure
from payments.table.indexes import GatewayIndex
from payments.table.store import Table
from payments.usecases.hear import Hearing
from payments.usecases.settle import Settling

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.runtime.secrets import Secret


@wire_once
def wired() -> tuple[Hearing, Secret[list[str]]]:
    """Return the use case that applies the events to the table, and the secrets with which Stripe signs them."""
    dynamodb = client.connect("dynamodb")
    name = settings.text("TABLE_NAME")
    table = Table(dynamodb, name)
    charges = GatewayIndex(dynamodb, name, settings.text("GATEWAY_INDEX_NAME"))
    hearing = Hearing(table, charges, Settling(table, now), settings.text("ENVIRONMENT"), now)
    return hearing, secret(signing_secrets)


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer Stripe, which sends an event again for three days until it gets a 2xx answer."""
    request_id = event["requestContext"]["requestId"]
    hearing, secrets = wired()
    try:
        body = body_of(event, MAX_BODY)
        verify(body, header(event, "Stripe-Signature") or "", secrets.read(), time.time())
        reported = event_of(body)
        result = hearing.hear(report_of(reported))
    except TooLargeError:
        # Anybody can post it, so it is no error of ours.
        logger.warning("the body is larger than any event")
        return problem(TOO_LARGE, f"The body must have at most {MAX_BODY} bytes.", request_id)
    except SignatureError as error:
        measure("SignatureRefused")
        logger.warning("not signed by Stripe", reason=str(error))
        return problem(INVALID, "The signature is not valid.", request_id)
    except (ReportError, NotJsonError) as error:
        # Signed by Stripe, but not understood: a payment or a dispute may depend on it.
        logger.error("a Stripe event cannot be read", reason=str(error))
        return problem(MALFORMED, "The body must be a Stripe event.", request_id)
    except UnavailableError as error:
        logger.warning("the event could not be processed", reason=str(error))
        return problem(UNAVAILABLE, "The event could not be processed now. Send it again.", request_id)
    logger.info("event of the gateway", event_id=reported.id, event_type=reported.type, result=result)
    return response(200, {"result": result})
