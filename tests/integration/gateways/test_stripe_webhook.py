"""Stripe's events: which senders are accepted, and which statements are believed."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
import stripe
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from payments.domain.clock import now, timestamp
from payments.domain.payment import GatewayResult, Payment
from payments.gateways.port import Approved, Declined
from payments.gateways.stripe import events as stripe_events
from payments.gateways.stripe.events import SignatureError, signing_secrets, verify
from payments.handlers import stripe_webhook
from payments.runtime import client
from payments.runtime.messages import decode_message, encode
from payments.table.items import from_item, to_item
from payments.table.store import Table
from payments.usecases import hear, settle
from payments.usecases.announce import cloud_event
from payments.usecases.charge import Charging
from tests.support.aws import TABLE, Context, cold, payment, state, stream_record
from tests.support.messages import messages_of
from tests.support.stripe import Vault, gateway_to
from tests.support.stripe_server import FakeStripe, signed

OLD, NEW = "whsec_the_one_of_before", "whsec_the_one_of_today"


@pytest.fixture(autouse=True)
def wiring(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    vault = Vault(json.dumps({"secrets": [NEW, OLD]}))
    monkeypatch.setattr(client, "connect", {"dynamodb": dynamodb, "secretsmanager": vault}.__getitem__)
    for name, value in {"SECRET_NAME": "s", "SECRET_TTL_SECONDS": "300", "ENVIRONMENT": "test"}.items():
        monkeypatch.setenv(name, value)
    with cold(stripe_webhook.wired):
        yield vault


def post(body: str, signature: str | None) -> dict[str, Any]:
    event = {
        "resource": "/gateways/stripe/webhook",
        "httpMethod": "POST",
        # Spelt as Stripe does; API Gateway keeps the case.
        "headers": {"stripe-signature": signature} if signature is not None else {},
        "requestContext": {"requestId": "00000000-0000-0000-0000-000000000000"},
        "body": body,
        "isBase64Encoded": False,
    }
    return stripe_webhook.handler(event, Context())  # type: ignore[arg-type]


def tell(event: dict[str, Any], *secrets: str) -> dict[str, Any]:
    return post(*signed(event, *(secrets or (NEW,))))


def came(answer: dict[str, Any]) -> str:
    assert answer["statusCode"] == 200
    return str(json.loads(answer["body"])["result"])


def begin(fake: FakeStripe, table: Table, method: str) -> str:
    """Accept a payment and charge it; return the gateway's reference."""
    moment = timestamp(now())
    accepted = payment(payment_method=method, created_at=moment, updated_at=moment)
    table.accept(accepted)
    Charging(table, gateway_to(fake), now).work(accepted, last=False)
    return state(table).gateway_reference or ""


def ask(fake: FakeStripe, table: Table) -> None:
    """Process the payment as the processor does after a redrive."""
    Charging(table, gateway_to(fake), now).work(state(table), last=False)


@pytest.mark.parametrize("method", ["pm_fake_requires_action", "pm_usBankAccount"])
@pytest.mark.parametrize(
    ("end", "status", "code"), [("succeeded", "processed", None), ("canceled", "failed", "abandoned")]
)
def test_an_event_ends_what_was_pending(
    fake: FakeStripe, table: Table, method: str, end: str, status: str, code: str | None
) -> None:
    reference = begin(fake, table, method)
    assert state(table).status == "unknown"
    event = fake.finish(reference, end)
    assert came(tell(event)) == "settled"
    assert (state(table).status, state(table).failure_code) == (status, code)
    # A second time, as Stripe may.
    version = state(table).version
    assert came(tell(event)) in {"settled", "late"}
    assert state(table).version == version


