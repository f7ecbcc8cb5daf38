"""The whole stack with Stripe as its gateway, against a fake one: IAM in force, real layers, real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local.server import EmbeddedAWS
from ops import running
from ops.client import Api, create_client
from ops.display import Step
from ops.stack import Stack
from tests.e2e.support import a_payment, stored
from tests.fakes.stripe_server import KEY, FakeStripe, signed

pytestmark = pytest.mark.e2e

SECRET = "whsec_end_to_end"


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

    def tell(self, event: dict[str, Any], secret: str = SECRET) -> requests.Response:
        body, signature = signed(event, secret)
        return requests.post(
            f"{self.stack.api_url}/gateways/stripe/webhook",
            data=body,
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
            verify=self.stack.trusted,
            timeout=30,
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = running.Place(tmp_path_factory.mktemp("stripe"))
    with FakeStripe(silence=10) as fake, EmbeddedAWS(place.folder) as embedded:
        terraform = running.terraform(place, embedded.url)
        terraform.environment = {
            **terraform.environment,
            "TF_VAR_gateway": "stripe",
            "TF_VAR_stripe_address": fake.address,
            "TF_VAR_webhook_secret_ttl_seconds": "1",
        }
        stack = running.deploy(terraform, embedded.url, Step("Deploying"))
        secrets = stack.session().client("secretsmanager", endpoint_url=stack.endpoint, verify=stack.trusted)
        names = stack.outputs["stripe"]["secret_names"]
        secrets.put_secret_value(SecretId=names["key"], SecretString=KEY)
        secrets.put_secret_value(SecretId=names["webhook"], SecretString=json.dumps({"secrets": [SECRET]}))
        time.sleep(1)
        yield Shop(stack, Api(stack.api_url, stack.region, create_client(stack), stack.trusted), fake)


def test_a_payment_is_charged_and_given_back_at_stripe(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa", amount="12.50", currency="EUR")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "processed")
    intent = shop.fake.intents[found["gateway_reference"]]
    assert (intent["amount_received"], intent["currency"]) == (1250, "eur")
    assert intent["metadata"] == {"transaction_id": transaction_id, "environment": "local"}
    assert shop.api.refund(transaction_id, {"refund_id": "r1", "amount": "2.50"}).status_code == 202
    shop.wait(transaction_id, lambda payment: payment["status"] == "partially_refunded")
    assert [refund["amount"] for refund in shop.fake.refunds.values()] == [250]


def test_a_decline_says_why(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "failed")
    assert found["failure_code"] == "insufficient_funds"


def test_a_lost_answer_is_one_charge(shop: Shop) -> None:
    before = len(shop.fake.intents)
    transaction_id = shop.pay(payment_method="pm_fake_timeout_after_charge")
    shop.wait(transaction_id, lambda payment: payment["status"] == "processed")
    assert len(shop.fake.intents) == before + 1


def test_an_event_ends_what_waits_for_the_customer_and_a_stranger_ends_nothing(shop: Shop) -> None:
    transaction_id = shop.pay(payment_method="pm_fake_requires_action")
    found = shop.wait(transaction_id, lambda payment: payment["status"] == "unknown")
    event = shop.fake.finish(found["gateway_reference"], "succeeded")
    before = stored(shop.stack, transaction_id)
    assert shop.tell(event, "whsec_stranger").status_code == 400
    assert stored(shop.stack, transaction_id) == before
    answer = shop.tell(event)
    assert (answer.status_code, answer.json()) == (200, {"came": "settled"})
    assert shop.api.get(transaction_id).json()["status"] == "processed"


def test_every_other_route_still_wants_a_signature(shop: Shop) -> None:
    unsigned = Api(shop.stack.api_url, shop.stack.region, None, shop.stack.trusted)
    assert unsigned.get("x").status_code == 403
