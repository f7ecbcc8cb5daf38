"""I1 to I5 hold under repeats, reordering, crashes, losses and delays, and planted bugs show that each can fail.

The machine starts the real handlers in a world in memory, and drives them call by call into every kind of trouble.
At the end, the world settles without faults and is audited from outside.
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payments.domain import commands
from payments.domain.lifecycle import OPEN, REFUND_TRANSITIONS, TRANSITIONS, Status, Transition
from payments.domain.message import Message
from payments.domain.payment import GatewayResult
from payments.gateways.port import Approved, Charge, Refund
from payments.runtime import queue_batch
from payments.runtime.messages import encode
from payments.runtime.telemetry import logger
from payments.table import store
from payments.usecases import charge
from payments.usecases.charge import Charging
from tests.support.aws import payment
from tests.support.world import FATES, World, WorldEntry, WorldTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.faults

# The number of runs of each test: the planted bugs are found within the same number that the real code must pass. For a
# long search: FAULT_RUNS=10000 pytest tests/faults -k invariants
RUNS = settings(
    max_examples=int(os.environ.get("FAULT_RUNS", "250")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    print_blob=True,
)
PLANTED = settings(RUNS, phases=[Phase.generate], derandomize=True, report_multiple_bugs=False)
CURRENCIES = [("12.50", "EUR", 1250), ("500", "JPY", 500), ("1.234", "KWD", 1234), ("0.1", "USD", 10)]
SKEWS = st.sampled_from([0, 0, 0, -600, 600]).map(lambda seconds: timedelta(seconds=seconds))
SOME = st.integers(0, 9)
POISON = ["", "{", '{"schema": 2}', "[]", '{"schema": 2, "event": "payment.validated", "transaction_id": "nobody"}']
# A forged message for the first payment, from somebody who may send to the queue.
FORGED = encode(
    Message(
        "payment.validated",
        payment(
            transaction_id="t0", amount_minor=10**7, payment_method="pm_good", created_at="2026-01-01T00:00:00.000000Z"
        ),
    )
)
FATE = st.sampled_from(["well", "well", "well", "lost", *FATES])
# How the calls of a newly started handler end; None leaves it stopped at its first call.
FATES_LEFT: st.SearchStrategy[list[str] | None] = st.one_of(st.just([]), st.lists(FATE, max_size=3), st.none())


class Pipeline(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(AmazonCloudWatchEMFProvider, "flush_metrics", lambda emf, **_: emf.clear_metrics())
        logger.setLevel("CRITICAL")
        self.world = World(self.patch)
        self.late = False
        self.payments: list[dict[str, Any]] = []
        self.refunds: list[tuple[str, dict[str, Any]]] = []

    @initialize(payments=st.integers(0, 2), settled=st.booleans(), late=st.booleans())
    def begin(self, payments: int, settled: bool, late: bool) -> None:
        """Start with nothing, with payments just posted, or with payments already charged.

        ``late``: the remaining messages wait for a day at the end, and the gateway's keys have expired.
        """
        self.late = late
        for number in range(payments):
            self.post(CURRENCIES[number], declined=False, skew=timedelta(), fates=[])
        if settled:
            self.world.settle()

    # --- Clients ------------------------------------------------------------------------------------------------------

    @rule(
        money=st.sampled_from(CURRENCIES), declined=st.sampled_from([False, False, True]), skew=SKEWS, fates=FATES_LEFT
    )
    def post(self, money: tuple[str, str, int], declined: bool, skew: timedelta, fates: list[str] | None) -> None:
        amount, currency, _ = money
        body = {
            "transaction_id": f"t{len(self.payments)}",
            "customer_id": "ada",
            "amount": amount,
            "currency": currency,
            "payment_method": "pm_declined" if declined else "pm_good",
        }
        self.payments.append(body)
        self.drive(self.world.post(None, body, skew), fates)

    @precondition(lambda self: self.payments)
    @rule(which=SOME, skew=SKEWS, differently=st.booleans(), fates=FATES_LEFT)
    def post_again(self, which: int, skew: timedelta, differently: bool, fates: list[str] | None) -> None:
        change = {"amount": "7", "currency": "GBP"} if differently else {}
        self.drive(self.world.post(None, self.payments[which % len(self.payments)] | change, skew), fates)

    @precondition(lambda self: self.payments)
    @rule(which=SOME, share=st.sampled_from([None, 2, 1]), fates=FATES_LEFT)
    def refund(self, which: int, share: int | None, fates: list[str] | None) -> None:
        self.drive(self.ask_back(which, share), fates)

    def ask_back(self, which: int, share: int | None) -> WorldTask:
        payment = self.payments[which % len(self.payments)]
        body = {"refund_id": f"r{len(self.refunds)}"}
        if share:
            places = len(payment["amount"].partition(".")[2])
            body["amount"] = str(round(Decimal(payment["amount"]) / share, places))
        self.refunds.append((payment["transaction_id"], body))
        return self.world.post({"transaction_id": payment["transaction_id"]}, body)

    @precondition(lambda self: self.payments)
    @rule(
        which=SOME,
        shares=st.lists(st.sampled_from([None, 1]), min_size=2, max_size=3),
        turns=st.lists(SOME, max_size=9),
    )
    def refund_at_once(self, which: int, shares: list[int | None], turns: list[int]) -> None:
        """Several clients request refunds of the same payment at the same moment."""
        racing = [self.ask_back(which, share) for share in shares]
        for turn in turns:
            task = racing[turn % len(racing)]
            if task in self.world.tasks:
                self.world.go_on(task)

    @precondition(lambda self: self.refunds)
    @rule(which=SOME, fates=FATES_LEFT)
    def refund_again(self, which: int, fates: list[str] | None) -> None:
        transaction_id, body = self.refunds[which % len(self.refunds)]
        self.drive(self.world.post({"transaction_id": transaction_id}, body), fates)

    @precondition(lambda self: any(self.refunds_made()))
    @rule(which=SOME, turns=st.lists(SOME, max_size=3), fates=FATES_LEFT)
    def a_bank_sends_a_refund_back(self, which: int, turns: list[int], fates: list[str] | None) -> None:
        """The gateway reports it, in any order with what it has reported before, and repeats what is not taken."""
        made = list(self.refunds_made())
        self.world.reports += self.world.gateway.send_back(made[which % len(made)])
        for turn in turns:
            if self.world.reports:
                self.drive(self.world.hear(self.world.reports[turn % len(self.world.reports)]), fates)

    @precondition(lambda self: self.world.reports)
    @rule(which=SOME, fates=FATES_LEFT)
    def the_gateway_reports(self, which: int, fates: list[str] | None) -> None:
        self.drive(self.world.hear(self.world.reports[which % len(self.world.reports)]), fates)

    def refunds_made(self) -> Iterator[WorldEntry]:
        for body in self.payments:
            yield from self.world.gateway.approved(Refund, body["transaction_id"])

    # --- What AWS does ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.tasks)
    @rule(which=SOME, fates=st.lists(FATE, min_size=1, max_size=3), finish=st.booleans())
    def go_on(self, which: int, fates: list[str], finish: bool) -> None:
        """Let a stopped handler continue, by some calls or to its end."""
        task = self.world.tasks[which % len(self.world.tasks)]
        for fate in fates:
            if task in self.world.tasks:
                self.world.go_on(task, fate)
        if finish:
            self.drive(task, [])

    @precondition(lambda self: self.world.stream and not any(task.name == "relay" for task in self.world.tasks))
    @rule(size=st.integers(1, 5))
    def relay(self, size: int) -> None:
        self.world.relay(size)

    @precondition(lambda self: self.world.stream or self.world.queues["p"].messages)
    @rule(
        relayed=st.lists(FATE, max_size=1),
        processed=st.lists(FATE, min_size=1, max_size=6),
        skew=SKEWS,
        a_day_passes=st.sampled_from([False, False, True]),
    )
    def flow(self, relayed: list[str], processed: list[str], skew: timedelta, a_day_passes: bool) -> None:
        """Take the waiting payments to the gateway, and apply the fates to the calls on that path."""
        if self.world.stream and not any(task.name == "relay" for task in self.world.tasks):
            self.drive(self.world.relay(10), relayed)
        waiting = [one for one in self.world.queues["p"].messages if not one.hidden]
        task = self.world.deliver("p", waiting[:10], skew) if waiting else None
        if task:
            self.drive(task, processed)
        if a_day_passes:
            self.time_passes(25 * 60)

    def drive(self, task: WorldTask, fates: list[str] | None) -> None:
        """Run a handler to its end; its first calls end as ``fates`` say. None leaves it stopped."""
        if fates is None:
            return
        for fate in fates:
            if task in self.world.tasks:
                self.world.go_on(task, fate)
        while task in self.world.tasks:
            self.world.go_on(task)

    @precondition(lambda self: any(queue.messages for queue in self.world.queues.values()))
    @rule(queue=st.sampled_from("pppn"), first=SOME, size=st.integers(1, 4), again=st.booleans(), skew=SKEWS)
    def deliver(self, queue: str, first: int, size: int, again: bool, skew: timedelta) -> None:
        """Deliver messages from anywhere in the queue; ``again``: also those that a handler already has."""
        there = [one for one in self.world.queues[queue].messages if again or not one.hidden]
        if there:
            start = first % len(there)
            self.world.deliver(queue, there[start : start + size], skew)

    @rule(what=st.sampled_from(["redrive p", "redrive n", "reconcile", "poison"]), skew=SKEWS, fates=FATES_LEFT)
    def from_outside(self, what: str, skew: timedelta, fates: list[str] | None) -> None:
        """An operator redrives a dead-letter queue, the schedule starts, or an outsider writes to a queue."""
        if what == "reconcile":
            self.drive(self.world.reconcile(skew), fates)
        elif what == "poison":
            bodies = [*POISON, FORGED]
            self.world.send_poison(bodies[len(self.world.answers) % len(bodies)])
        else:
            self.world.redrive(what[-1])

    @rule(minutes=st.sampled_from([1, 16, 25 * 60]))
    def time_passes(self, minutes: int) -> None:
        """No function runs that long: calls in progress have timed out, before or after they took effect."""
        for number, task in enumerate(list(self.world.tasks)):
            self.world.go_on(task, "dead after" if (number + minutes) % 2 else "dead before")
        self.world.clock += timedelta(minutes=minutes)

    # --- The audit ----------------------------------------------------------------------------------------------------

    @invariant()
    def nobody_is_charged_twice(self) -> None:
        """I2, and refunds never exceed the charge."""
        for body in self.payments:
            name = body["transaction_id"]
            charges = self.world.gateway.approved(Charge, name)
            assert len(charges) <= 1, f"I2: {name} is charged {len(charges)} times"
            back = self.world.gateway.approved(Refund, name)
            assert len({one.request.refund_id for one in back}) == len(back), f"I2: {name} is refunded twice"  # type: ignore[union-attr]
            assert sum(one.request.money.minor for one in back) <= sum(one.request.money.minor for one in charges)

    @invariant()
    def no_more_is_refunded_than_was_charged(self) -> None:
        """Refunded and refunding together, at every moment; and the payment's status is what its refunds say."""
        for item in self.world.items():
            name, charged = item["transaction_id"]["S"], int(item["amount_minor"]["N"])
            refunds = [one["M"] for one in item["refunds"]["M"].values()]
            amounts = [(one["status"]["S"], int(one["amount_minor"]["N"])) for one in refunds]
            refunded = sum(amount for status, amount in amounts if status == "processed")
            assert sum(amount for status, amount in amounts if status != "failed") <= charged, name
            expected = {0: "processed", charged: "refunded"}.get(refunded, "partially_refunded")
            assert item["status"]["S"] in {expected, *(() if refunds else ("validated", "unknown", "failed"))}, name

    def teardown(self) -> None:
        try:
            self.world.finish_tasks()
            self.world.clock += timedelta(hours=25 if self.late else 0)
            self.world.settle()
            waiting = self.world.open_ids() - self.world.dead_ids()
            assert not waiting, f"I1: {waiting} are neither final nor in a dead-letter queue"
            self.mend()
            self.nobody_is_charged_twice()
            self.audit_answers()
            self.audit_books()
            self.audit_announcements()
        finally:
            self.patch.undo()
            logger.setLevel("INFO")

    def mend(self) -> None:
        """Do what an operator and the schedule do; after that, every payment is final."""
        for _ in range(20):
            for queue in self.world.queues:
                self.world.redrive(queue)
            self.world.clock += timedelta(hours=7)
            self.world.reconcile()
            self.world.settle()
            if not self.world.open_ids():
                break
        assert not self.world.open_ids(), f"I1: {self.world.open_ids()} never become final"
        still_open = [item["transaction_id"]["S"] for item in self.world.items() if "open_shard" in item]
        assert not still_open, f"{still_open} are final, and still in the open index"

    def audit_answers(self) -> None:
        """Every accepted request is in the table unchanged, and nothing else was accepted under its id."""
        for about, body, told in self.world.answers:
            if told["status"] != 202:
                continue
            item = self.world.item(about)
            assert item, f"I1: {about} was accepted, and is not in the table"
            if "refund_id" in body:
                assert body["refund_id"] in item["refunds"]["M"], f"I1: a refund of {about} was accepted, and is lost"
                continue
            asked = (Decimal(str(body["amount"])), body["currency"])
            assert (Decimal(told["body"]["amount"]), told["body"]["currency"]) == asked, f"I4: {about}"
            assert item["amount_minor"]["N"] == str(self.minor(body)), f"I4: {about}"

    def minor(self, body: dict[str, Any]) -> int:
        exponent = {"EUR": 2, "JPY": 0, "KWD": 3, "USD": 2, "GBP": 2}[body["currency"]]
        return int(Decimal(str(body["amount"])).scaleb(exponent))

    def audit_books(self) -> None:
        """The table agrees with the gateway's books."""
        for item in self.world.items():
            name, status = item["transaction_id"]["S"], item["status"]["S"]
            charges = self.world.gateway.approved(Charge, name)
            assert (status != "failed") is bool(charges), f"{name} is {status}, and was charged {len(charges)} times"
            for one in charges:
                assert str(one.request.money.minor) == item["amount_minor"]["N"], f"I4: {name}"
                assert one.request.money.currency == item["currency"]["S"], f"I4: {name}"
                assert isinstance(one.outcome, Approved)
                assert item["gateway_reference"]["S"] == one.outcome.reference
            booked = {one.request.refund_id: one for one in self.world.gateway.approved(Refund, name)}  # type: ignore[union-attr]
            stored = {key: one["M"] for key, one in item["refunds"]["M"].items()}
            sent_back = self.world.gateway.sent_back(name)
            # Otherwise this gateway declines a refund for one reason only: that it exceeds the charge.
            assert stored.keys() == booked.keys() | sent_back, f"a refund of {name} was accepted, and could not be made"
            ends = {key: "failed" if key in sent_back else "processed" for key in stored}
            assert {key: one["status"]["S"] for key, one in stored.items()} == ends, name
            assert all(stored[key]["amount_minor"]["N"] == str(one.request.money.minor) for key, one in booked.items())
            back = sum(one.request.money.minor for one in booked.values())
            if status != "failed":
                expected = "processed" if not back else "refunded" if str(back) == item["amount_minor"]["N"] else None
                assert status == (expected or "partially_refunded"), name

    def audit_announcements(self) -> None:
        """I3: every outcome is announced, and a repeat has the same id and content."""
        by_id: dict[str, dict[str, Any]] = {}
        for event in self.world.announced:
            assert by_id.setdefault(event["id"], event) == event, f"I3: two different events have the id {event['id']}"
        told = {(event["subject"], event["type"]) for event in by_id.values()}
        refunds = {
            (event["subject"], event["data"]["refund"]["refund_id"], event["type"])
            for event in by_id.values()
            if "refund" in event["data"]
        }
        for item in self.world.items():
            name, status = item["transaction_id"]["S"], item["status"]["S"]
            assert (name, "payment.failed" if status == "failed" else "payment.processed") in told, f"I3: {name}"
            for key, one in item["refunds"]["M"].items():
                kind = "payment.refunded" if one["M"]["status"]["S"] == "processed" else "payment.refund_failed"
                assert (name, key, kind) in refunds, f"I3: {name} {key}"


