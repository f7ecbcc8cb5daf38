"""A deployed stack, as its clients see it: its outputs, its AWS clients, its API's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local import LocalError
from local.server import ROOT_KEY
from local.tls import AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Stack:
    """A deployed stack: Terraform's outputs and, for an embedded AWS, its endpoint."""

    outputs: Mapping[str, Any]
    endpoint: str | None = None

    @property
    def region(self) -> str:
        """The region."""
        return str(self.outputs["region"])

    @property
    def stage_arn(self) -> str:
        """What a client needs to be allowed to invoke: every method of the stage."""
        _, partition, _, region, account, _ = self.outputs["announcements_topic_arn"].split(":")
        api, stage = self.outputs["api_gateway_id"], self.outputs["api_stage_name"]
        return f"arn:{partition}:execute-api:{region}:{account}:{api}/{stage}/*"

    @property
    def api_url(self) -> str:
        """The API's base URL. An embedded AWS serves every API below its one address."""
        if self.endpoint is None:
            return str(self.outputs["api_gateway_url"])
        return f"{self.endpoint}/_aws/execute-api/{self.outputs['api_gateway_id']}/{self.outputs['api_stage_name']}"

    @property
    def gateway(self) -> dict[str, Any]:
        """The payment gateway: its name, and what else the output says. Raises LocalError for an older deployment."""
        if "gateway" not in self.outputs:
            raise LocalError("The stack was deployed by an earlier version, which did not say its gateway. Deploy it.")
        return dict(self.outputs["gateway"])

    @property
    def trusted(self) -> str | None:
        """The authority that signed the embedded AWS's certificate; None means the system's authorities."""
        return str(AUTHORITY) if self.endpoint else None

    def session(self) -> boto3.Session:
        """Return a session for the operator's own calls."""
        if self.endpoint is None:
            return boto3.Session(region_name=self.region)
        return boto3.Session(ROOT_KEY, ROOT_KEY, region_name=self.region)

    @property
    def functions(self) -> LambdaClient:
        """A Lambda client."""
        return self.session().client("lambda", endpoint_url=self.endpoint, verify=self.trusted)

    @property
    def logs(self) -> CloudWatchLogsClient:
        """A CloudWatch Logs client."""
        return self.session().client("logs", endpoint_url=self.endpoint, verify=self.trusted)

    @property
    def sqs(self) -> SQSClient:
        """An SQS client."""
        return self.session().client("sqs", endpoint_url=self.endpoint, verify=self.trusted)

    @property
    def sns(self) -> SNSClient:
        """An SNS client."""
        return self.session().client("sns", endpoint_url=self.endpoint, verify=self.trusted)

    @property
    def iam(self) -> IAMClient:
        """An IAM client."""
        return self.session().client("iam", endpoint_url=self.endpoint, verify=self.trusted)

    @property
    def dynamodb(self) -> DynamoDBClient:
        """A DynamoDB client."""
        return self.session().client("dynamodb", endpoint_url=self.endpoint, verify=self.trusted)

    def client(self, service: str, **config: Any) -> Any:  # noqa: ANN401 - botocore's
        """Return a client of any service; ``config`` is botocore's."""
        return self.session().client(  # type: ignore[call-overload]
            service, endpoint_url=self.endpoint, verify=self.trusted, config=Config(**config)
        )


def webhook_endpoints(outputs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the parts of each webhook endpoint by its name; none of a stack that was deployed without them."""
    return outputs.get("webhooks") or {}


def all_functions(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return every function's name by what it does, those that deliver webhooks included."""
    delivering = {
        f"webhook-{endpoint}": parts["function_name"] for endpoint, parts in webhook_endpoints(outputs).items()
    }
    return {**outputs["function_names"], **delivering}
