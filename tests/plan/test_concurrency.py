"""Reserved concurrency: none where the account may not have it, and never more than the account has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.plan import Plan, resources, warnings

pytestmark = pytest.mark.plan


def reserves(plan: Plan) -> dict[str, int]:
    """Return what each function reserves, by its short name."""
    return {
        function["address"].split('"')[1]: function["values"]["reserved_concurrent_executions"]
        for function in resources(plan, "aws_lambda_function")
        if function["address"].startswith("module.function")
    }


def test_nothing_is_reserved_until_the_accounts_quota_is_known(root_plan: Callable[[str], Plan]) -> None:
    """A new account has ten concurrent calls: Lambda would refuse prod's first apply half-way."""
    plan = root_plan("prod")
    assert set(reserves(plan).values()) == {-1}
    (message,) = warnings(plan)
    said = " ".join(message.split())
    assert "account_concurrency is not set, so the 240 concurrent executions are not reserved." in said
    # Those of a stack from before this variable, too.
    assert "A deployment removes reserves that exist." in said
    assert "aws lambda get-account-settings" in message


def test_reserves_are_made_where_the_quota_is_known(root_plan: Callable[[str], Plan]) -> None:
    plan = root_plan("options")
    found = reserves(plan)
    assert (found["processor"], found["validator"], found["reader"]) == (50, -1, -1)
    assert warnings(plan) == []
    # Their alarms compare with what is reserved.
    alarms = {alarm["values"]["alarm_name"] for alarm in resources(plan, "aws_cloudwatch_metric_alarm")}
    assert {name for name in alarms if "concurrency" in name} == {"payment-processor-concurrency-options"}


def test_the_reserves_leave_what_lambda_keeps_for_the_others(
    root_errors: Callable[..., str], root_accepts: Callable[..., None]
) -> None:
    functions = {"validator": {"reserved_concurrency": 100}, "reader": {"reserved_concurrency": 0}}
    values = {"environment_suffix": "dev", "network": {"nat": {"mode": "gateway"}}, "functions": functions}
    said = root_errors(values | {"account_concurrency": 199})
    assert "The functions reserve 100, and Lambda keeps 100 for functions without a reserve" in said
    root_accepts(values | {"account_concurrency": 200})


def test_a_function_can_be_closed_before_the_quota_is_known(root_said: Callable[..., tuple[int, str]]) -> None:
    """docs/operations.md does so after a restore. Nothing of the account's concurrency is needed for it."""
    functions = {"validator": {"reserved_concurrency": 0}}
    status, said = root_said(
        {"environment_suffix": "dev", "network": {"nat": {"mode": "gateway"}}, "functions": functions}, "000000000000"
    )
    assert (status, said) == (0, "")