def test_an_event_may_come_before_the_answer(fake: FakeStripe, table: Table) -> None:
    """The charge succeeds and its event is faster than its answer: the payment is processed once."""
    begun = begin(fake, table, "pm_card_visa")
    before = payment(payment_method="pm_card_visa")
    table._client.delete_item(TableName=TABLE, Key={"transaction_id": {"S": "order-1"}})  # noqa: SLF001
    table.accept(before)
    assert came(tell(fake.events[-1])) == "settled"
    assert (state(table).status, state(table).gateway_reference) == ("processed", begun)
    Charging(table, gateway_to(fake), now).settle(before, None, Approved(begun))
    assert state(table).version == 2


def test_late_events_change_nothing(fake: FakeStripe, table: Table, log: io.StringIO) -> None:
    reference = begin(fake, table, "pm_fake_requires_action")
    asked = fake.events[-1]
    failed, succeeded = fake.finish(reference, "failed"), fake.finish(reference, "succeeded")
    assert came(tell(succeeded)) == "settled"
    assert came(tell(failed)) == "late"
    tell(asked)
    found = state(table)
    assert (found.status, found.version) == ("processed", 3)
    assert "contradicts" not in log.getvalue()


@pytest.mark.parametrize("method", ["pm_fake_requires_action", "pm_usBankAccount"])
def test_a_failure_makes_the_payment_be_asked_about(fake: FakeStripe, table: Table, method: str) -> None:
    """The customer may still pay with another card, so only a cancellation ends it."""
    event = fake.finish(begin(fake, table, method), "failed", "expired_card")
    before = state(table)
    assert came(tell(event)) == "asked"
    (message,) = messages_of(stream_record(state(table), before))
    assert (message.event, state(table).status) == ("payment.validated", "unknown")
    ask(fake, table)
    assert (state(table).status, state(table).failure_code) == ("failed", "expired_card")
    assert came(tell(event)) == "late"
    assert came(tell(fake.events[-1])) == "late"


