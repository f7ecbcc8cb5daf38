"""Stripe through its own package, over HTTP: the requests, and the reading of each answer."""

from __future__ import annotations

import copy
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stripe
from botocore.exceptions import ClientError

from local import ROOT
from local.server import free_port, start_process, wait_until_up
from payments.domain.currencies import EXPONENTS
from payments.domain.errors import UnavailableError
from payments.domain.money import Money
from payments.gateways import registry
from payments.gateways.port import Approved, Charge, Declined, NotSent, Outcome, Pending, RateLimited, Refund, Unknown
from payments.gateways.stripe import gateway as stripe_gateway
from payments.gateways.stripe.gateway import StripeGateway
from payments.gateways.stripe.money import SUPPORTED, AmountError, from_stripe, to_stripe
from payments.runtime import client
from payments.runtime.secrets import Secret
from tests.support.stripe import Vault, gateway_to
from tests.support.stripe_server import KEY, ZERO_DECIMAL, Entry, FakeStripe, StripeAnswer

TEN = Money(1000, "EUR")
CHARGE = Charge("payment-order-1", TEN, "pm_card_visa", "order-1")


def charge(fake: FakeStripe, **changes: Any) -> Outcome:
    return gateway_to(fake).charge(msgspec.structs.replace(CHARGE, **changes))


def test_the_pinned_version_is_the_one_that_the_package_describes() -> None:
    """A new package means a new version of the API: read what changed, then change both."""
    assert stripe.api_version == stripe_gateway.API_VERSION


def test_a_charge_says_all_that_it_should(fake: FakeStripe) -> None:
    charge(fake)
    (call,) = fake.calls
    assert (call.method, call.path) == ("POST", "/v1/payment_intents")
    assert call.params == {
        "amount": "1000",
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "confirm": "true",
        "off_session": "true",
        "automatic_payment_methods": {"enabled": "true", "allow_redirects": "never"},
        "metadata": {"transaction_id": "order-1", "environment": "test"},
    }
    assert call.headers["idempotency-key"] == "test.payment-order-1"
    assert call.headers["stripe-version"] == stripe_gateway.API_VERSION
    assert "x-stripe-client-telemetry" not in call.headers
    assert "platform" not in json.loads(call.headers["x-stripe-client-user-agent"])


def test_a_refund_says_all_that_it_should(fake: FakeStripe) -> None:
    outcome = charge(fake)
    assert isinstance(outcome, Approved)
    refund = Refund("refund-order-1.r1", Money(300, "EUR"), outcome.reference, "order-1", "r1")
    assert isinstance(gateway_to(fake).refund(refund), Approved)
    call = fake.calls[-1]
    assert call.params == {
        "payment_intent": outcome.reference,
        "amount": "300",
        "metadata": {"transaction_id": "order-1", "environment": "test", "refund_id": "r1"},
    }
    assert call.headers["idempotency-key"] == "test.refund-order-1.r1"


def test_a_payment_method_of_a_customer_names_the_customer(fake: FakeStripe) -> None:
    assert isinstance(charge(fake, payment_method="cus_123-pm_card_visa"), Approved)
    assert fake.calls[0].params["customer"] == "cus_123"
    assert fake.calls[0].params["payment_method"] == "pm_card_visa"


def test_two_stacks_that_share_an_account_do_not_meet(fake: FakeStripe) -> None:
    dev, staging = (gateway_to(fake, scope=scope) for scope in ("dev", "staging"))
    first = dev.charge(CHARGE)
    assert staging.lookup(CHARGE) is None
    second = staging.charge(CHARGE)
    assert isinstance(first, Approved)
    assert isinstance(second, Approved)
    assert first != second
    assert (dev.lookup(CHARGE), staging.lookup(CHARGE)) == (first, second)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error"),
        ("pm_card_authenticationRequired", "authentication_required"),
        ("pm_nowhere", "resource_missing"),
    ],
)
def test_a_refusal_has_stripes_most_exact_code(fake: FakeStripe, method: str, code: str) -> None:
    assert charge(fake, payment_method=method) == Declined(code)


