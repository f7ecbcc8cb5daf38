"""The unit tests' fixtures, for tests that also use servers or processes, count calls or try thousands of events."""

from tests.support.aws import context, dynamodb, environment, log, moto_client, table

__all__ = ["context", "dynamodb", "environment", "log", "moto_client", "table"]
