"""A payment's path through the running stack, with IAM enforced: what the client sees, and what is charged."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.payment import until_final
from payments.domain.message import Message
from payments.runtime.messages import encode
from tests.support.deployed import (
    AFTER_THE_RETRIES,
    SOON,
    a_payment,
    assert_problem,
    ledger,
    shown,
    stored,
    stranded,
    unique,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ops.client import Api
    from ops.inbox import Inbox
    from ops.stack import Stack
    from payments.domain.payment import Payment
    from tests.support.deployed import Deployed

pytestmark = pytest.mark.e2e

# Attributes that the embedded AWS does not return as they were set, so that Terraform sees a difference at once.
# The list is complete: anything else in a second plan is a defect of the modules.
NOT_READ_BACK = {
    "aws_cloudwatch_composite_alarm": {
        "actions_enabled",
        "alarm_description",
        "insufficient_data_actions",
        "tags",
    },
    "aws_cloudwatch_metric_alarm": {
        "actions_enabled",
        "alarm_actions",
        "alarm_description",
        "dimensions",
        "extended_statistic",
        "insufficient_data_actions",
        "ok_actions",
        "period",
        "statistic",
        "treat_missing_data",
    },
    "aws_dynamodb_table": {"point_in_time_recovery"},
    "aws_flow_log": {"deliver_cross_account_role", "iam_role_arn", "max_aggregation_interval"},
    "aws_vpc_endpoint": {"policy", "private_dns_enabled", "security_group_ids"},
}


@dataclass(frozen=True)
class Slow:
    """Slow cases: sent first, checked last."""

    charged_then_lost: dict[str, Any]
    never_answered: dict[str, Any]
    poison: set[str]
    neighbours: list[Payment]


@pytest.fixture(scope="module", autouse=True)
def slow(stack: Stack, api: Api, inbox: Inbox) -> Slow:
    started = Slow(
        charged_then_lost=a_payment(payment_method="pm_sim_timeout_after_charge"),
        never_answered=a_payment(payment_method="pm_sim_unavailable"),
        poison={"{not json", json.dumps({"schema": 99, "event": "payment.validated", "payment": {}})},
        neighbours=[stranded(stack, timedelta()) for _ in range(3)],
    )
    for payment in (started.charged_then_lost, started.never_answered):
        assert api.post(payment).status_code == 202
    good = [encode(Message("payment.validated", payment)) for payment in started.neighbours]
    # The poison message among its neighbours, in one call: they reach the processor as one batch.
    bodies = [good[0], *started.poison, *good[1:]]
    answer = stack.sqs.send_message_batch(
        QueueUrl=stack.outputs["validator_queue_url"],
        Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
    )
    assert not answer.get("Failed")
    return started


def test_the_first_payment_is_shown_and_a_shell_can_call_the_stack(stack: Stack, api: Api, tmp_path: Path) -> None:
    said = shown(stack, api, tmp_path)
    steps = ("validated  POST /payments answered 202", "processed  GET /payments/", "announced  payment.processed")
    assert [step for step in steps if step not in said] == []
    source = (
        f'. {tmp_path / "env"} && test "$API_URL" = {stack.api_url} && test -n "$PAYMENTS_CLIENT_SECRET_ACCESS_KEY"'
    )
    subprocess.run(["sh", "-ec", source], check=True)


def test_a_payment_is_processed_charged_once_and_announced(api: Api, stack: Stack, inbox: Inbox) -> None:
    payment = a_payment(amount="12.50", currency="EUR", metadata={"order": "1001"})
    answer = api.post(payment)
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert accepted["message"] == "Payment validated"
    assert accepted["status"] == "validated"
    assert answer.headers["Location"] == f"/payments/{payment['transaction_id']}"

    outcome = until_final(api, payment["transaction_id"], SOON)
    assert outcome["status"] == "processed"
    assert outcome["amount"] == "12.50"
    assert outcome["version"] == 2

    entry = ledger(stack, payment["transaction_id"])
    assert entry is not None
    assert entry["amount_minor"] == {"N": "1250"}
    assert entry["attempts"] == {"N": "1"}
    assert entry["reference"]["S"] == outcome["gateway_reference"]

    event = inbox.wait(lambda event: event["subject"] == payment["transaction_id"], SOON)
    assert event is not None
    assert event["specversion"] == "1.0"
    assert event["id"] == f"{payment['transaction_id']}.2"
    assert event["type"] == "payment.processed"
    assert event["source"] == "/payments/local"
    assert event["data"]["amount"] == "12.50"
    assert inbox.attributes[event["id"]] == {
        "event_type": "payment.processed",
        "currency": "EUR",
        "status": "processed",
    }


def test_the_same_payment_again_is_answered_the_same_and_charged_once(api: Api, stack: Stack) -> None:
    payment = a_payment()
    first = api.post(payment, {"Idempotency-Key": payment["transaction_id"]})
    assert "Idempotent-Replayed" not in first.headers
    until_final(api, payment["transaction_id"], SOON)
    again = api.post(payment, {"Idempotency-Key": payment["transaction_id"]})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    entry = ledger(stack, payment["transaction_id"])
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}


def test_the_same_payment_from_many_at_once_is_one_payment(api: Api, stack: Stack) -> None:
    payment = a_payment()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(payment), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    assert len({answer.text for answer in answers}) == 1
    assert until_final(api, payment["transaction_id"], SOON)["status"] == "processed"
    entry = ledger(stack, payment["transaction_id"])
    assert entry is not None
    assert entry["attempts"] == {"N": "1"}


def test_another_body_under_the_same_id_is_refused_and_changes_nothing(api: Api, stack: Stack) -> None:
    payment = a_payment()
    api.post(payment)
    until_final(api, payment["transaction_id"], SOON)
    before = stored(stack, payment["transaction_id"])
    assert_problem(api.post({**payment, "amount": "99.00"}), 422, "idempotency-mismatch")
    assert stored(stack, payment["transaction_id"]) == before


def test_a_decline_is_final_and_announced(api: Api, stack: Stack, inbox: Inbox) -> None:
    payment = a_payment(payment_method="pm_sim_declined_insufficient_funds")
    assert api.post(payment).status_code == 202
    outcome = until_final(api, payment["transaction_id"], SOON)
    assert (outcome["status"], outcome["failure_code"]) == ("failed", "insufficient_funds")
    event = inbox.wait(lambda event: event["subject"] == payment["transaction_id"], SOON)
    assert event is not None
    assert (event["type"], event["data"]["failure_code"]) == ("payment.failed", "insufficient_funds")
    entry = ledger(stack, payment["transaction_id"])
    assert entry is not None
    assert "reference" not in entry


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("1000", "JPY", "1000"), ("0.001", "KWD", "1"), ("1234567890.12", "USD", "123456789012")],
)
def test_the_amount_charged_is_the_amount_sent(api: Api, stack: Stack, amount: str, currency: str, minor: str) -> None:
    payment = a_payment(amount=amount, currency=currency)
    answer = api.post(payment)
    assert answer.status_code == 202, answer.text
    until_final(api, payment["transaction_id"], SOON)
    entry = ledger(stack, payment["transaction_id"])
    assert entry is not None
    assert (entry["amount_minor"], entry["currency"]) == ({"N": minor}, {"S": currency})


@pytest.mark.parametrize("body", ["{not json", "[]", '"text"', "", "\x00"])
def test_a_body_that_is_not_a_json_object_is_malformed(api: Api, body: str) -> None:
    assert_problem(api.request("POST", "/payments", body), 400, "malformed-request")


def test_every_wrong_field_is_named(api: Api) -> None:
    wrong = {"transaction_id": "not allowed!", "amount": "-1", "currency": "EUR", "colour": "red", "metadata": {"a": 1}}
    problem = assert_problem(api.post(wrong), 400, "invalid-request")
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {
        "/transaction_id",
        "/customer_id",
        "/payment_method",
        "/amount",
        "/colour",
        "/metadata/a",
    }


def test_a_card_number_is_refused_and_kept_nowhere(api: Api, stack: Stack) -> None:
    number = "4111111111111111"
    payment = a_payment(description=f"card {number[:4]} {number[4:8]} {number[8:12]} {number[12:]}")
    answer = api.post(payment)
    problem = assert_problem(answer, 400, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == ["/description"]
    assert "1111" not in answer.text
    assert stored(stack, payment["transaction_id"]) is None
    assert ledger(stack, payment["transaction_id"]) is None
    logs = stack.session().client("logs", endpoint_url=stack.endpoint, verify=stack.trusted)
    group = f"/aws/lambda/{stack.outputs['function_names']['validator']}"
    lines = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert lines
    assert not [line for line in lines if number in line.replace(" ", "")]


def test_an_unsigned_request_is_refused(api_unsigned: Api, stack: Stack) -> None:
    payment = a_payment()
    assert_problem(api_unsigned.post(payment), 403, "forbidden")
    assert_problem(api_unsigned.get(payment["transaction_id"]), 403, "forbidden")
    assert stored(stack, payment["transaction_id"]) is None


def test_unknown_keys_are_refused(api_with_wrong_keys: Api) -> None:
    answer = api_with_wrong_keys.post(a_payment())
    assert answer.status_code == 403, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_the_clients_keys_open_nothing_but_the_api(api: Api, stack: Stack) -> None:
    """The client's user may call the API, but not the table and the queues behind it."""
    assert api.keys is not None
    session = boto3.Session(api.keys.access_key_id, api.keys.secret_access_key, region_name=stack.region)
    table = session.client("dynamodb", endpoint_url=stack.endpoint, verify=stack.trusted)
    with pytest.raises(ClientError, match="AccessDenied"):
        table.scan(TableName=stack.outputs["dynamodb_table_name"])


