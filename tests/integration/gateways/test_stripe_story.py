"""What banks, customers and networks do to a payment at Stripe, to the end, through the real handlers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from payments.domain.clock import timestamp
from payments.runtime.handler import FunctionError
from payments.usecases import hear, settle
from payments.usecases import relay as relaying
from tests.support.aws import TABLE
from tests.support.stripe import StripeStack
from tests.support.stripe_server import FakeStripe, StripeAnswer, refused

AT_A_PAGE = "pm_fake_requires_action"
DECLINED = "pm_card_visa_chargeDeclinedInsufficientFunds"


@pytest.fixture
def stack(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeStack]:
    with FakeStripe() as fake:
        yield StripeStack(dynamodb, fake, monkeypatch)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the metrics that were written."""
    names: list[str] = []
    for module in (hear, settle, relaying):
        monkeypatch.setattr(module, "measure", names.append)
    return names


def intent(stack: StripeStack) -> str:
    """The only PaymentIntent."""
    (found,) = stack.fake.intents
    return found


def test_a_customer_who_swaps_the_card_is_charged_once(stack: StripeStack) -> None:
    """They confirm after more than a day. Once 2 500 was charged for 1 250, by a second PaymentIntent."""
    stack.pay(AT_A_PAGE)
    first = intent(stack)
    stack.fake.finish(first, "requires_confirmation")
    for _ in range(6):
        stack.wait(hours=6)
        stack.reconcile()
    # The customer confirms everything that waits for them.
    for waiting in list(stack.fake.intents):
        stack.tell(stack.fake.finish(waiting, "succeeded"))
    stack.run()
    assert stack.fake.charged() == 1250
    assert (stack.payment.status, stack.payment.gateway_reference) == ("processed", first)


def test_a_lost_charge_that_waits_for_a_confirmation_is_found_by_its_name(stack: StripeStack) -> None:
    """The answers with its reference were lost. A day later the search finds it, and the payment waits for it."""
    stack.fake.fail_next = ["500"] * 3
    stack.pay(AT_A_PAGE)
    assert (stack.payment.status, stack.payment.gateway_reference) == ("unknown", None)
    stack.fake.finish(intent(stack), "requires_confirmation")
    stack.wait(hours=25)
    assert stack.reconcile() == {"pending": 1}
    assert stack.payment.gateway_reference == intent(stack)
    stack.tell(stack.fake.finish(intent(stack), "succeeded"))
    assert (stack.payment.status, stack.fake.charged()) == ("processed", 1250)


def test_a_customer_who_succeeds_after_a_decline_has_paid_and_can_be_refunded(stack: StripeStack) -> None:
    stack.pay(AT_A_PAGE)
    failed = stack.fake.finish(intent(stack), "failed")
    succeeded = stack.fake.finish(intent(stack), "succeeded")
    assert stack.tell(failed) == "asked"
    stack.run()
    assert stack.payment.status == "processed"
    assert stack.tell(succeeded) == "settled"
    assert stack.refund() == 202
    assert (stack.payment.status, stack.fake.charged(), stack.fake.refunded()) == ("refunded", 1250, 1250)


@pytest.mark.parametrize("method", [AT_A_PAGE, DECLINED])
def test_once_a_payment_has_failed_stripe_charges_nothing(stack: StripeStack, method: str) -> None:
    stack.pay(method)
    if method == AT_A_PAGE:
        stack.tell(stack.fake.finish(intent(stack), "failed", "insufficient_funds"))
        stack.run()
    assert (stack.payment.status, stack.payment.failure_code) == ("failed", "insufficient_funds")
    with pytest.raises(StripeAnswer, match="400"):
        stack.fake.finish(intent(stack), "succeeded")
    # All events that Stripe has sent meanwhile, in any order.
    for event in reversed(stack.fake.events):
        assert stack.tell(event) in {"late", "not about a payment"}
    assert [one["type"] for one in stack.announced if one["type"] == "payment.failed"] == ["payment.failed"]


@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "500", "500_before"])
def test_a_cancellation_whose_answer_is_lost_ends_in_the_first_decline(stack: StripeStack, fault: str) -> None:
    stack.fake.fail_next = ["", fault]
    stack.pay(DECLINED)
    assert (stack.payment.status, stack.payment.failure_code) == ("failed", "insufficient_funds")
    assert stack.fake.charged() == 0