def test_a_customer_who_succeeds_after_a_decline_has_paid(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_fake_requires_action")
    tell(fake.finish(reference, "failed"))
    tell(fake.finish(reference, "succeeded"))
    ask(fake, table)
    assert (state(table).status, state(table).gateway_reference, fake.charged()) == ("processed", reference, 1250)


def test_a_success_of_a_payment_that_failed_raises_the_alarm(fake: FakeStripe, table: Table, log: io.StringIO) -> None:
    """This can happen to a payment that was declined before declines were canceled."""
    reference = begin(fake, table, "pm_fake_requires_action")
    table.record("order-1", "decline", now(), GatewayResult(failure_code="card_declined"))
    tell(fake.finish(reference, "succeeded"))
    assert state(table).status == "failed"
    assert "the gateway contradicts the table" in log.getvalue()


@pytest.mark.parametrize("end", ["canceled", "failed", "requires_action"])
def test_what_becomes_of_another_charge_is_not_what_becomes_of_the_payments(
    fake: FakeStripe, table: Table, end: str
) -> None:
    begin(fake, table, "pm_fake_requires_action")
    (ours,) = fake.intents.values()
    other = fake.intents["pi_other"] = ours | {"id": "pi_other"}
    before = state(table)
    assert came(tell(fake.finish(other["id"], end))) == "another charge's"
    assert state(table) == before


def test_another_charge_that_succeeds_after_the_payments_raises_the_alarm(
    fake: FakeStripe, table: Table, counted: list[str], log: io.StringIO
) -> None:
    begin(fake, table, "pm_card_visa")
    (ours,) = fake.intents.values()
    fake.intents["pi_other"] = ours | {"id": "pi_other", "status": "processing"}
    before = state(table)
    counted.clear()
    assert came(tell(fake.finish("pi_other", "succeeded"))) == "contradicted"
    assert (state(table), state(table).status, counted) == (before, "processed", ["Contradicted"])
    assert "the gateway has moved the money twice" in log.getvalue()


def test_another_charge_that_succeeds_before_the_payments_is_the_payments(
    fake: FakeStripe, table: Table, counted: list[str]
) -> None:
    begin(fake, table, "pm_fake_requires_action")
    (ours,) = fake.intents.values()
    fake.intents["pi_other"] = ours | {"id": "pi_other", "status": "processing"}
    assert came(tell(fake.finish("pi_other", "succeeded"))) == "asked"
    ask(fake, table)
    assert (state(table).status, state(table).gateway_reference) == ("processed", "pi_other")
    assert fake.intents[ours["id"]]["status"] == "canceled"
    assert "Contradicted" not in counted


@pytest.mark.parametrize("end", ["failed", "canceled", "requires_action"])
def test_a_charge_in_progress_is_settled_by_its_own_answer(fake: FakeStripe, table: Table, end: str) -> None:
    begin(fake, table, "pm_fake_requires_action")
    table._client.delete_item(TableName=TABLE, Key={"transaction_id": {"S": "order-1"}})  # noqa: SLF001
    table.accept(payment())
    (intent,) = fake.intents.values()
    assert came(tell(fake.finish(intent["id"], end))) == "in progress"
    assert state(table) == payment()


def test_what_the_customer_must_do_comes_by_an_event_too(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_usBankAccount")
    fake.intents[reference]["next_action"] = {"type": "verify_with_microdeposits"}
    event = fake.finish(reference, "requires_action")
    action = {"type": "verify_with_microdeposits"}
    event["data"]["object"]["next_action"] = fake.intents[reference]["next_action"] = action
    assert came(tell(event)) == "asked"
    ask(fake, table)
    assert state(table).next_action == "verify_with_microdeposits"


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_lateness_does_not_depend_on_a_clock(fake: FakeStripe, table: Table, seconds: int) -> None:
    """Stripe's clock is a second behind ours or ahead of it: the customer's next action is announced anyway."""
    reference = begin(fake, table, "pm_usBankAccount")
    event = fake.finish(reference, "requires_action")
    event["data"]["object"]["next_action"] = fake.intents[reference]["next_action"] = {"type": "redirect_to_url"}
    event["created"] = int(datetime.fromisoformat(state(table).updated_at).timestamp()) + seconds
    assert came(tell(event)) == "asked"
    ask(fake, table)
    told = state(table)
    assert told.next_action == "redirect_to_url"
    # Stripe sends it again: nothing is new, and Stripe is not asked.
    assert came(tell(event)) == "late"
    assert state(table) == told


def test_a_completed_action_is_not_expected_again(fake: FakeStripe, table: Table) -> None:
    """The customer has acted, and the request to act arrives again. Stripe is asked, and says that it is processing."""
    reference = begin(fake, table, "pm_fake_requires_action")
    asked = fake.events[-1]
    fake.finish(reference, "processing")
    ask(fake, table)
    table.record("order-1", "wait", now(), GatewayResult(gateway_reference=reference, next_action=""))
    assert came(tell(asked)) == "asked"
    ask(fake, table)
    assert (state(table).status, state(table).next_action) == ("unknown", "")


def refund(fake: FakeStripe, table: Table) -> str:
    reference = begin(fake, table, "pm_fake_refund_pending")
    moment = timestamp(now())
    item = to_item(state(table))
    asked = {"amount_minor": 500, "status": "validated", "created_at": moment, "updated_at": moment, "fingerprint": "f"}
    item["refunds"] = to_item(payment(refunds={"r1": asked}))["refunds"]
    table._client.put_item(TableName=TABLE, Item=item)  # noqa: SLF001
    Charging(table, gateway_to(fake), now).work(from_item(item), "r1", last=False)
    assert state(table).refunds["r1"].status == "unknown"
    assert reference
    return state(table).refunds["r1"].gateway_reference or ""


@pytest.mark.parametrize(
    ("end", "reason", "status", "of_payment"),
    [
        ("succeeded", None, "processed", "partially_refunded"),
        ("failed", "lost_or_stolen_card", "failed", "processed"),
    ],
)
def test_an_event_ends_a_refund(
    fake: FakeStripe, table: Table, end: str, reason: str | None, status: str, of_payment: str
) -> None:
    event = fake.finish_refund(refund(fake, table), end, reason)
    assert came(tell(event)) == "settled"
    found = state(table)
    assert (found.status, found.refunds["r1"].status, found.refunds["r1"].failure_code) == (of_payment, status, reason)


def test_a_failure_of_another_refund_than_the_one_that_succeeded_raises_the_alarm(
    fake: FakeStripe, table: Table, log: io.StringIO
) -> None:
    """Nobody asked Stripe for a second one, so nothing is believed of it."""
    succeeded = fake.finish_refund(refund(fake, table), "succeeded")
    tell(succeeded)
    before = state(table)
    other = {"id": "re_other", "status": "failed", "failure_reason": "unknown"}
    assert came(tell(succeeded | {"data": {"object": succeeded["data"]["object"] | other}})) == "another refund's"
    assert state(table) == before
    Charging(table, gateway_to(fake), now).settle(before, "r1", Declined("unknown"))
    assert "the gateway contradicts the table" in log.getvalue()
    assert state(table) == before


def test_another_amount_is_not_believed(fake: FakeStripe, table: Table, log: io.StringIO) -> None:
    reference = begin(fake, table, "pm_fake_requires_action")
    event = fake.finish(reference, "succeeded")
    for change in ({"amount": 1}, {"currency": "usd"}, {"amount": None}):
        wrong = event | {"data": {"object": event["data"]["object"] | change}}
        assert came(tell(wrong)) == "contradicted"
    assert state(table).status == "unknown"
    assert "another amount" in log.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {}},
        {"metadata": {"environment": "staging", "transaction_id": "order-1"}},
        {"metadata": {"environment": "test", "transaction_id": "../order-1"}},
        {"metadata": {"environment": "test", "transaction_id": "order-2"}},
        {"metadata": None},
    ],
)
def test_what_is_not_ours_is_left_alone(fake: FakeStripe, table: Table, change: dict[str, Any]) -> None:
    reference = begin(fake, table, "pm_fake_requires_action")
    event = fake.finish(reference, "succeeded")
    event["data"]["object"] |= change
    assert came(tell(event)) in {"not ours", "unknown"}
    assert state(table).status == "unknown"


