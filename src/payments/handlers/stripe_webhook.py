"""``POST /gateways/stripe/webhook``: Stripe's own events. No one but Stripe can sign one, so nobody else is heard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from payments.api.problems import INVALID, MALFORMED, UNAVAILABLE, Response, body_of, header, problem, response
from payments.api.requests import NotJsonError
from payments.domain.clock import now
from payments.domain.errors import UnavailableError
from payments.gateways.stripe.events import EventError, Events, SignatureError, event_of, signing_secrets, verify
from payments.runtime import client, settings
from payments.runtime.handler import function, wire_once
from payments.runtime.secrets import Secret
from payments.runtime.telemetry import logger, measure
from payments.table.indexes import GatewayIndex
from payments.table.store import Table
from payments.usecases.settle import Settling

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@wire_once
def wired() -> tuple[Events, Secret[list[str]]]:
    """Return what takes the events, and the secrets that they are signed with."""
    dynamodb = client.connect("dynamodb")
    name = settings.text("TABLE_NAME")
    table = Table(dynamodb, name)
    secret = Secret(
        client.connect("secretsmanager"),
        settings.text("SECRET_NAME"),
        signing_secrets,
        settings.count("SECRET_TTL_SECONDS"),
    )
    charges = GatewayIndex(dynamodb, name, settings.text("GATEWAY_INDEX_NAME"))
    return Events(table, charges, Settling(table, now), settings.text("ENVIRONMENT"), now), secret


@function
def handler(event: dict[str, Any], context: LambdaContext) -> Response:  # noqa: ARG001 - Lambda's signature
    """Answer Stripe. Whatever is not answered with success, Stripe sends again, for three days."""
    request_id = event["requestContext"]["requestId"]
    events, secret = wired()
    try:
        body = body_of(event)
        verify(body, header(event, "Stripe-Signature") or "", secret.read(), time.time())
        came = events.take(event_of(body))
    except SignatureError as error:
        measure("SignatureRefused")
        logger.warning("not signed by Stripe", reason=str(error))
        return problem(INVALID, "The signature is not valid.", request_id)
    except (EventError, NotJsonError):
        return problem(MALFORMED, "The body must be an event of Stripe's.", request_id)
    except UnavailableError as error:
        logger.warning("the event was not taken", reason=str(error))
        return problem(UNAVAILABLE, "The event could not be taken now. Send it again.", request_id)
    return response(200, {"came": came})
