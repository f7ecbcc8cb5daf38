"""The audit finds a planted mistake of each kind, and nothing if nothing is wrong."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from chaos.audit import Posted, PostedRefund, Reply, audit
from chaos.run import zeros

if TYPE_CHECKING:
    from collections.abc import Callable

Facts = dict[str, Any]


def facts() -> Facts:
    """A payment that was charged, one that was refunded in part, and one that was declined."""
    posted = [
        Posted("paid", 1250, "EUR", 2, Reply.ACCEPTED),
        Posted("back", 1000, "JPY", 0, Reply.ACCEPTED, refunds={"r0": PostedRefund(400, Reply.ACCEPTED)}),
        Posted("declined", 5, "KWD", 3, Reply.ACCEPTED),
    ]
    table = [
        {"transaction_id": "paid", "amount_minor": 1250, "currency": "EUR", "status": "processed", "refunds": {}},
        {
            "transaction_id": "back",
            "amount_minor": 1000,
            "currency": "JPY",
            "status": "partially_refunded",
            "refunds": {"r0": {"amount_minor": 400, "status": "processed"}},
        },
        {"transaction_id": "declined", "amount_minor": 5, "currency": "KWD", "status": "failed", "refunds": {}},
    ]
    ledger = [
        charge("paid", 1250, "EUR"),
        charge("back", 1000, "JPY"),
        charge("back", 400, "JPY", key="refund-back.r0"),
        {"idempotency_key": "payment-declined", "transaction_id": "declined", "amount_minor": 5, "currency": "KWD"},
    ]
    events = [
        event("paid", "payment.processed", "12.50"),
        event("back", "payment.processed", "1000"),
        event("back", "payment.refunded", "400", "r0"),
        event("declined", "payment.failed", "0.005"),
        # Received twice.
        event("paid", "payment.processed", "12.50"),
        # An announcement of no outcome.
        event("paid", "payment.unknown", "12.50"),
    ]
    return {"posted": posted, "table": table, "ledger": ledger, "events": events}


def charge(name: str, amount: int, currency: str, key: str | None = None) -> dict[str, Any]:
    return {
        "idempotency_key": key or f"payment-{name}",
        "transaction_id": name,
        "amount_minor": amount,
        "currency": currency,
        "reference": "sim_1",
    }


def event(subject: str, kind: str, amount: str, refund_id: str | None = None, version: int = 2) -> dict[str, Any]:
    data: dict[str, Any] = {"amount": amount}
    if refund_id:
        data = {"amount": "1000", "refund": {"refund_id": refund_id, "amount": amount}}
    return {"id": f"{subject}.{version}", "subject": subject, "type": kind, "data": data}


def found(told: Facts) -> dict[str, int]:
    counts = audit(**told).counts()
    return {name: count for name, count in counts.items() if count}


def test_nothing_is_found_if_nothing_is_wrong() -> None:
    assert found(facts()) == {}


def no_item(told: Facts) -> None:
    del told["table"][2]


def not_final(told: Facts) -> None:
    told["table"][2]["status"] = "unknown"


def no_refund(told: Facts) -> None:
    del told["table"][1]["refunds"]["r0"]
    del told["ledger"][2]


def open_refund(told: Facts) -> None:
    told["table"][1]["refunds"]["r0"]["status"] = "validated"
    del told["ledger"][2]


def a_second_charge(told: Facts) -> None:
    told["ledger"].append(charge("paid", 1250, "EUR", key="payment-by-another-key"))


def a_second_refund(told: Facts) -> None:
    told["ledger"].append(charge("back", 400, "JPY", key="refund-another.r0"))


def another_amount_charged(told: Facts) -> None:
    told["ledger"][0]["amount_minor"] = 1251


def another_currency_charged(told: Facts) -> None:
    told["ledger"][0]["currency"] = "USD"


def another_amount_stored(told: Facts) -> None:
    told["table"][0]["amount_minor"] = 1249


def another_amount_refunded(told: Facts) -> None:
    told["ledger"][2]["amount_minor"] = 401


def more_refunded_than_charged(told: Facts) -> None:
    told["posted"][1].refunds["r0"].amount_minor = 1001
    told["table"][1]["refunds"]["r0"]["amount_minor"] = 1001
    told["ledger"][2]["amount_minor"] = 1001
    told["events"][2]["data"]["refund"]["amount"] = "1001"


def another_amount_announced(told: Facts) -> None:
    told["events"][0]["data"]["amount"] = "12.51"


def another_amount_of_a_refund_announced(told: Facts) -> None:
    told["events"][2]["data"]["refund"]["amount"] = "1000"


def an_end_not_announced(told: Facts) -> None:
    told["events"] = [one for one in told["events"] if one["type"] != "payment.processed" or one["subject"] != "paid"]


def a_failure_not_announced(told: Facts) -> None:
    del told["events"][3]


def a_refund_not_announced(told: Facts) -> None:
    del told["events"][2]


def failed_though_charged(told: Facts) -> None:
    told["ledger"][3]["reference"] = "sim_1"


def processed_though_not_charged(told: Facts) -> None:
    del told["ledger"][0]


def refused(told: Facts) -> None:
    told["posted"].append(Posted("refused", 5, "KWD", 3, Reply.REFUSED))


def a_refund_refused(told: Facts) -> None:
    told["posted"][1].refunds["r0"].answer = Reply.REFUSED


def never_answered(told: Facts) -> None:
    told["posted"].append(Posted("never-answered", 5, "KWD", 3))


def a_refund_never_answered(told: Facts) -> None:
    told["posted"][1].refunds["r1"] = PostedRefund(100)


def answered_otherwise(told: Facts) -> None:
    told["posted"][0].answered_otherwise = True


def another_outcome_announced_too(told: Facts) -> None:
    told["events"].append(event("paid", "payment.failed", "12.50"))


def another_outcome_of_a_refund_announced_too(told: Facts) -> None:
    told["events"].append(event("back", "payment.refund_failed", "400", "r0"))


def announced_under_two_ids(told: Facts) -> None:
    told["events"].append(event("paid", "payment.processed", "12.50", version=3))


def charged_though_nobody_asked(told: Facts) -> None:
    told["ledger"].append(charge("nobody's", 5, "KWD"))


def stored_though_nobody_asked(told: Facts) -> None:
    told["table"].append(told["table"][0] | {"transaction_id": "nobody's"})


def announced_though_nobody_asked(told: Facts) -> None:
    told["events"].append(event("nobody's", "payment.processed", "12.50"))


def refunded_though_nobody_asked(told: Facts) -> None:
    told["ledger"].append(charge("paid", 400, "EUR", key="refund-paid.r9"))


def a_refund_stored_though_nobody_asked(told: Facts) -> None:
    told["table"][0]["refunds"]["r9"] = {"amount_minor": 400, "status": "failed"}


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (no_item, "lost"),
        (not_final, "lost"),
        (no_refund, "lost"),
        (open_refund, "lost"),
        (a_second_charge, "double_charged"),
        (a_second_refund, "double_charged"),
        (another_amount_charged, "amount_differences"),
        (another_currency_charged, "amount_differences"),
        (another_amount_stored, "amount_differences"),
        (another_amount_refunded, "amount_differences"),
        (more_refunded_than_charged, "amount_differences"),
        (an_end_not_announced, "unannounced"),
        (a_failure_not_announced, "unannounced"),
        (a_refund_not_announced, "unannounced"),
        (failed_though_charged, "contradicted"),
        (processed_though_not_charged, "contradicted"),
        (another_amount_announced, "amount_differences"),
        (another_amount_of_a_refund_announced, "amount_differences"),
        (refused, "refused"),
        (a_refund_refused, "refused"),
        (never_answered, "unanswered"),
        (a_refund_never_answered, "unanswered"),
        (answered_otherwise, "contradicted"),
        (another_outcome_announced_too, "contradicted"),
        (another_outcome_of_a_refund_announced_too, "contradicted"),
        (announced_under_two_ids, "contradicted"),
        (charged_though_nobody_asked, "contradicted"),
        (stored_though_nobody_asked, "contradicted"),
        (announced_though_nobody_asked, "contradicted"),
        (refunded_though_nobody_asked, "contradicted"),
        (a_refund_stored_though_nobody_asked, "contradicted"),
    ],
)
def test_a_planted_mistake_is_found(plant: Callable[[Facts], None], kind: str) -> None:
    told = copy.deepcopy(facts())
    plant(told)
    assert found(told) == {kind: 1}
    report = dict.fromkeys(audit(**facts()).counts(), 0) | {"left_in_queues": 0}
    assert zeros(report | found(told)) == {kind: 1}


def test_messages_that_remain_in_the_queues_are_reported() -> None:
    assert zeros(audit(**facts()).counts() | {"left_in_queues": 2}) == {"left_in_queues": 2}


def test_an_unacknowledged_payment_may_be_missing_but_not_half_done() -> None:
    told = facts()
    never_answered(told)
    told["table"].append(
        {"transaction_id": "never-answered", "amount_minor": 5, "currency": "KWD", "status": "validated"}
    )
    assert found(told) == {"lost": 1, "unanswered": 1}
    del told["table"][-1]
    told["ledger"].append(charge("never-answered", 5, "KWD"))
    assert found(told) == {"contradicted": 1, "unanswered": 1}