def test_a_refund_by_hand_is_noted_and_what_is_no_news_is_not(fake: FakeStripe, log: io.StringIO) -> None:
    assert came(tell({"id": "evt_1", "type": "refund.created", "data": {"object": {"id": "re_1"}}})) == "not ours"
    assert came(tell({"id": "evt_3", "type": "customer.created", "data": {"object": {}}})) == "not about a payment"
    assert "was not requested here" in log.getvalue()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the metrics that were written."""
    names: list[str] = []
    for module in (hear, settle):
        monkeypatch.setattr(module, "measure", names.append)
    return names


def announced(before: Payment, after: Payment) -> list[dict[str, Any]]:
    """The announcements that follow from a change in the stream."""
    record = stream_record(after, before)
    return [cloud_event(decode_message(encode(message)), "/payments/test") for message in messages_of(record)]


def test_a_dispute_reaches_its_payment_once_and_is_announced(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_card_visa")
    before = state(table)
    event = fake.dispute(reference, amount=500)
    assert came(tell(event)) == "noted"
    after = state(table)
    (dispute,) = after.disputes.values()
    assert (dispute.amount_minor, dispute.status, dispute.reason, dispute.closed) == (
        500, "needs_response", "fraudulent", False,
    )  # fmt: skip
    assert (after.status, after.version) == ("processed", before.version + 1)
    (told,) = announced(before, after)
    assert (told["type"], told["id"]) == ("payment.disputed", f"order-1.{after.version}")
    # This shows the operator's tools the payment's last change.
    assert dispute.updated_at == after.updated_at
    assert told["data"]["dispute"] == {
        "dispute_id": f"du_{reference}",
        "amount": "5.00",
        "status": "needs_response",
        "reason": "fraudulent",
    }
    assert "payment_method" not in json.dumps(told)
    # The same event again has no second effect, in the table or in the announcements.
    assert came(tell(event)) == "late"
    assert state(table) == after
    assert announced(after, state(table)) == []


def test_the_same_event_twice_has_one_effect(fake: FakeStripe, table: Table, counted: list[str]) -> None:
    """No event ids are kept: the second event finds nothing left to do, to count or to announce."""
    reference = begin(fake, table, "pm_fake_requires_action")
    before = state(table)
    event = fake.finish(reference, "succeeded")
    counted.clear()
    tell(event)
    once = state(table)
    tell(event)
    assert state(table) == once
    assert counted.count("Processed") == 1
    assert [one["type"] for one in announced(before, once)] == ["payment.processed"]
    assert announced(once, state(table)) == []


def test_a_disputes_end_is_announced_and_a_late_beginning_is_not(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_card_visa")
    opened, lost = fake.dispute(reference), fake.dispute(reference, status="lost")
    # Both in the same second.
    lost["created"] = opened["created"]
    assert came(tell(lost)) == "noted"
    closed = state(table)
    assert came(tell(opened)) == "late"
    assert state(table) == closed
    (dispute,) = closed.disputes.values()
    assert (dispute.status, dispute.closed) == ("lost", True)
    (told,) = announced(msgspec.structs.replace(closed, disputes={}), closed)
    assert (told["type"], told["data"]["dispute"]["status"]) == ("payment.dispute_closed", "lost")


def test_a_dispute_and_its_end_in_order_are_two_announcements(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_card_visa")
    types, before = [], state(table)
    for event in (fake.dispute(reference), fake.dispute(reference, status="won")):
        tell(event)
        types += [one["type"] for one in announced(before, state(table))]
        before = state(table)
    assert types == ["payment.disputed", "payment.dispute_closed"]
    # Later changes of the payment do not announce it again.
    assert announced(before, msgspec.structs.replace(before, version=9)) == []


@pytest.mark.parametrize(
    ("intent", "age", "status"), [("pi_other", 3590, 503), ("pi_other", 3610, 200), (None, 0, 200)]
)
def test_a_dispute_of_an_unknown_charge_is_retried_for_an_hour(
    fake: FakeStripe, table: Table, intent: str | None, age: int, status: int
) -> None:
    """Its charge may not be recorded yet. After an hour, it counts as another stack's."""
    event = fake.dispute(begin(fake, table, "pm_card_visa"))
    before = state(table)
    event["data"]["object"]["payment_intent"] = intent
    event["created"] -= age
    answer = tell(event)
    assert answer["statusCode"] == status
    assert status == 503 or came(answer) == "not ours"
    assert state(table) == before