@pytest.mark.parametrize(
    ("fault", "outcome", "charged"),
    [
        ("silence_before", Unknown, 0),
        ("silence_after", Unknown, 1000),
        ("reset_before", Unknown, 0),
        ("reset_after", Unknown, 1000),
        ("500_before", Unknown, 0),
        ("500", Unknown, 1000),
        ("503_html", Unknown, 0),
        ("429", RateLimited, 0),
    ],
)
def test_each_fault_is_what_it_is(fake: FakeStripe, fault: str, outcome: type, charged: int) -> None:
    fake.fail_next = [fault]
    # Shorter than the fake's silence, but longer than an answer takes on a busy machine.
    gateway = gateway_to(fake, seconds=0.4 if fault.startswith("silence") else 5.0)
    assert type(gateway.charge(CHARGE)) is outcome
    # Once: the package itself retries nothing.
    assert (len(fake.calls), fake.charged()) == (1, charged)


def test_a_server_error_is_repeated_by_the_key_and_resolved_by_asking(fake: FakeStripe) -> None:
    """Stripe keeps its answer for the key, even an error. Only a lookup shows that the charge was made."""
    fake.fail_next = ["500"]
    gateway = gateway_to(fake)
    assert [type(gateway.charge(CHARGE)) for _ in range(2)] == [Unknown, Unknown]
    assert isinstance(gateway.lookup(CHARGE), Approved)
    assert fake.charged() == 1000


def test_a_key_is_forgotten_after_a_day_and_the_charge_is_found_by_its_name(fake: FakeStripe) -> None:
    gateway = gateway_to(fake)
    first = gateway.charge(CHARGE)
    fake.clock_skew = 25 * 3600
    assert gateway.lookup(CHARGE) == first


def test_a_charge_whose_name_differs_in_its_case_is_anothers(fake: FakeStripe) -> None:
    """Stripe's search finds it. If it counted as ours, a payment would be processed that nobody was charged for."""
    gateway = gateway_to(fake)
    theirs = msgspec.structs.replace(CHARGE, key="payment-Order-1", transaction_id="Order-1")
    made = gateway.charge(theirs)
    assert gateway.lookup(CHARGE) is None
    assert gateway.lookup(theirs) == made
    # With another amount, it is no contradiction either.
    assert gateway.lookup(msgspec.structs.replace(CHARGE, money=Money(999, "EUR"))) is None


def test_a_charge_behind_the_first_page_of_the_search_is_found(fake: FakeStripe) -> None:
    """Code that reads only one page would charge again, since other ids differ from ours only in their case."""
    gateway = gateway_to(fake)
    for name in ("ORDER-1", "Order-1", "oRDER-1"):
        gateway.charge(msgspec.structs.replace(CHARGE, key=f"payment-{name}", transaction_id=name))
    assert gateway.lookup(CHARGE) is None
    made = gateway.charge(CHARGE)
    assert gateway.lookup(CHARGE) == made


def test_where_nobody_listens_nothing_was_sent() -> None:
    secret = Secret(Vault(KEY), "s", str.strip, 300)
    outcome = StripeGateway(secret, "test", 1, "http://127.0.0.1:9").charge(CHARGE)
    assert isinstance(outcome, NotSent)


def test_where_no_connection_comes_about_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_gateway, "CONNECT_SECONDS", 0.05)
    secret = Secret(Vault(KEY), "s", str.strip, 300)
    # An address reserved for documentation: nobody answers there, or there is no route to it.
    outcome = StripeGateway(secret, "test", 1, "http://192.0.2.1:81").charge(CHARGE)
    assert isinstance(outcome, NotSent)


def test_a_fault_of_ours_is_no_decline(fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "_create_intent", lambda _: fake._get({}, "account", "acct_1"))  # noqa: SLF001
    monkeypatch.setattr(stripe_gateway, "_FINAL_CODES", frozenset())
    assert isinstance(charge(fake), Unknown)


