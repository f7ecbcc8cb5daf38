"""The queue of accepted payments to the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payments import aws, batch, settings
from payments.charging import Charging
from payments.model import Message, now
from payments.once import once
from payments.simulator import Simulator
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
    settings.choice("GATEWAY", ("simulator",))
    gateway = Simulator(client, settings.text("SIMULATOR_TABLE_NAME"), now)
    return Charging(Table(client, settings.text("TABLE_NAME")), gateway, now), settings.count("MAX_RECEIVE_COUNT")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Charge a batch and return the records that must come again."""
    charging, most = wired()

    def charge(record: SQSRecord) -> None:
        deliveries = int(record.attributes.approximate_receive_count)
        charging.work(Message.decode(record.body).payment, deliveries=deliveries, last=deliveries >= most)

    return batch.work(event, context, charge, seconds=CHARGE_SECONDS)
