"""What the end-to-end tests share."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import boto3
from rich.console import Console

from ops.commands.stack import show
from ops.display import Display
from ops.payment import new_payment
from ops.running import Place
from payments.domain.clock import timestamp
from payments.domain.lifecycle import Status
from payments.domain.payment import Payment
from payments.gateways.port import idempotency_key
from payments.table.items import to_item

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from chaos.proxy import Proxy
    from local.server import EmbeddedAWS
    from ops.client import Api
    from ops.stack import Stack
    from ops.terraform import Terraform

SOON = 30.0
# A message is delivered again after 30 s, and moves to the dead-letter queue after its third delivery.
AFTER_THE_RETRIES = 150.0
# How long the functions of the options' stack cache a secret, and the secret that signs its fake Stripe's events.
SECRET_TTL_SECONDS = 2
STRIPE_SECRET = "whsec_of_the_end_to_end_tests"


@dataclass(frozen=True)
class Deployed:
    """A running stack, the Terraform that deployed it, and the fault layer between its functions and AWS."""

    stack: Stack
    terraform: Terraform
    proxy: Proxy
    server: EmbeddedAWS


def unique(what: str) -> str:
    return f"{what}-{uuid.uuid4().hex[:12]}"


def a_payment(**changes: object) -> dict[str, Any]:
    return new_payment(transaction_id=unique("test"), customer_id=unique("customer"), **changes)


def ledger(stack: Stack, transaction_id: str, refund_id: str | None = None) -> dict[str, Any] | None:
    """Return the gateway's own entry for a payment, or for its refund."""
    table = stack.outputs["simulator_ledger_table_name"]
    key = {"idempotency_key": {"S": idempotency_key(transaction_id, refund_id)}}
    return stack.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def stored(stack: Stack, transaction_id: str) -> dict[str, Any] | None:
    table = stack.outputs["dynamodb_table_name"]
    key = {"transaction_id": {"S": transaction_id}}
    return stack.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def assert_problem(answer: requests.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem.keys() >= {"title", "detail", "instance"}
    return problem


def shown(stack: Stack, api: Api, folder: Path) -> str:
    """Return what `make up` prints once the stack is up. It writes the shell's variables into the folder."""
    place = Place(folder)
    assert api.keys is not None
    # A user can have two keys at most, and the other tests sign with these.
    place.client.write_text(json.dumps(asdict(api.keys)), encoding="utf-8")
    written = StringIO()
    show(place, stack, str(stack.endpoint), Display(Console(file=written)))
    return written.getvalue()


def role_of(stack: Stack, function: str) -> Callable[[str], Any]:
    """Return a factory of clients that act under a function's own role: IAM treats them as it treats the function."""
    sts = stack.client("sts")
    role: Any = stack.iam.get_role(RoleName=function)["Role"]
    document = role["AssumeRolePolicyDocument"]
    anyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    stack.iam.update_assume_role_policy(
        RoleName=function,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [*document["Statement"], anyone]}),
    )
    try:
        keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    finally:
        stack.iam.update_assume_role_policy(RoleName=function, PolicyDocument=json.dumps(document))
    session = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=stack.region
    )
    return lambda service: session.client(service, endpoint_url=stack.endpoint, verify=stack.trusted)  # type: ignore[call-overload]


def stranded(stack: Stack, since: timedelta = timedelta(minutes=20)) -> Payment:
    """Store a payment that was marked unknown and has no message any more: neither the relay nor the processor sees it.

    With the usual ``since``, it has been open for so long that the reconciler looks at it.
    """
    moment = timestamp(datetime.now(UTC) - since)
    payment = Payment(
        transaction_id=unique("test"),
        customer_id="stranded",
        amount_minor=1250,
        currency="EUR",
        payment_method="pm_sim_approved",
        status=Status.UNKNOWN,
        version=2,
        created_at=moment,
        updated_at=moment,
        fingerprint="0" * 64,
    )
    stack.dynamodb.put_item(TableName=stack.outputs["dynamodb_table_name"], Item=to_item(payment))
    return payment
