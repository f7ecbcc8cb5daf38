"""The unit tests' fixtures: AWS in memory, and no sockets or processes."""

from tests.support.aws import alone, context, dynamodb, environment, log, moto_client, table

__all__ = ["alone", "context", "dynamodb", "environment", "log", "moto_client", "table"]
