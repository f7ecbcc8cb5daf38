"""Mistakes that a plan refuses: an API open to everybody, a simulator in production, a laptop's addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.plan import Plan, resources

pytestmark = pytest.mark.plan

Errors = Callable[..., str]
# Any account but the embedded AWS's default. The embedded AWS treats a key of twelve digits as the caller's account.
REAL_ACCOUNT = "111111111111"
OPEN = {"authorization": "NONE"}
A_LAPTOPS = {
    "allowed_private_cidrs": ["127.0.0.0/8"],
    "gateway": "stripe",
    "network": {"nat": {"mode": "gateway"}},
    "stripe_address": "http://127.0.0.1:9",
}


def test_an_open_api_is_refused_unless_it_is_said(root_errors: Errors, root_accepts: Errors) -> None:
    said = root_errors({"environment_suffix": "pr-7", "api": OPEN})
    assert "api.authorization is NONE, so anyone who finds the address may pay, refund and read payments" in said
    assert "or, where environment_suffix does not begin with prod, set anyone_may_pay to true" in said
    root_accepts({"environment_suffix": "pr-7", "api": OPEN, "anyone_may_pay": True} | A_LAPTOPS)


@pytest.mark.parametrize("suffix", ["prod", "prod-eu", "production"])
def test_production_is_neither_open_nor_simulated(root_errors: Errors, suffix: str) -> None:
    said = root_errors({"environment_suffix": suffix, "api": OPEN, "anyone_may_pay": True})
    assert "api.authorization must not be NONE where environment_suffix begins with prod" in said
    assert "gateway is simulator, which moves no money, and environment_suffix begins with prod" in said
    assert "choose another environment_suffix, or set production_moves_no_money to true" in said


def test_production_may_say_that_it_moves_no_money(root_accepts: Errors) -> None:
    root_accepts({"environment_suffix": "prod-try", "production_moves_no_money": True})


def test_prod_charges_through_stripe(root_plan: Callable[[str], Plan]) -> None:
    (processor,) = [
        function["values"]["environment"][0]["variables"]
        for function in resources(root_plan("prod"), "aws_lambda_function")
        if function["values"]["function_name"] == "payment-processor-prod"
    ]
    assert processor["GATEWAY"] == "stripe"


@pytest.mark.parametrize("suffix", ["local", "dev"])
def test_a_laptops_addresses_are_refused_in_every_account(root_errors: Errors, suffix: str) -> None:
    values: dict[str, Any] = {"environment_suffix": suffix} | A_LAPTOPS
    said = root_errors(values, account=REAL_ACCOUNT)
    assert "allowed_private_cidrs must be empty in an AWS account" in said
    assert "stripe_address must be null in an AWS account" in said