def test_a_cancellation_that_never_gets_an_answer_leaves_the_payment_to_the_reconciler(stack: StripeStack) -> None:
    stack.fake.fail_next = ["", "reset_after", "", "500_before", "", "429"]
    stack.pay(DECLINED)
    assert (stack.payment.status, stack.payment.failure_code) == ("unknown", None)
    stack.wait(minutes=16)
    assert stack.reconcile() == {"settled": 1}
    assert (stack.payment.status, stack.payment.failure_code) == ("failed", "insufficient_funds")


def test_another_charges_end_is_not_the_payments(stack: StripeStack, counted: list[str]) -> None:
    stack.pay(AT_A_PAGE)
    first = intent(stack)
    stack.fake.intents["pi_other"] = stack.fake.intents[first] | {"id": "pi_other"}
    assert stack.tell(stack.fake.finish("pi_other", "canceled")) == "another charge's"
    stack.run()
    assert stack.payment.status == "unknown"
    assert stack.tell(stack.fake.finish(first, "succeeded")) == "settled"
    assert "Contradicted" not in counted
    assert (stack.payment.status, stack.payment.gateway_reference) == ("processed", first)


def test_what_the_customer_must_do_next_is_announced_in_the_second_in_which_it_is_known(stack: StripeStack) -> None:
    """Stripe's times are whole seconds, on another clock than ours."""
    stack.pay("pm_usBankAccount")
    event = stack.fake.finish(intent(stack), "requires_action")
    action = {"type": "verify_with_microdeposits"}
    stack.fake.intents[intent(stack)]["next_action"] = event["data"]["object"]["next_action"] = action
    event["created"] -= 1
    assert stack.tell(event) == "asked"
    stack.run()
    assert stack.announced[-1]["data"]["next_action"] == "verify_with_microdeposits"
    told = len(stack.announced)
    assert stack.tell(event) == "late"
    stack.run()
    assert len(stack.announced) == told


def test_a_dispute_is_counted_from_the_stream_even_if_its_writer_fails(stack: StripeStack, counted: list[str]) -> None:
    stack.pay("pm_card_visa")
    event = stack.fake.dispute(intent(stack))
    stack.lose_replies = 1
    assert stack.tell(event) == 503
    # Stripe sends it again, but it is already recorded.
    assert stack.tell(event) == "late"
    assert "Disputed" not in counted
    stack.run()
    assert counted.count("Disputed") == 1
    assert [one["type"] for one in stack.announced].count("payment.disputed") == 1


