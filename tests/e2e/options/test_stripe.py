"""The whole stack with Stripe as its gateway, against a fake Stripe: IAM enforced, real layers, real HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from ops.client import Api
from ops.console.app import options
from ops.dead_letters import call
from ops.inbox import Inbox
from ops.payment import methods_of
from ops.stack import Stack
from tests.support.deployed import SOON, STRIPE_SECRET, a_payment, role_of, shown, stored
from tests.support.stripe_server import FakeStripe, signed

pytestmark = pytest.mark.e2e


@dataclass
class Shop:
    """A stack, its client, and the Stripe that it charges through."""

    stack: Stack
    api: Api
    fake: FakeStripe

    def pay(self, **changes: Any) -> str:
        payment = a_payment(**changes)
        assert self.api.post(payment).status_code == 202
        return str(payment["transaction_id"])

    def wait(self, transaction_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.api.get(transaction_id).json()
            if reached(found):
                return dict(found)
            time.sleep(0.3)
        raise AssertionError(found)

    def tell(self, event: dict[str, Any], secret: str = STRIPE_SECRET) -> requests.Response:
        body, signature = signed(event, secret)
        return requests.post(
            f"{self.stack.api_url}/gateways/stripe/webhook",
            data=body,
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
            verify=self.stack.trusted,
            timeout=30,
        )


@pytest.fixture(scope="module")
def shop(stack: Stack, api: Api, stripe: FakeStripe) -> Shop:
    return Shop(stack, api, stripe)


@pytest.fixture(scope="module", autouse=True)
def lost(shop: Shop) -> str:
    """A payment whose answer is lost. It is retried after half a minute, while other tests run."""
    return shop.pay(payment_method="pm_fake_timeout_after_charge")


def test_a_payment_is_charged_and_refunded_at_stripe(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa", amount="12.50", currency="EUR")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "processed")
    intent = shop.fake.intents[found["gateway_reference"]]
    assert (intent["amount_received"], intent["currency"]) == (1250, "eur")
    assert intent["metadata"] == {"transaction_id": transaction_id, "environment": "local"}
    assert shop.api.refund(transaction_id, {"refund_id": "r1", "amount": "2.50"}).status_code == 202
    shop.wait(transaction_id, lambda payment: payment["status"] == "partially_refunded")
    assert [refund["amount"] for refund in shop.fake.refunds.values()] == [250]


def test_the_first_payment_is_one_that_stripe_takes(shop: Shop, tmp_path: Path) -> None:
    said = shown(shop.stack, shop.api, tmp_path)
    assert "processed  GET /payments/" in said
    assert "announced  payment.processed" in said


def test_a_page_offers_what_stripe_takes(shop: Shop) -> None:
    offered = options(methods_of(shop.stack))
    assert 'value="pm_card_visa"' in offered
    assert "pm_sim" not in offered


def test_a_decline_says_why(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "failed")
    assert found["failure_code"] == "insufficient_funds"


def test_an_event_settles_a_payment_that_waits_for_the_customer_and_a_forged_one_does_not(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_fake_requires_action")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "unknown")
    event = shop.fake.finish(found["gateway_reference"], "succeeded")
    before = stored(shop.stack, transaction_id)
    assert shop.tell(event, "whsec_of_a_stranger_to_us").status_code == 400
    assert stored(shop.stack, transaction_id) == before
    answer = shop.tell(event)
    assert (answer.status_code, answer.json()) == (200, {"result": "settled"})
    assert shop.api.get(transaction_id).json()["status"] == "processed"


def test_a_dispute_is_announced_once(shop: Shop, inbox: Inbox) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "processed")
    event = shop.fake.dispute(found["gateway_reference"])
    assert [shop.tell(event).json() for _ in range(2)] == [{"result": "noted"}, {"result": "late"}]
    told = inbox.wait(lambda event: event["subject"] == transaction_id and event["type"] == "payment.disputed", SOON)
    assert told is not None
    assert told["data"]["dispute"]["status"] == "needs_response"
    assert told["id"] == f"{transaction_id}.3"
    closed = shop.tell(shop.fake.dispute(found["gateway_reference"], status="won"))
    assert closed.json() == {"result": "noted"}
    assert inbox.wait(lambda event: event["id"] == f"{transaction_id}.4", SOON) is not None
    item = stored(shop.stack, transaction_id)
    assert item is not None
    assert item["version"]["N"] == "4"


def test_the_books_are_compared_and_a_difference_is_announced(shop: Shop, inbox: Inbox) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa")
    shop.wait(transaction_id, lambda payment: payment["status"] == "processed")
    today = {"day": datetime.now(UTC).date().isoformat()}
    function = shop.stack.gateway["comparer_function_name"]
    same = call(shop.stack, function, today)
    assert (same["differences"], same["compared"] > 0) == ([], True)
    (entry,) = [one for one in shop.fake.balance if one["source"]["metadata"]["transaction_id"] == transaction_id]
    entry["source"]["amount"] += 1
    try:
        (difference,) = call(shop.stack, function, today)["differences"]
    finally:
        entry["source"]["amount"] -= 1
    assert (difference["kind"], difference["transaction_id"]) == ("amount", transaction_id)
    told = inbox.wait(lambda event: event["type"] == "gateway.difference", SOON)
    assert told is not None
    assert told["data"] == difference | today


@pytest.mark.parametrize(
    ("function", "own", "others"), [("stripe_webhook", "webhook", "key"), ("stripe_comparer", "key", "webhook")]
)
def test_the_webhook_function_cannot_charge_and_the_comparer_cannot_write(
    shop: Shop, function: str, own: str, others: str
) -> None:
    """Each function's role and keys can read its own secret and not the other's."""
    names = shop.stack.gateway["secret_names"]
    table = {"TableName": shop.stack.outputs["dynamodb_table_name"]}
    key = {"Key": {"transaction_id": {"S": "probe"}}}
    client = role_of(shop.stack, shop.stack.outputs["function_names"][function])
    assert client("secretsmanager").get_secret_value(SecretId=names[own])["SecretString"]
    with pytest.raises(ClientError, match="AccessDenied"):
        client("secretsmanager").get_secret_value(SecretId=names[others])
    dynamodb = client("dynamodb")
    dynamodb.get_item(**table, **key)
    query = {
        "KeyConditionExpression": "gateway_reference = :nobody",
        "ExpressionAttributeValues": {":nobody": {"S": "nobody"}},
    }
    dynamodb.query(**table, IndexName="gateway-index", **query)
    refused = {"scan": {}, "put_item": {"Item": key["Key"]}}
    if function == "stripe_comparer":
        refused["update_item"] = key
    for operation, parameters in refused.items():
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(dynamodb, operation)(**table, **parameters)


def test_every_other_route_still_wants_a_signature(shop: Shop) -> None:
    unsigned = Api(shop.stack.api_url, shop.stack.region, None, shop.stack.trusted)
    assert unsigned.get("x").status_code == 403


def test_a_lost_answer_is_one_charge(shop: Shop, lost: str) -> None:
    shop.wait(lost, lambda payment: payment["status"] == "processed")
    named = [intent["metadata"]["transaction_id"] for intent in shop.fake.intents.values()]
    assert named.count(lost) == 1
    tries = [one for one in shop.fake.calls if one.params.get("metadata", {}).get("transaction_id") == lost]
    assert len(tries) > 1