def test_the_invariants_hold() -> None:
    run_state_machine_as_test(Pipeline, settings=RUNS)


# Each of these removes one thing that the invariants depend on.
def put_without_its_condition(patch: pytest.MonkeyPatch) -> None:
    put = World.put_item
    patch.setattr(World, "put_item", lambda self, **request: put(self, **(request | {"ConditionExpression": None})))


def a_new_key_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(charge, "idempotency_key", lambda *_: str(uuid.uuid4()))


def the_same_fingerprint_for_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commands, "_fingerprint", lambda *_: "the same")


def an_empty_result_for_every_batch(patch: pytest.MonkeyPatch) -> None:
    work = queue_batch.work

    def forgetful(*arguments: Any, **options: Any) -> dict[str, Any]:
        work(*arguments, **options)
        return {}

    patch.setattr(queue_batch, "work", forgetful)


def refunds_that_do_not_look_at_the_version(patch: pytest.MonkeyPatch) -> None:
    update = World.update_item

    def blind(self: World, **request: Any) -> Any:
        condition = request["ConditionExpression"].replace(" AND #version = :version", "")
        return update(self, **(request | {"ConditionExpression": condition}))

    patch.setattr(World, "update_item", blind)


def a_charge_of_any_age_without_asking(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(charge, "BLIND_CHARGE_WINDOW", timedelta(days=365))


def a_silent_gateway_taken_for_a_decline(patch: pytest.MonkeyPatch) -> None:
    def guess(self: Charging, payment: Any, refund_id: Any, reason: str, *, last: bool) -> None:
        self._record(payment, refund_id, "decline", GatewayResult(failure_code=reason))

    patch.setattr(Charging, "_unresolved", guess)


def a_revert_that_leaves_the_payment_as_it_was(patch: pytest.MonkeyPatch) -> None:
    whole = store._of_payment  # noqa: SLF001

    def half(*arguments: Any) -> Any:
        follows = whole(*arguments)
        return None if follows and follows.leaves == TRANSITIONS["revert_all"].leaves else follows

    patch.setattr(store, "_of_payment", half)


def a_late_success_that_undoes_a_revert(patch: pytest.MonkeyPatch) -> None:
    again = Transition(OPEN | {Status.FAILED}, Status.PROCESSED)
    patch.setitem(REFUND_TRANSITIONS, "approve", again)


@pytest.mark.parametrize(
    "plant",
    [
        put_without_its_condition,
        a_new_key_for_each_attempt,
        the_same_fingerprint_for_everything,
        an_empty_result_for_every_batch,
        refunds_that_do_not_look_at_the_version,
        a_charge_of_any_age_without_asking,
        a_silent_gateway_taken_for_a_decline,
        a_revert_that_leaves_the_payment_as_it_was,
        a_late_success_that_undoes_a_revert,
    ],
)
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Pipeline, settings=PLANTED)


def test_the_world_is_not_empty() -> None:
    """A machine that reaches nothing would find nothing. By hand, a payment is charged and refunded in this world."""
    machine = Pipeline()
    try:
        machine.post(CURRENCIES[0], declined=False, skew=timedelta(), fates=[])
        machine.world.settle()
        machine.refund(0, 2, [])
        machine.world.settle()
        (item,) = machine.world.items()
        assert item["status"]["S"] == "partially_refunded"
        assert [event["type"] for event in machine.world.announced] == ["payment.processed", "payment.refunded"]
        assert json.dumps(machine.world.announced[1]["data"]["refund"]["amount"]) == '"6.25"'
        machine.a_bank_sends_a_refund_back(0, [1, 0], [])
        machine.world.settle()
        (item,) = machine.world.items()
        assert item["status"]["S"] == "processed"
        assert machine.world.announced[2]["type"] == "payment.refund_failed"
    finally:
        machine.teardown()