def test_a_dispute_that_the_relay_cannot_send_is_counted_when_it_can(
    stack: StripeStack, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.pay("pm_card_visa")
    stack.tell(stack.fake.dispute(intent(stack)))
    with monkeypatch.context() as patch:
        patch.setattr(stack, "send_message_batch", lambda **_: {"Failed": [{"Id": "0", "Code": "InternalError"}]})
        with pytest.raises(FunctionError):
            stack.relay()
    assert "Disputed" not in counted
    stack.run()
    assert counted.count("Disputed") == 1


def test_a_dispute_that_comes_before_its_charge_is_written_down_is_sent_again(stack: StripeStack) -> None:
    stack.fake.fail_next = ["reset_after"] * 3
    stack.pay("pm_card_visa")
    assert stack.payment.gateway_reference is None
    event = stack.fake.dispute(intent(stack))
    assert stack.tell(event) == 503
    stack.wait(minutes=16)
    stack.reconcile()
    assert stack.tell(event) == "noted"
    assert len(stack.payment.disputes) == 1


def test_a_dispute_that_no_payment_has_after_an_hour_is_not_ours_and_is_seen(
    stack: StripeStack, counted: list[str]
) -> None:
    stack.pay("pm_card_visa")
    event = stack.fake.dispute(intent(stack))
    event["data"]["object"]["payment_intent"] = "pi_of_another_stack"
    assert stack.tell(event) == 503
    stack.wait(minutes=59)
    assert stack.tell(event) == 503
    assert "Contradicted" not in counted
    stack.wait(minutes=2)
    assert stack.tell(event) == "not ours"
    # Stripe has taken money back for it: a person finds out for which charge.
    assert counted.count("Contradicted") == 1


def two_charges(stack: StripeStack) -> tuple[str, str]:
    """Have a second PaymentIntent created, because the search is a day behind. The payment names the second one."""
    stack.fake.fail_next = ["500"] * 3
    stack.pay(AT_A_PAGE)
    first = intent(stack)
    stack.fake.search_lag = 48 * 3600.0
    stack.wait(hours=25)
    stack.reconcile()
    second = stack.payment.gateway_reference or ""
    assert set(stack.fake.intents) == {first, second}
    stack.fake.search_lag = 0.0
    return first, second


@pytest.mark.parametrize("told_of", [True, False])
def test_another_charge_that_is_paid_first_becomes_the_payments_charge(
    stack: StripeStack, counted: list[str], told_of: bool
) -> None:
    """The customer has paid the PaymentIntent that the payment does not name."""
    first, second = two_charges(stack)
    event = stack.fake.finish(first, "succeeded")
    if told_of:
        assert stack.tell(event) == "asked"
        stack.run()
    else:
        stack.wait(hours=7)
        assert stack.reconcile() == {"settled": 1}
    assert (stack.payment.status, stack.payment.gateway_reference) == ("processed", first)
    with pytest.raises(StripeAnswer, match="400"):
        stack.fake.finish(second, "succeeded")
    assert (stack.fake.charged(), stack.refund()) == (1250, 202)
    assert "Contradicted" not in counted


def test_a_payment_waits_for_its_other_charge_when_the_one_that_it_names_is_canceled(
    stack: StripeStack, counted: list[str]
) -> None:
    """The customer can still pay the other PaymentIntent."""
    first, second = two_charges(stack)
    assert stack.tell(stack.fake.finish(second, "canceled")) == "asked"
    stack.run()
    assert (stack.payment.status, stack.payment.gateway_reference) == ("unknown", first)
    assert stack.tell(stack.fake.finish(first, "succeeded")) == "settled"
    assert (stack.payment.status, stack.fake.charged(), stack.refund()) == ("processed", 1250, 202)
    assert "Contradicted" not in counted


def test_a_restored_payment_whose_charge_is_canceled_is_looked_up(stack: StripeStack) -> None:
    """The restored table may have lost the name of another charge."""
    stack.pay(AT_A_PAGE)
    key = {"transaction_id": {"S": "order-1"}}
    stored = stack.get_item(TableName=TABLE, Key=key, ConsistentRead=True)["Item"]
    stack.put_item(TableName=TABLE, Item=stored | {"restored_at": {"S": timestamp(stack.now())}})
    stack.run()
    assert stack.tell(stack.fake.finish(intent(stack), "canceled")) == "asked"
    stack.run()
    assert stack.payment.status == "failed"


def test_an_account_without_the_search_learns_by_the_reference(
    stack: StripeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_search(_: Any) -> Any:
        raise refused("Search is not available in your region.")

    monkeypatch.setattr(stack.fake, "_search", no_search)
    stack.pay("pm_usBankAccount")
    stack.wait(minutes=31)
    assert stack.reconcile() == {"pending": 1}
    stack.fake.finish(intent(stack), "succeeded")
    stack.wait(hours=6)
    assert stack.reconcile() == {"settled": 1}


def refund_of(stack: StripeStack, refund_id: str) -> str:
    """Stripe's name of a refund."""
    return stack.payment.refunds[refund_id].gateway_reference or ""


def told(stack: StripeStack) -> list[tuple[str, str, str | None]]:
    """The announcements: the type, the payment's status and the refunded amount of each."""
    return [(one["type"], one["data"]["status"], one["data"].get("amount_refunded")) for one in stack.announced]


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
def test_a_refund_that_fails_after_all_is_made_again(stack: StripeStack, counted: list[str], kind: str) -> None:
    """A closed card account sends the money back. The customer must get it in another way, and the API can do it."""
    stack.pay("pm_card_visa")
    assert stack.refund() == 202
    assert (stack.payment.status, stack.refund("r2")) == ("refunded", 409)
    first, version = refund_of(stack, "r1"), stack.payment.version
    failed = stack.fake.finish_refund(first, "failed", "expired_or_canceled_card") | {"type": kind}
    assert stack.tell(failed) == "settled"
    stack.run()
    refund = stack.payment.refunds["r1"]
    assert (refund.status, refund.failure_code, refund.gateway_reference) == (
        "failed",
        "expired_or_canceled_card",
        first,
    )
    assert (stack.payment.status, stack.payment.refunded.minor, stack.payment.version) == ("processed", 0, version + 1)
    # Stripe tells it again, and what was before it.
    settled = stack.payment
    for event in (failed, *reversed(stack.fake.events)):
        stack.tell(event)
    stack.run()
    assert stack.payment == settled
    assert told(stack) == [
        ("payment.processed", "processed", None),
        ("payment.refunded", "refunded", "12.50"),
        ("payment.refund_failed", "processed", None),
    ]
    assert len({one["id"] for one in stack.announced}) == 3
    # The same refund again is a repeat, and not a new one; a new one is made.
    assert (stack.refund(), stack.payment) == (202, settled)
    assert stack.refund("r2") == 202
    assert (stack.payment.status, stack.payment.refunded.minor, stack.fake.refunded()) == ("refunded", 1250, 1250)
    assert "Contradicted" not in counted


def test_of_two_refunds_the_one_that_fails_is_taken_back(stack: StripeStack) -> None:
    stack.pay("pm_card_visa")
    stack.refund("r1", "2.50")
    stack.refund("r2")
    assert stack.payment.status == "refunded"
    stack.tell(stack.fake.finish_refund(refund_of(stack, "r1"), "failed", "unknown"))
    assert (stack.payment.status, stack.payment.refunded.minor) == ("partially_refunded", 1000)
    stack.tell(stack.fake.finish_refund(refund_of(stack, "r2"), "failed", "unknown"))
    assert (stack.payment.status, stack.payment.refunded.minor) == ("processed", 0)
    assert stack.fake.refunded() == stack.payment.refunded.minor


def test_a_refunds_failure_that_comes_before_its_success_is_not_undone(stack: StripeStack, counted: list[str]) -> None:
    stack.pay("pm_fake_refund_pending")
    stack.refund()
    assert stack.payment.refunds["r1"].status == "unknown"
    succeeded = stack.fake.finish_refund(refund_of(stack, "r1"), "succeeded")
    failed = stack.fake.finish_refund(refund_of(stack, "r1"), "failed", "unknown")
    stack.tell(failed)
    settled = stack.payment
    assert (settled.status, settled.refunds["r1"].status) == ("processed", "failed")
    stack.tell(succeeded)
    stack.run()
    assert stack.payment == settled
    assert [one["type"] for one in stack.announced].count("payment.refunded") == 0
    assert "Contradicted" not in counted


def test_a_refunds_failure_whose_write_is_not_answered_is_written_once(stack: StripeStack) -> None:
    stack.pay("pm_card_visa")
    stack.refund()
    failed = stack.fake.finish_refund(refund_of(stack, "r1"), "failed", "unknown")
    stack.lose_replies = 1
    assert stack.tell(failed) == 503
    version = stack.payment.version
    assert stack.tell(failed) == "settled"
    stack.run()
    assert (stack.payment.status, stack.payment.version) == ("processed", version)
    assert [one["type"] for one in stack.announced].count("payment.refund_failed") == 1


def test_a_lookup_finds_a_refunds_failure_that_no_event_reported(stack: StripeStack, counted: list[str]) -> None:
    """The comparison of the day has found it, and an operator has the reconciler ask Stripe about the payment."""
    stack.pay("pm_card_visa")
    stack.refund("r1", "2.50")
    stack.refund("r2", "2.50")
    stack.fake.finish_refund(refund_of(stack, "r1"), "failed", "unknown")
    assert stack.reconcile() == {}
    assert stack.payment.refunded.minor == 500
    assert stack.reconcile("order-1") == {"settled": 2}
    assert (stack.payment.status, stack.payment.refunded.minor) == ("partially_refunded", 250)
    assert "Contradicted" not in counted