def test_a_dispute_that_is_none_is_refused(fake: FakeStripe, table: Table) -> None:
    reference = begin(fake, table, "pm_card_visa")
    before = state(table)
    none: list[dict[str, Any]] = [{"amount": None}, {"amount": "x"}, {"currency": "xxx"}]
    assert {tell(fake.dispute(reference, **change))["statusCode"] for change in none} == {400}
    wrong: list[dict[str, Any]] = [{"id": "du.x"}, {"currency": "usd"}, {"amount": 0}]
    assert {came(tell(fake.dispute(reference, **change))) for change in wrong} == {"contradicted"}
    assert state(table) == before


# Accepted senders.


def untouched(table: Table) -> None:
    assert state(table) == payment(status="unknown")


@pytest.fixture
def waiting(table: Table) -> dict[str, Any]:
    """A waiting payment, and the event that would end it."""
    table.accept(payment(status="unknown"))
    metadata = {"environment": "test", "transaction_id": "order-1"}
    intent = {"id": "pi_1", "amount": 1250, "currency": "eur", "status": "succeeded", "metadata": metadata}
    return {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": intent}}


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_each_of_two_secrets_counts(table: Table, waiting: dict[str, Any], secret: str) -> None:
    assert came(tell(waiting, secret)) == "settled"
    assert state(table).status == "processed"


def test_one_good_signature_of_several_is_enough(table: Table, waiting: dict[str, Any]) -> None:
    """Stripe signs with each of its secrets while a secret is being rolled."""
    assert came(tell(waiting, "whsec_of_another_endpoint", NEW)) == "settled"


@pytest.mark.parametrize("at", [-301, 301])
def test_an_old_signature_is_refused(table: Table, waiting: dict[str, Any], at: int) -> None:
    assert post(*signed(waiting, NEW, at=time.time() + at))["statusCode"] == 400
    untouched(table)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body, _: (body, None),
        lambda body, _: (body, ""),
        lambda body, _: (body, "v1=x"),
        lambda body, header: (body, header.split(",")[0]),
        lambda body, header: (body, header.replace("v1=", "v0=")),
        lambda body, header: (body, header.replace("t=", "t=1,t=")),
        lambda body, header: (body, header.replace("t=", "t=-")),
        lambda body, header: (body, header[:-20] + "0" * 9 + ",v0=x"),
        lambda body, header: (body.replace("evt_1", "evt_2"), header),
        # The same JSON in another spelling: the signature covers the bytes.
        lambda body, header: (json.dumps(json.loads(body)), header),
        lambda body, _: (body, "t=9" * 5000),
        lambda body, header: (body, header.replace("v1=", "v1=\u00e9")),
    ],
)
def test_what_stripe_has_not_signed_changes_nothing(
    table: Table, waiting: dict[str, Any], log: io.StringIO, spoil: Any
) -> None:
    answer = post(*spoil(*signed(waiting, NEW)))
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["type"] == "/problems/invalid-request"
    untouched(table)
    assert NEW not in log.getvalue() + answer["body"]


