"""An endpoint's queue of announcements to the endpoint, as signed webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from payments import aws, batch, settings
from payments.handling import function
from payments.model import now
from payments.once import once
from payments.webhooks import Deliverer, Endpoint, Queue, Secret, named

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What a delivery may take besides its post: to read the secret, and to postpone the message.
ASIDE_SECONDS = 5.0


@once
def wired() -> tuple[Deliverer, float]:
    """Return what delivers, and how long a delivery may take."""
    seconds = float(settings.count("TIMEOUT_SECONDS"))
    endpoint = Endpoint.of(settings.text("WEBHOOK_URL"), seconds, settings.words("ALLOWED_PRIVATE_CIDRS"))
    secret = Secret(aws.client("secretsmanager"), settings.text("SECRET_NAME"), settings.count("SECRET_TTL_SECONDS"))
    delays = [int(delay) for delay in settings.text("RETRY_DELAYS_SECONDS").split()]
    return Deliverer(endpoint, secret, Queue(aws.client("sqs"), settings.text("QUEUE_URL"), delays), now), seconds


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver a batch and return the records that must come again."""
    deliverer, seconds = wired()

    def deliver(record: SQSRecord) -> None:
        sent = datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)
        deliverer.work(record.body, record.receipt_handle, int(record.attributes.approximate_receive_count), sent)

    def skip(record: SQSRecord) -> None:
        """Leave it as it is: it comes again after the queue's own visibility time-out."""

    return batch.work(event, context, batch.Worker(deliver, skip, named), seconds=seconds + ASIDE_SECONDS)