def test_a_charge_in_progress_is_no_decline(fake: FakeStripe) -> None:
    charge(fake)
    params = fake.calls[0].params
    fake.keys["test.payment-order-1"] = Entry(json.dumps(["/v1/payment_intents", params], sort_keys=True), fake.now())
    assert isinstance(charge(fake), Unknown)


# Pending charges and refunds, and how they end.


@pytest.mark.parametrize(
    ("method", "action"), [("pm_usBankAccount", ""), ("pm_fake_requires_action", "use_stripe_sdk")]
)
@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("succeeded", Approved("pi_000000000000000000000001")),
        ("failed", Declined("card_declined")),
        ("canceled", Declined("abandoned")),
    ],
)
@pytest.mark.parametrize("by_reference", [False, True])
def test_a_pending_charge_becomes_final(
    fake: FakeStripe, method: str, action: str, end: str, outcome: Outcome, *, by_reference: bool
) -> None:
    gateway = gateway_to(fake)
    begun = msgspec.structs.replace(CHARGE, payment_method=method)
    pending = gateway.charge(begun)
    assert isinstance(pending, Pending)
    assert pending.next_action == action
    asked = msgspec.structs.replace(begun, reference=pending.reference if by_reference else None)
    assert gateway.lookup(asked) == pending
    fake.finish(pending.reference, end)
    assert gateway.lookup(asked) == outcome
    # The key still has the first answer, which must not count as the final one.
    assert gateway.charge(begun) == pending


def test_a_pending_refund_becomes_final(fake: FakeStripe) -> None:
    gateway = gateway_to(fake)
    made = charge(fake, payment_method="pm_fake_refund_pending")
    assert isinstance(made, Approved)
    refund = Refund("refund-order-1.r1", TEN, made.reference, "order-1", "r1")
    pending = gateway.refund(refund)
    assert isinstance(pending, Pending)
    fake.finish_refund(pending.reference, "failed", "expired_or_canceled_card")
    assert gateway.lookup(refund) == Declined("expired_or_canceled_card", pending.reference)
    fake.finish_refund(pending.reference, "canceled")
    assert gateway.lookup(refund) == Declined("refund_canceled", pending.reference)


def test_a_refund_that_has_a_name_is_found_by_it(fake: FakeStripe) -> None:
    """If it were not found, it would be refunded a second time."""
    gateway = gateway_to(fake)
    made = charge(fake, payment_method="pm_fake_refund_pending")
    assert isinstance(made, Approved)
    refund = Refund("refund-order-1.r1", Money(300, "EUR"), made.reference, "order-1", "r1")
    pending = gateway.refund(refund)
    assert isinstance(pending, Pending)
    # Somebody has edited it in the dashboard.
    fake.refunds[pending.reference]["metadata"] = {}
    assert gateway.lookup(msgspec.structs.replace(refund, reference=pending.reference)) == pending


@pytest.mark.parametrize(
    "status",
    ["requires_confirmation", "requires_payment_method", "requires_capture", "processing", "a_state_of_tomorrow"],
)
@pytest.mark.parametrize("by_reference", [False, True])
def test_every_status_that_is_not_final_is_pending(fake: FakeStripe, status: str, *, by_reference: bool) -> None:
    """It can still charge, under any status. If the lookup returned None, a second PaymentIntent would be created."""
    gateway = gateway_to(fake)
    begun = msgspec.structs.replace(CHARGE, payment_method="pm_fake_requires_action")
    pending = gateway.charge(begun)
    assert isinstance(pending, Pending)
    fake.finish(pending.reference, status)
    asked = msgspec.structs.replace(begun, reference=pending.reference if by_reference else None)
    assert gateway.lookup(asked) == Pending(pending.reference)


def test_a_payment_intent_that_is_not_confirmed_yet_is_pending(fake: FakeStripe) -> None:
    made = msgspec.structs.replace(CHARGE, payment_method="pm_fake_requires_confirmation")
    assert isinstance(gateway_to(fake).charge(made), Pending)


LATER = msgspec.structs.replace(CHARGE, key="later")
LATEST = msgspec.structs.replace(CHARGE, key="latest")


