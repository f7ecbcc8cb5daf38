"""The queue of accepted payments and refunds to the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import aws, batch, gateways, settings
from payments.charging import Charging, RetryError
from payments.handling import function
from payments.model import Message, PoisonError, now
from payments.once import once
from payments.store import Table

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Ample for a charge's few calls. One that takes longer, on a bad day, may be cut off: it comes again with the same key.
CHARGE_SECONDS = 3.0


@once
def wired() -> tuple[Charging, int]:
    """Return what charges, and after how many deliveries a message is given up."""
    client = aws.client("dynamodb")
    charging = Charging(Table(client, settings.text("TABLE_NAME")), gateways.chosen(client), now)
    return charging, settings.count("MAX_RECEIVE_COUNT")


@function
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Charge a batch and return the records that must come again."""
    charging, most = wired()

    def charge(record: SQSRecord) -> None:
        message = Message.decode(record.body)
        deliveries = int(record.attributes.approximate_receive_count)
        last = deliveries >= most
        try:
            charging.work(message.payment, message.refund_id, deliveries=deliveries, last=last)
        except RetryError:
            raise
        except Exception as error:
            # Whatever nobody foresaw: the last delivery leaves no payment of which nothing is told.
            if last:
                charging.give_up(message.payment, message.refund_id, type(error).__name__)
            raise

    def skip(record: SQSRecord) -> None:
        if int(record.attributes.approximate_receive_count) >= most:
            message = Message.decode(record.body)
            charging.give_up(message.payment, message.refund_id, "no time was left")

    return batch.work(event, context, batch.Worker(charge, skip, _named), seconds=CHARGE_SECONDS)


def _named(body: str) -> dict[str, Any]:
    try:
        return Message.decode(body).named()
    except PoisonError:
        return {}