def test_an_event_with_another_secrets_signature_is_refused(table: Table, waiting: dict[str, Any]) -> None:
    assert tell(waiting, "whsec_of_a_stranger_to_us")["statusCode"] == 400
    untouched(table)


@pytest.mark.parametrize("body", ["", "[]", "{", '{"id": 1}', "[" * 10_000])
def test_a_signed_body_that_is_not_an_event_is_refused(body: str) -> None:
    header = stripe.WebhookSignature.generate_signature_header(body, NEW)
    assert post(body, header)["statusCode"] == 400


def test_our_check_and_the_packages_agree(waiting: dict[str, Any]) -> None:
    body, header = signed(waiting, OLD, NEW)
    for secret in (OLD, NEW):
        assert stripe.WebhookSignature.verify_header(body, header, secret, 300)
        verify(body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret), [secret], time.time())
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body, header, "whsec_of_a_stranger_to_us", 300)
    with pytest.raises(SignatureError):
        verify(body.encode(), header, ["whsec_of_a_stranger_to_us"], time.time())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_bare",
        "{}",
        '{"secrets": []}',
        '{"secrets": ["sk_live_x"]}',
        '{"secrets": ["whsec_1", "", "whsec_2"]}',
        '{"secrets": ["whsec_"]}',
        '{"secrets": ["whsec_fifteen_charac"]}',
    ],
)
def test_a_secret_that_is_none_serves_nobody(waiting: dict[str, Any], wiring: Vault, text: str) -> None:
    with pytest.raises(ValueError, match="secret must"):
        signing_secrets(text)
    wiring.text = text
    answer = tell(waiting)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "1")


