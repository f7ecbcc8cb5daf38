"""Take an order and ship it: just enough for the modules to have something to run."""

import json
import os
from typing import Any

import boto3

_table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
_queue = boto3.client("sqs")


def take(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Keep an order, and put it on the queue."""
    order_id = json.loads(event["body"])["order_id"]
    _table.put_item(Item={"order_id": order_id, "status": "taken"})
    _queue.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=order_id)
    return {"statusCode": 202, "body": json.dumps({"order_id": order_id})}


def ship(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Mark each order of a batch as shipped. A record that fails comes again, and only that one."""
    failed = []
    for record in event["Records"]:
        try:
            _table.update_item(
                Key={"order_id": record["body"]},
                UpdateExpression="SET #status = :shipped",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":shipped": "shipped"},
            )
        except _table.meta.client.exceptions.ClientError:
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