@pytest.mark.parametrize(
    ("methods", "kind", "which"),
    [
        (("pm_card_visa_chargeDeclined", "pm_card_visa", "pm_fake_requires_action"), Approved, 1),
        (("pm_card_visa_chargeDeclined", "pm_fake_requires_confirmation", "pm_card_visa_chargeDeclined"), Pending, 1),
        (("pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclined"), Declined, 2),
    ],
)
def test_of_several_the_one_that_charged_counts_and_then_the_one_that_may(
    fake: FakeStripe, methods: tuple[str, ...], kind: type, which: int
) -> None:
    gateway = gateway_to(fake)
    made = [
        gateway.charge(msgspec.structs.replace(one, payment_method=method))
        for one, method in zip((CHARGE, LATER, LATEST), methods, strict=True)
    ]
    assert isinstance(made[which], kind)
    assert gateway.lookup(CHARGE) == made[which]


def superfluous(fake: FakeStripe) -> tuple[Approved, str]:
    """Charge a payment, and leave a second PaymentIntent for it that the customer can still confirm."""
    gateway = gateway_to(fake)
    first = gateway.charge(CHARGE)
    second = gateway.charge(msgspec.structs.replace(LATER, payment_method="pm_fake_requires_action"))
    assert isinstance(first, Approved)
    assert isinstance(second, Pending)
    return first, second.reference


@pytest.mark.parametrize("status", ["requires_action", "requires_confirmation", "requires_payment_method"])
def test_an_intent_that_could_charge_a_second_time_is_canceled(fake: FakeStripe, status: str) -> None:
    first, second = superfluous(fake)
    fake.finish(second, status)
    assert gateway_to(fake).lookup(CHARGE) == first
    with pytest.raises(StripeAnswer, match="400"):
        fake.finish(second, "succeeded")
    assert fake.charged() == 1000


def test_a_lookup_ends_only_when_the_second_charge_is_canceled(fake: FakeStripe) -> None:
    first, second = superfluous(fake)
    # The search gets an answer, the cancellation does not.
    fake.fail_next = ["", "500_before"]
    with pytest.raises(UnavailableError):
        gateway_to(fake).lookup(CHARGE)
    assert gateway_to(fake).lookup(CHARGE) == first
    assert fake.intents[second]["status"] == "canceled"


def test_a_second_charge_that_is_with_the_bank_does_not_hide_the_first(fake: FakeStripe) -> None:
    first, second = superfluous(fake)
    fake.finish(second, "processing")
    assert gateway_to(fake).lookup(CHARGE) == first
    assert fake.intents[second]["status"] == "processing"


def two_waiting(fake: FakeStripe) -> tuple[Charge, str, str]:
    """Leave two PaymentIntents for a payment that the customer can still confirm."""
    begun = msgspec.structs.replace(CHARGE, payment_method="pm_fake_requires_action")
    made = [gateway_to(fake).charge(msgspec.structs.replace(begun, key=key)) for key in ("one", "other")]
    first, second = [one.reference for one in made if isinstance(one, Pending)]
    return begun, first, second


@pytest.mark.parametrize("status", ["requires_action", "requires_confirmation"])
@pytest.mark.parametrize("named", [0, 1, None])
def test_of_two_that_wait_for_the_customer_one_is_canceled(fake: FakeStripe, status: str, named: int | None) -> None:
    """The one that the payment names stays: its reference was announced."""
    begun, *made = two_waiting(fake)
    for one in made:
        fake.finish(one, status)
    asked = begun if named is None else msgspec.structs.replace(begun, reference=made[named])
    outcome = gateway_to(fake).lookup(asked)
    (waiting,) = [one["id"] for one in fake.intents.values() if one["status"] == status]
    assert {one["status"] for one in fake.intents.values()} == {status, "canceled"}
    assert outcome == Pending(waiting, "requires_action" if status == "requires_action" else "")
    assert named is None or waiting == made[named]
    assert gateway_to(fake).lookup(asked) == outcome