def test_a_new_secret_needs_no_deployment(
    waiting: dict[str, Any], wiring: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tell(waiting, "whsec_the_one_of_tomorrow")["statusCode"] == 400
    wiring.text = json.dumps({"secrets": ["whsec_the_one_of_tomorrow", NEW]})
    _, secret = stripe_webhook.wired()
    monkeypatch.setattr(secret, "_clock", lambda: time.monotonic() + 301)
    assert came(tell(waiting, "whsec_the_one_of_tomorrow")) == "settled"


def test_stripe_is_asked_to_retry_if_the_table_does_not_answer(
    dynamodb: Any, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetItem")

    monkeypatch.setattr(dynamodb, "get_item", busy)
    assert tell(waiting)["statusCode"] == 503


KINDS = sorted(stripe_events.CHARGE_EVENTS | stripe_events.REFUND_EVENTS | stripe_events.DISPUTE_EVENTS)
parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    max_leaves=5,
)
MINE = {"environment": "test", "transaction_id": "order-1"}
# An event as Stripe writes it, with one part after another replaced by anything.
things = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["pi_1", "pi_2", "du_1"]) | parts,
        "amount": st.sampled_from([1250, 0, 10**30]) | parts,
        "currency": st.just("eur") | parts,
        "metadata": st.sampled_from([MINE, MINE | {"refund_id": "r1"}]) | parts,
        "status": st.sampled_from(["canceled", "requires_action", "failed", "pending"]) | parts,
        "payment_intent": st.just("pi_1") | parts,
        "next_action": st.fixed_dictionaries({"type": parts}) | parts,
        "last_payment_error": st.fixed_dictionaries({"code": parts, "decline_code": parts}) | parts,
        "cancellation_reason": parts,
        "failure_reason": parts,
        "reason": parts,
    },
)
events = st.one_of(
    parts,
    st.fixed_dictionaries(
        {
            "id": st.just("evt_1") | parts,
            "type": st.sampled_from(KINDS) | st.just("customer.created") | parts,
            "data": st.fixed_dictionaries({"object": things | parts}) | parts,
        },
        optional={"created": st.integers() | parts},
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events, is_signed=st.booleans())
@example(event={"id": "e", "type": KINDS[0], "data": {"object": {"id": "pi_1", "metadata": True}}}, is_signed=True)
@example(
    event={
        "id": "e",
        "type": "charge.dispute.created",
        "created": 10**40,
        "data": {"object": {"id": "du_1", "amount": 10**40, "currency": "eur", "payment_intent": "pi_1"}},
    },
    is_signed=True,
)
def test_any_post_is_answered_and_changes_no_money(table: Table, event: Any, *, is_signed: bool) -> None:
    """No signed event may cause a failure on our side: 503 is only for disputes that may be too early."""
    refund = {"amount_minor": 500, "status": "unknown", "created_at": "2026-01-01T00:00:00.000000Z"}
    refund |= {"updated_at": refund["created_at"], "fingerprint": "f"}
    table.accept(payment(status="processed", gateway_reference="pi_1", refunds={"r1": refund}))
    before = state(table)
    body, signature = signed(event, NEW)
    answer = post(body, signature if is_signed else signature.replace("v1=", "v1=0"))
    assert answer["statusCode"] in ({200, 400, 503} if is_signed else {400})
    assert json.loads(answer["body"])
    after = state(table)
    assert (after.status, after.money, after.gateway_reference) == (before.status, before.money, "pi_1")


@pytest.mark.parametrize("metadata", [True, [1], 7, "x", {"transaction_id": 7}, {"environment": {}}])
@pytest.mark.parametrize("kind", ["payment_intent.succeeded", "refund.failed"])
def test_metadata_that_is_no_object_of_strings_is_refused(metadata: Any, kind: str) -> None:
    event = {"id": "evt_1", "type": kind, "data": {"object": {"id": "pi_1", "metadata": metadata}}}
    assert tell(event)["statusCode"] == 400


def test_a_body_that_is_larger_than_any_event_is_not_read(
    fake: FakeStripe, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can post one, and each secret would be tried on it."""
    event = fake.finish(begin(fake, table, "pm_fake_requires_action"), "succeeded")
    event["data"]["object"]["metadata"] |= {f"k{number}": "\u20ac" * 500 for number in range(48)}
    event["data"]["object"]["evidence"] = {"uncategorized_text": "\u20ac" * 150_000}
    assert came(tell(event)) == "settled"
    monkeypatch.setattr(stripe_webhook, "verify", lambda *_: pytest.fail("the signature was looked at"))
    answer = post("x" * (stripe_events.MAX_BODY + 1), "t=1,v1=x")
    assert answer["statusCode"] == 413
    assert json.loads(answer["body"])["type"] == "/problems/too-large"
