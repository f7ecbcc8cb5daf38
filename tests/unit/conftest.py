"""What the unit tests stand on: AWS in memory, and no socket or process of their own."""

from tests.support.aws import alone, context, dynamodb, environment, log, moto_client, table

__all__ = ["alone", "context", "dynamodb", "environment", "log", "moto_client", "table"]