@pytest.mark.parametrize("end", ["processing", "succeeded"])
def test_one_that_is_with_the_bank_or_was_paid_meanwhile_is_the_one_that_stays(fake: FakeStripe, end: str) -> None:
    begun, first, second = two_waiting(fake)
    if end == "processing":
        fake.finish(first, end)
    else:
        # Between the search and the cancellation.
        paid = fake._search  # noqa: SLF001

        def search(params: Any) -> Any:
            answer = copy.deepcopy(paid(params))
            fake.finish(first, end)
            return answer

        fake._search = search  # type: ignore[method-assign]  # noqa: SLF001
    outcome = gateway_to(fake).lookup(msgspec.structs.replace(begun, reference=second))
    assert outcome == (Pending(first) if end == "processing" else Approved(first))
    assert fake.intents[second]["status"] == "canceled"


def test_the_comparison_cancels_no_second_charge(fake: FakeStripe) -> None:
    first, second = superfluous(fake)
    assert gateway_to(fake).read(CHARGE) == first
    assert fake.intents[second]["status"] == "requires_action"


# A declined PaymentIntent is canceled, so that the decline is final.


DECLINED = msgspec.structs.replace(CHARGE, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")


def only(fake: FakeStripe) -> dict[str, Any]:
    (intent,) = fake.intents.values()
    return intent


def test_a_decline_is_for_good(fake: FakeStripe) -> None:
    """The customer's page may still show the card form, but it no longer works."""
    assert gateway_to(fake).charge(DECLINED) == Declined("insufficient_funds")
    with pytest.raises(StripeAnswer, match="400"):
        fake.finish(only(fake)["id"], "succeeded")
    assert fake.charged() == 0


def test_a_customer_who_was_faster_has_paid(fake: FakeStripe) -> None:
    def another_card(event: dict[str, Any]) -> None:
        if event["type"] == "payment_intent.payment_failed":
            fake.finish(event["data"]["object"]["id"], "succeeded")

    fake.told = another_card
    gateway = gateway_to(fake)
    outcome = gateway.charge(DECLINED)
    assert outcome == Approved(only(fake)["id"])
    # The key repeats the decline for a day; it does not count as the final answer.
    assert gateway.charge(DECLINED) == gateway.lookup(DECLINED) == outcome
    assert fake.charged() == 1000


@pytest.mark.parametrize("status", ["processing", "requires_action"])
def test_a_customer_who_is_about_to_pay_is_waited_for_or_stopped(fake: FakeStripe, status: str) -> None:
    def another_card(event: dict[str, Any]) -> None:
        if event["type"] == "payment_intent.payment_failed":
            fake.finish(event["data"]["object"]["id"], status)

    fake.told = another_card
    # A PaymentIntent at the bank is not canceled; one that waits for the customer is.
    expected = Pending(f"pi_{1:024d}") if status == "processing" else Declined("insufficient_funds")
    assert gateway_to(fake).charge(DECLINED) == expected


@pytest.mark.parametrize("fault", ["silence_before", "silence_after", "reset_after", "500_before", "500", "429"])
@pytest.mark.parametrize("asked_by", ["charge", "name", "reference"])
def test_a_cancellation_without_an_answer_is_no_decline_and_is_made_again(
    fake: FakeStripe, fault: str, asked_by: str
) -> None:
    fake.fail_next = ["", fault]
    gateway = gateway_to(fake, seconds=0.4 if fault.startswith("silence") else 5.0)
    assert isinstance(gateway.charge(DECLINED), Unknown)
    named = {"reference": only(fake)["id"]} if asked_by == "reference" else {}
    again = gateway.charge if asked_by == "charge" else gateway.lookup
    # Stripe keeps a server error for its idempotency key, so the next cancellation uses another key.
    assert again(msgspec.structs.replace(DECLINED, **named)) == Declined("insufficient_funds")
    assert only(fake)["status"] == "canceled"


@pytest.mark.parametrize("by_reference", [False, True])
def test_a_lookup_cancels_a_failed_charge(fake: FakeStripe, *, by_reference: bool) -> None:
    gateway = gateway_to(fake)
    begun = msgspec.structs.replace(CHARGE, payment_method="pm_fake_requires_action")
    pending = gateway.charge(begun)
    assert isinstance(pending, Pending)
    fake.finish(pending.reference, "failed", "expired_card")
    asked = msgspec.structs.replace(begun, reference=pending.reference if by_reference else None)
    fake.fail_next = ["", "500_before"]
    with pytest.raises(UnavailableError):
        gateway.lookup(asked)
    assert [gateway.lookup(asked), gateway.lookup(asked)] == [Declined("expired_card")] * 2
    assert only(fake)["status"] == "canceled"


def test_a_decline_whose_charge_is_not_named_is_not_sure(fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(_: Any) -> None:
        raise StripeAnswer(402, {"error": {"type": "card_error", "code": "card_declined", "message": "No"}})

    monkeypatch.setattr(fake, "_create_intent", nameless)
    assert isinstance(charge(fake), Unknown)


def test_the_comparison_reads_and_cancels_nothing(fake: FakeStripe) -> None:
    gateway = gateway_to(fake)
    pending = gateway.charge(msgspec.structs.replace(CHARGE, payment_method="pm_fake_requires_action"))
    assert isinstance(pending, Pending)
    fake.finish(pending.reference, "failed")
    asked = msgspec.structs.replace(CHARGE, reference=pending.reference)
    assert gateway.read(asked) == Pending(pending.reference)
    assert [call.method for call in fake.calls] == ["POST", "GET", "GET"]


def test_another_amount_under_our_name_does_not_count_as_ours(fake: FakeStripe) -> None:
    gateway = gateway_to(fake)
    gateway.charge(CHARGE)
    with pytest.raises(UnavailableError, match="another amount"):
        gateway.lookup(msgspec.structs.replace(CHARGE, money=Money(1001, "EUR")))


def test_a_question_that_is_not_answered_is_no_answer(fake: FakeStripe) -> None:
    fake.fail_next = ["500_before", "429", "silence_before"]
    gateway = gateway_to(fake)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            gateway.lookup(CHARGE)


# Amounts.


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_every_currency_is_charged_exactly_or_refused(fake: FakeStripe, currency: str) -> None:
    """Stripe's own rules, written a second time: how many of its units make one major unit."""
    two_units = Money(2 * 10 ** EXPONENTS[currency], currency)
    outcome = charge(fake, money=two_units)
    if currency not in SUPPORTED:
        assert outcome == Declined("currency_not_supported")
        assert fake.calls == []
        return
    assert isinstance(outcome, Approved)
    units = 1 if currency in ZERO_DECIMAL else 1000 if currency in {"BHD", "JOD", "KWD", "OMR", "TND"} else 100
    assert fake.charged() == 2 * units
    assert from_stripe(fake.charged(), currency.lower()) == two_units
    assert gateway_to(fake).lookup(msgspec.structs.replace(CHARGE, money=two_units)) == outcome


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("5.00", "MGA", 5),
        ("800.45", "TWD", 80045),
        ("10.45", "HUF", 1045),
        ("5.120", "KWD", 5120),
        ("500", "JPY", 500),
        ("0.01", "USD", 1),
    ],
)
def test_the_special_cases(amount: str, currency: str, expected: int) -> None:
    money = Money.parse(amount, currency)
    assert to_stripe(money) == expected
    assert from_stripe(expected, currency) == money