def test_an_unknown_payment_is_not_found(api: Api) -> None:
    assert_problem(api.get(unique("test")), 404, "not-found")


def test_a_customers_payments_come_newest_first_and_in_pages(api: Api) -> None:
    customer = unique("customer")
    ids = []
    for _ in range(5):
        payment = {**a_payment(), "customer_id": customer}
        assert api.post(payment).status_code == 202
        ids.append(payment["transaction_id"])
    listed: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        answer = api.customers_payments(customer, query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        listed += [payment["transaction_id"] for payment in page["payments"]]
        query = f"?limit=2&next_token={page.get('next_token', '')}"
    assert "next_token" not in page
    assert listed == ids[::-1]
    assert_problem(api.customers_payments(customer, "?limit=0"), 400, "invalid-request")


def differences(plan: dict[str, Any]) -> dict[str, set[str]]:
    """Return the attributes that a plan would change, by the type of their resources."""
    found: dict[str, set[str]] = {}
    for resource in plan["resource_changes"]:
        change = resource["change"]
        if resource["mode"] == "managed" and change["actions"] != ["no-op"]:
            before, after = change["before"] or {}, change["after"] or {}
            # An attribute that is known only after the apply does not cause the difference.
            names = after.keys() - change["after_unknown"].keys() if before else {"the resource itself"}
            found.setdefault(resource["type"], set()).update(
                name for name in names if not before or before.get(name) != after.get(name)
            )
    return found


def test_a_second_plan_changes_nothing(deployed: Deployed) -> None:
    found = differences(deployed.terraform.plan())
    unexpected = {type_: attributes - NOT_READ_BACK.get(type_, set()) for type_, attributes in found.items()}
    assert {type_: attributes for type_, attributes in unexpected.items() if attributes} == {}


def test_a_poison_message_holds_up_none_of_its_neighbours(api: Api, stack: Stack, slow: Slow) -> None:
    for payment in slow.neighbours:
        assert until_final(api, payment.transaction_id, SOON)["status"] == "processed"
        entry = ledger(stack, payment.transaction_id)
        assert entry is not None
        assert entry["attempts"] == {"N": "1"}


def test_a_charge_whose_answer_was_lost_is_made_once(api: Api, stack: Stack, slow: Slow, inbox: Inbox) -> None:
    transaction_id = slow.charged_then_lost["transaction_id"]
    outcome = until_final(api, transaction_id, AFTER_THE_RETRIES)
    assert outcome["status"] == "processed"
    entry = ledger(stack, transaction_id)
    assert entry is not None
    assert entry["attempts"] == {"N": "2"}
    assert entry["reference"]["S"] == outcome["gateway_reference"]
    assert entry["decided_at"]["S"] < outcome["updated_at"]
    event = inbox.wait(lambda event: event["subject"] == transaction_id, SOON)
    assert event is not None
    assert event["type"] == "payment.processed"


def test_a_message_that_cannot_be_processed_ends_in_the_dead_letter_queue(
    api: Api, stack: Stack, slow: Slow, inbox: Inbox
) -> None:
    """The poison message, and the payment that the gateway never answered, which is announced as unknown."""
    unanswered = slow.never_answered["transaction_id"]
    dead: set[str] = set()
    deadline = time.monotonic() + AFTER_THE_RETRIES
    while time.monotonic() < deadline:
        answer = stack.sqs.receive_message(
            QueueUrl=stack.outputs["validator_dlq_url"], MaxNumberOfMessages=10, WaitTimeSeconds=2
        )
        dead |= {message["Body"] for message in answer.get("Messages", [])}
        if slow.poison <= dead and any(unanswered in body for body in dead):
            break
    assert slow.poison <= dead
    assert len(dead - slow.poison) == 1
    assert unanswered in next(iter(dead - slow.poison))

    assert api.get(unanswered).json()["status"] == "unknown"
    event = inbox.wait(lambda event: event["subject"] == unanswered, SOON)
    assert event is not None
    assert event["type"] == "payment.unknown"
    entry = ledger(stack, unanswered)
    assert entry is not None
    assert "reference" not in entry
