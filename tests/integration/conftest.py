"""What the unit tests stand on, for tests that also call servers, start processes, count or try thousands of events."""

from tests.support.aws import context, dynamodb, environment, log, moto_client, table

__all__ = ["context", "dynamodb", "environment", "log", "moto_client", "table"]
