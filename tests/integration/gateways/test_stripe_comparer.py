"""Comparing Stripe's books with the table: each planted difference is found, and nothing if there is none."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.domain.clock import now, timestamp
from payments.domain.lifecycle import Status
from payments.domain.payment import GatewayResult, RefundRecord
from payments.handlers import stripe_comparer
from payments.runtime import client
from payments.runtime.handler import FunctionError
from payments.table.store import Table
from payments.usecases.charge import Charging
from tests.support.aws import TABLE, Context, cold, payment
from tests.support.stripe import Vault, gateway_to
from tests.support.stripe_server import KEY, FakeStripe

TODAY = now().date().isoformat()
HOUR = 3600


class RecordingTopic:
    """An SNS that records what is published."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.attributes: list[dict[str, Any]] = []
        self.refuses = False

    def publish_batch(self, **request: Any) -> dict[str, Any]:
        entries = request["PublishBatchRequestEntries"]
        if self.refuses:
            return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in entries]}
        self.events += [json.loads(entry["Message"]) for entry in entries]
        self.attributes += [entry["MessageAttributes"] for entry in entries]
        return {"Successful": entries}


@pytest.fixture
def topic() -> RecordingTopic:
    return RecordingTopic()


@pytest.fixture(autouse=True)
def wiring(dynamodb: Any, fake: FakeStripe, topic: RecordingTopic, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clients = {"dynamodb": dynamodb, "secretsmanager": Vault(KEY), "sns": topic}
    monkeypatch.setattr(client, "connect", clients.__getitem__)
    settings = {
        "ENVIRONMENT": "test",
        "GATEWAY_TIMEOUT_SECONDS": "2",
        "SECRET_NAME": "s",
        "SECRET_TTL_SECONDS": "300",
        "STRIPE_ADDRESS": fake.address,
        "TOPIC_ARN": "arn:aws:sns:ap-southeast-1:000000000000:announcements",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with cold(stripe_comparer.wired, stripe_comparer.books):
        yield


def compare(day: str | None = TODAY, remaining: int = 900_000) -> dict[str, Any]:
    return stripe_comparer.handler({"day": day} if day else {}, Context(remaining))  # type: ignore[arg-type]


def charge(fake: FakeStripe, table: Table, transaction_id: str = "order-1", method: str = "pm_card_visa") -> str:
    """Accept a payment and charge it; return the gateway's reference."""
    moment = timestamp(now())
    accepted = payment(transaction_id=transaction_id, payment_method=method, created_at=moment, updated_at=moment)
    table.accept(accepted)
    Charging(table, gateway_to(fake), now).work(accepted, last=False)
    return next(reversed(fake.intents))


def give_back(fake: FakeStripe, table: Table, refund_id: str = "r1") -> dict[str, Any]:
    found = table.get("order-1")
    assert found
    moment = timestamp(now())
    refund = RefundRecord(500, Status.VALIDATED, moment, moment, "f")
    assert table.add_refund(found, refund_id, refund)
    found = table.get("order-1")
    assert found
    Charging(table, gateway_to(fake), now).work(found, refund_id, last=False)
    return next(reversed(fake.refunds.values()))


def update(dynamodb: Any, transaction_id: str = "order-1", **values: dict[str, str]) -> None:
    """Change an item directly."""
    dynamodb.update_item(
        TableName=TABLE,
        Key={"transaction_id": {"S": transaction_id}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def only(topic: RecordingTopic, kind: str) -> dict[str, Any]:
    """Return the one difference that a comparison has announced."""
    came = compare()
    assert [one["kind"] for one in came["differences"]] == [kind]
    (event,) = topic.events
    assert event["type"] == "gateway.difference"
    assert {name: value for name, value in event["data"].items() if name != "day"} == came["differences"][0]
    assert topic.attributes[0]["kind"]["StringValue"] == kind
    return came["differences"][0]  # type: ignore[no-any-return]


def test_no_difference_is_reported_if_there_is_none(
    fake: FakeStripe, table: Table, topic: RecordingTopic, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        charge(fake, table, f"order-{number}")
    charge(fake, table, "declined", "pm_card_visa_chargeDeclined")
    charge(fake, table, "waiting", "pm_usBankAccount")
    give_back(fake, table)
    assert compare() == {"day": TODAY, "compared": 6, "differences": []}
    assert topic.events == []
    assert "books differ" not in log.getvalue()
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [one["Compared"] for one in metrics if "Compared" in one] == [[6.0]]
    assert not any("ComparisonDifference" in one for one in metrics)


def test_a_charge_that_the_table_does_not_have(
    fake: FakeStripe, table: Table, dynamodb: Any, topic: RecordingTopic
) -> None:
    reference = charge(fake, table)
    dynamodb.delete_item(TableName=TABLE, Key={"transaction_id": {"S": "order-1"}})
    found = only(topic, "not_in_table")
    assert (found["gateway_reference"], found["at_gateway"]) == (reference, "12.50 EUR")


def test_a_charge_of_a_payment_that_failed_here(
    fake: FakeStripe, table: Table, dynamodb: Any, topic: RecordingTopic
) -> None:
    charge(fake, table)
    update(dynamodb, status={"S": "failed"})
    found = only(topic, "status")
    assert (found["at_gateway"], found["in_table"]) == ("succeeded", "failed")


@pytest.mark.parametrize(("age", "differs"), [(HOUR - 60, False), (HOUR + 60, True)])
def test_a_payment_that_is_not_final_has_an_hour(
    fake: FakeStripe, table: Table, dynamodb: Any, age: int, differs: bool
) -> None:
    charge(fake, table)
    update(dynamodb, status={"S": "unknown"})
    for entry in fake.balance:
        entry["source"]["created"] -= age
    assert bool(compare()["differences"]) is differs


def test_what_the_bank_has_yet_to_decide_is_no_difference_where_both_say_so(
    fake: FakeStripe, table: Table, dynamodb: Any
) -> None:
    charge(fake, table, method="pm_fake_refund_pending")
    assert give_back(fake, table)["status"] == "pending"
    charge(fake, table, "order-2")
    update(dynamodb, "order-2", status={"S": "unknown"})
    for entry in fake.balance:
        entry["source"]["created"] -= 48 * HOUR
    fake.balance[2]["source"]["status"] = "pending"
    assert compare()["differences"] == []


def test_a_payment_final_here_and_pending_at_stripe_is_a_difference(
    fake: FakeStripe, table: Table, topic: RecordingTopic
) -> None:
    charge(fake, table)
    fake.balance[0]["source"]["status"] = "pending"
    assert only(topic, "status")["at_gateway"] == "pending"


def test_the_oldest_of_many_is_compared_too(fake: FakeStripe, table: Table) -> None:
    for number in range(5):
        charge(fake, table, f"order-{number}")
    fake.balance[0]["source"]["amount"] += 1
    assert [one["transaction_id"] for one in compare()["differences"]] == ["order-0"]


@pytest.mark.parametrize("change", [{"amount": 1251}, {"currency": "usd"}, {"currency": "kwd", "amount": 12501}])
def test_another_amount(fake: FakeStripe, table: Table, topic: RecordingTopic, change: dict[str, Any]) -> None:
    charge(fake, table)
    fake.balance[0]["source"] |= change
    assert only(topic, "amount")["in_table"] == "12.50 EUR"


def test_a_second_charge_of_the_same_payment(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    first = charge(fake, table)
    source = fake.balance[0]["source"] | {"id": "ch_2", "payment_intent": "pi_second"}
    fake.balance.append(fake.balance[0] | {"id": "txn_2", "source": source})
    found = only(topic, "charged_twice")
    assert (found["gateway_reference"], found["in_table"]) == ("pi_second", first)


def test_a_failed_attempt_in_addition_to_the_charge_is_no_difference(fake: FakeStripe, table: Table) -> None:
    charge(fake, table)
    source = fake.balance[0]["source"] | {"id": "ch_2", "payment_intent": "pi_second", "status": "failed"}
    fake.balance.append(fake.balance[0] | {"id": "txn_2", "source": source})
    assert compare()["differences"] == []


def test_a_payment_that_stripe_has_never_seen(table: Table, topic: RecordingTopic) -> None:
    table.accept(payment(payment_method="pm_card_visa"))
    assert table.record("order-1", "approve", now(), GatewayResult(gateway_reference="pi_nowhere"))
    assert only(topic, "not_at_gateway") == {
        "kind": "not_at_gateway",
        "transaction_id": "order-1",
        "gateway_reference": "pi_nowhere",
        "in_table": "processed",
    }


def test_a_payment_whose_charge_did_not_happen(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    reference = charge(fake, table)
    fake.balance.clear()
    fake.intents[reference] |= {"status": "canceled", "amount_received": 0}
    found = only(topic, "not_at_gateway")
    assert (found["at_gateway"], found["in_table"]) == ("declined", "processed")


def test_a_charge_at_midnight_is_found_by_its_name(fake: FakeStripe, table: Table) -> None:
    charge(fake, table)
    # The table has it under today, the books under tomorrow.
    fake.balance[0]["created"] += 24 * HOUR
    assert compare() == {"day": TODAY, "compared": 1, "differences": []}


def test_a_refund_that_the_payment_does_not_have(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    charge(fake, table)
    refund = give_back(fake, table)
    refund["metadata"]["refund_id"] = "r2"
    assert only(topic, "not_in_table")["refund_id"] == "r2"


def test_a_refund_of_another_amount(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    charge(fake, table)
    give_back(fake, table)["amount"] = 499
    found = only(topic, "amount")
    assert (found["at_gateway"], found["in_table"]) == ("4.99 EUR", "5.00 EUR")


def test_a_refund_that_failed_at_stripe_after_all(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    charge(fake, table)
    give_back(fake, table)["status"] = "failed"
    found = only(topic, "status")
    assert (found["refund_id"], found["at_gateway"], found["in_table"]) == ("r1", "failed", Status.PROCESSED)


def test_a_refund_that_failed_days_after_it_succeeded(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    """Stripe books the failure on its own day: the day of the refund was compared long ago."""
    charge(fake, table)
    given = give_back(fake, table)
    fake.balance.clear()
    fake.finish_refund(given["id"], "failed", "lost_or_stolen_card")
    found = only(topic, "status")
    assert (found["refund_id"], found["at_gateway"], found["in_table"]) == ("r1", "failed", Status.PROCESSED)


def test_a_refund_that_was_made_by_hand(fake: FakeStripe, table: Table, topic: RecordingTopic) -> None:
    charge(fake, table)
    give_back(fake, table)["metadata"].clear()
    assert only(topic, "refund_by_hand")["transaction_id"] == "order-1"


def test_what_other_stacks_have_done_is_left_alone(fake: FakeStripe, table: Table) -> None:
    charge(fake, table)
    give_back(fake, table)
    for entry in list(fake.balance):
        elsewhere = {"metadata": {"environment": "staging", "transaction_id": "order-1"}, "payment_intent": "pi_x"}
        fake.balance.append(entry | {"id": entry["id"] + "x", "source": entry["source"] | elsewhere})
    fake.balance.append(fake.balance[0] | {"id": "txn_fee", "type": "stripe_fee", "source": {"id": "fee_1"}})
    assert compare()["differences"] == []


def test_a_difference_is_counted_by_its_kind_and_announced_again_under_the_same_id(
    fake: FakeStripe,
    table: Table,
    dynamodb: Any,
    topic: RecordingTopic,
    capsys: pytest.CaptureFixture[str],
    log: io.StringIO,
) -> None:
    charge(fake, table)
    update(dynamodb, status={"S": "failed"})
    compare()
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    counted = [(one.get("kind"), one["ComparisonDifference"]) for one in metrics if "ComparisonDifference" in one]
    assert sorted(counted, key=str) == [("status", [1.0]), (None, [1.0])]
    compare()
    first, second = topic.events
    assert first["id"] == second["id"] == f"difference.{TODAY}.status.order-1.{next(iter(fake.intents))}"
    assert "the gateway's books differ" in log.getvalue()


def test_yesterday_is_compared_unless_a_day_is_said(fake: FakeStripe) -> None:
    yesterday = now().date() - timedelta(days=1)
    assert compare(None)["day"] == yesterday.isoformat()
    created = fake.calls[-1].params["created"]
    since = datetime.combine(yesterday, datetime.min.time(), UTC).timestamp()
    assert created == {"gte": str(int(since)), "lt": str(int(since) + 24 * HOUR)}


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", 5, "9999-01-01", None])
def test_an_invalid_day_is_refused(day: Any) -> None:
    with pytest.raises(FunctionError):
        stripe_comparer.handler({"day": day}, Context())  # type: ignore[arg-type]


def test_a_day_that_is_not_compared_to_its_end_is_a_failure(
    fake: FakeStripe, table: Table, topic: RecordingTopic
) -> None:
    charge(fake, table)
    with pytest.raises(FunctionError, match="UnfinishedError"):
        compare(remaining=1000)
    fake.fail_next = ["500_before"]
    with pytest.raises(FunctionError, match="UnavailableError"):
        compare()
    fake.balance[0]["source"]["amount"] += 1
    topic.refuses = True
    with pytest.raises(FunctionError, match="UnfinishedError"):
        compare()
