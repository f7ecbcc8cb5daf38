"""Delivers an endpoint's queue of announcements to the endpoint, as signed webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments.domain.clock import now
from payments.runtime import client, queue_batch, settings
from payments.runtime.handler import function, wire_once
from payments.webhooks.delivery import Deliverer, RetryQueue, log_fields
from payments.webhooks.endpoint import Endpoint
from payments.webhooks.secret import EndpointSecret

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from payments.runtime.queue_batch import Delivery

# The time that a delivery may need in addition to its POST: to read the secret, and to postpone the message.
ASIDE_SECONDS = 5.0


@wire_once
def wired() -> tuple[Deliverer, float]:
    """Return the deliverer, and how long a delivery may take."""
    seconds = float(settings.count("TIMEOUT_SECONDS"))
    endpoint = Endpoint.of(settings.text("WEBHOOK_URL"), seconds, settings.words("ALLOWED_PRIVATE_CIDRS"))
    secret = EndpointSecret(
        client.connect("secretsmanager"), settings.text("SECRET_NAME"), settings.count("SECRET_TTL_SECONDS")
    )
    delays = [int(delay) for delay in settings.text("RETRY_DELAYS_SECONDS").split()]
    queue = RetryQueue(client.connect("sqs"), settings.text("QUEUE_URL"), delays)
    return Deliverer(endpoint, secret, queue, now), seconds


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver a batch and return the records that must be delivered again."""
    deliverer, seconds = wired()

    def deliver(delivery: Delivery) -> None:
        deliverer.work(delivery.body, delivery.receipt_handle, delivery.receive_count, delivery.sent_at)

    def skip(_delivery: Delivery) -> bool:
        """Leave it as it is: it is delivered again after the queue's own visibility time-out."""
        return False

    worker = queue_batch.Worker(deliver, skip, log_fields)
    return queue_batch.work(event, context, worker, seconds=seconds + ASIDE_SECONDS)