@pytest.mark.parametrize(("amount", "currency"), [("5.124", "KWD"), ("5.20", "MGA"), ("0.001", "BHD")])
def test_an_amount_that_would_need_rounding_is_refused(fake: FakeStripe, amount: str, currency: str) -> None:
    money = Money.parse(amount, currency)
    assert charge(fake, money=money) == Declined("amount_not_representable")
    refund = Refund("refund-order-1.r1", money, "pi_1", "order-1", "r1")
    assert gateway_to(fake).refund(refund) == Declined("amount_not_representable")
    assert fake.calls == []


@pytest.mark.parametrize(("amount", "currency"), [(501, "isk"), (501, "ugx"), (1, "clf")])
def test_an_invalid_stripe_amount_is_refused(amount: int, currency: str) -> None:
    with pytest.raises(AmountError):
        from_stripe(amount, currency)


# The secret.


class Ticker:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_secret_is_read_once_until_its_time_is_over() -> None:
    vault, clock = Vault("one\n"), Ticker()
    secret = Secret(vault, "s", str.strip, 300, clock)
    assert [secret.read(), secret.read()] == ["one", "one"]
    vault.text = "two"
    clock.time = 299
    assert (secret.read(), vault.reads) == ("one", 1)
    clock.time = 300
    assert (secret.read(), vault.reads) == ("two", 2)


def test_a_secret_serves_on_while_it_cannot_be_read() -> None:
    vault, clock = Vault("one"), Ticker()
    secret = Secret(vault, "s", str.strip, 300, clock)
    secret.read()
    vault.error = ClientError({"Error": {"Code": "ThrottlingException"}}, "GetSecretValue")
    clock.time = 301
    assert [secret.read(), secret.read()] == ["one", "one"]
    assert vault.reads == 2


def test_a_secret_without_a_value_sends_nothing(fake: FakeStripe) -> None:
    vault = Vault("")
    vault.error = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
    assert isinstance(gateway_to(fake, vault=vault).charge(CHARGE), NotSent)
    with pytest.raises(UnavailableError):
        gateway_to(fake, vault=vault).lookup(CHARGE)
    assert fake.calls == []


def test_a_rolled_key_is_read_again_at_the_first_refusal(fake: FakeStripe) -> None:
    vault = Vault(KEY)
    gateway = gateway_to(fake, vault=vault)
    fake.key = vault.text = "sk_test_rolled"
    gateway._key.read()  # noqa: SLF001 - as a container that has read it
    vault.text = "sk_test_stale"
    gateway = gateway_to(fake, vault=vault)
    assert isinstance(gateway.charge(CHARGE), Unknown)
    vault.text = "sk_test_rolled"
    assert isinstance(gateway.charge(CHARGE), Approved)


def test_neither_the_key_nor_stripes_words_reach_an_outcome_or_a_log(
    fake: FakeStripe, log: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="payments")
    vault = Vault("sk_test_wrong")
    gateway = gateway_to(fake, vault=vault)
    said = [gateway.charge(CHARGE)]
    for fault in ("500_before", "503_html", "silence_before"):
        fake.fail_next = [fault]
        said.append(gateway_to(fake).charge(CHARGE))
    said.append(charge(fake, payment_method="pm_nowhere"))
    written = " ".join([str(said), log.getvalue(), caplog.text, *capfd.readouterr()])
    for secret in ("sk_test", "Sorry", "No such PaymentMethod", "Invalid API Key", "html"):
        assert secret not in written
    assert "AuthenticationError 401" in written


# The choice of the gateway.


def test_the_settings_choose_stripe(fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = {"secretsmanager": Vault(KEY)}
    monkeypatch.setattr(client, "connect", clients.__getitem__)
    for name, value in {
        "GATEWAY": "stripe",
        "ENVIRONMENT": "prod",
        "SECRET_NAME": "payment-stripe-key-prod",
        "SECRET_TTL_SECONDS": "300",
        "GATEWAY_TIMEOUT_SECONDS": "20",
        "STRIPE_ADDRESS": fake.address,
    }.items():
        monkeypatch.setenv(name, value)
    assert isinstance(registry.chosen(None).charge(CHARGE), Approved)
    assert fake.calls[0].headers["idempotency-key"] == "prod.payment-order-1"


def test_the_fake_serves_by_itself_all_that_it_serves_in_a_test(tmp_path: Path) -> None:
    """A local stack runs it as a process of its own. Its search failed there, so no payment was found by its name."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.stripe_server", str(port), str(tmp_path / "listener")]
    process = start_process(command, tmp_path / "log", cwd=ROOT)
    try:
        wait_until_up(process, lambda: answers(port), 20, "it did not start")
        served = StripeGateway(Secret(Vault(KEY), "s", str.strip, 300), "test", 5.0, f"http://127.0.0.1:{port}")
        made = served.charge(CHARGE)
        assert isinstance(made, Approved)
        assert served.lookup(CHARGE) == made
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
