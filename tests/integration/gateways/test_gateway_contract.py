"""What every gateway must do: the same tests for the simulator and for Stripe.

To test another gateway, add it to GATEWAYS: how to create it, and its payment method for each behaviour.

Stripe is tested twice: with our own fake, and with localstripe, which others wrote. localstripe has Stripe's formats
but not all of its behaviour. The gateway of tests/faults is tested too, since those tests trust it. DIFFERENCES lists
the tests that a fake must fail, each with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from payments.domain.errors import UnavailableError
from payments.domain.money import Money
from payments.gateways.port import (
    Approved,
    Charge,
    Declined,
    Gateway,
    Outcome,
    RateLimited,
    Refund,
    Unknown,
    idempotency_key,
)
from payments.gateways.simulator import Simulator
from payments.gateways.stripe.gateway import StripeGateway
from tests.support import second_opinion
from tests.support.aws import LEDGER
from tests.support.stripe import gateway_to
from tests.support.stripe_server import FakeStripe
from tests.support.world import STARTED, FakeGateway

TEN = Money(1000, "EUR")


@dataclass
class GatewayUnderTest:
    """A gateway, its own books of charges and refunds, and its payment method for each behaviour."""

    gateway: Gateway
    charged: Callable[[], int]
    refunded: Callable[[], int]
    methods: dict[str, str]


@contextmanager
def simulator(request: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    dynamodb = request.getfixturevalue("dynamodb")

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = dynamodb.scan(TableName=LEDGER)["Items"]
        return found

    def charged() -> int:
        of_charges = [entry for entry in entries() if entry["idempotency_key"]["S"].startswith("payment-")]
        return sum(int(entry["amount_minor"]["N"]) for entry in of_charges if "reference" in entry)

    def refunded() -> int:
        return sum(int(entry.get("refunded_minor", {"N": "0"})["N"]) for entry in entries())

    behaviours = ("approved", "timeout_after_charge", "timeout_before_charge", "rate_limited", "unavailable")
    methods = {behaviour: f"pm_sim_{behaviour}" for behaviour in behaviours}
    methods |= {"insufficient_funds": "pm_sim_declined_insufficient_funds"}
    methods |= {f"refund_{behaviour}": f"pm_sim_refund_{behaviour}" for behaviour in behaviours[1:]}
    yield GatewayUnderTest(Simulator(dynamodb, LEDGER, lambda: datetime.now(UTC)), charged, refunded, methods)


@contextmanager
def stripe(_: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    with FakeStripe() as fake:
        behaviours = ("timeout_after_charge", "timeout_before_charge", "rate_limited", "unavailable")
        methods = {behaviour: f"pm_fake_{behaviour}" for behaviour in behaviours}
        methods |= {"approved": "pm_card_visa"}
        methods |= {"insufficient_funds": "pm_card_visa_chargeDeclinedInsufficientFunds"}
        methods |= {f"refund_{behaviour}": f"pm_fake_refund_{behaviour}" for behaviour in behaviours}
        gateway: StripeGateway = gateway_to(fake)
        yield GatewayUnderTest(gateway, fake.charged, fake.refunded, methods)


@contextmanager
def localstripe(request: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    opinion = request.getfixturevalue("opinion")
    opinion.forget()
    yield GatewayUnderTest(opinion.gateway(), opinion.charged, opinion.refunded, opinion.methods())


class Fates:
    """Ends the next calls of the gateway of tests/faults: well, or once as their payment method demands."""

    clock = STARTED

    def __init__(self) -> None:
        self.gateway = FakeGateway(self)  # type: ignore[arg-type]
        self._behaviour = ""
        self._called: set[str] = set()
        self._lock = Lock()

    def charge(self, charge: Charge) -> Outcome:
        self._choose(charge.key, charge.payment_method)
        return self.gateway.charge(charge)

    def refund(self, refund: Refund) -> Outcome:
        methods = {
            one.outcome.reference: one.request.payment_method
            for one in self.gateway.approved(Charge, refund.transaction_id)
            if isinstance(one.request, Charge) and isinstance(one.outcome, Approved)
        }
        self._choose(refund.key, methods.get(refund.charge_reference, "").removeprefix("refund_"))
        return self.gateway.refund(refund)

    def lookup(self, request: Charge | Refund) -> Approved | Declined | None:
        self._behaviour = ""
        return self.gateway.lookup(request)

    def _choose(self, key: str, behaviour: str) -> None:
        is_first = key not in self._called
        self._called.add(key)
        self._behaviour = behaviour if is_first or behaviour == "unavailable" else ""

    def io(self, name: str, effect: Callable[[], Any]) -> Any:
        if self._behaviour == "rate_limited":
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
        if self._behaviour in {"timeout_before_charge", "unavailable"}:
            raise ReadTimeoutError(endpoint_url=name)
        # tests/faults runs one handler at a time.
        with self._lock:
            result = effect()
        if self._behaviour == "timeout_after_charge":
            raise ReadTimeoutError(endpoint_url=name)
        return result

    def moved(self, kind: type[Charge | Refund]) -> int:
        return sum(one.request.money.minor for one in self.gateway.approved(kind, "order-1"))


@contextmanager
def faults(_: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    fates = Fates()
    behaviours = ("timeout_after_charge", "timeout_before_charge", "rate_limited", "unavailable")
    methods = {name: name for behaviour in behaviours for name in (behaviour, f"refund_{behaviour}")}
    methods |= {"approved": "approved", "insufficient_funds": "declined"}
    yield GatewayUnderTest(fates, lambda: fates.moved(Charge), lambda: fates.moved(Refund), methods)


GATEWAYS = {"simulator": simulator, "stripe": stripe, "localstripe": localstripe, "faults": faults}
NO_KEYS = "it ignores idempotency keys: each repeat charges, or refunds, once more"
NO_SEARCH = "it has no search, so a payment without a reference is never found"
NO_FAULTS = "it has no payment methods that fail in these ways"
NOT_FOUND = "its 404 has neither a code nor a parameter; Stripe's says which object does not exist"
DIFFERENCES: dict[str, dict[str, str]] = {
    "faults": {
        "test_a_decline_is_final_and_says_why": "it gives every decline the same reason",
        "test_a_payment_method_that_is_not_there_is_a_decline": "it charges every payment method except a declined one",
    },
    "localstripe": {
        "test_a_charge_is_made_once_however_often_it_is_requested": NO_KEYS,
        "test_a_charge_is_made_once_for_simultaneous_requests": NO_KEYS,
        "test_a_decline_is_final_and_says_why": "it charges a card that must be declined",
        "test_a_payment_method_that_is_not_there_is_a_decline": NOT_FOUND,
        "test_a_lost_answer_is_unknown_and_a_lookup_finds_it": NO_FAULTS,
        "test_a_lost_request_is_unknown_and_is_repeated": NO_FAULTS,
        "test_too_many_calls_have_their_own_outcome": NO_FAULTS,
        "test_a_gateway_that_never_answers_never_declines": NO_FAULTS,
        "test_a_key_that_was_used_for_another_amount_is_neither_a_charge_nor_a_decline": NO_KEYS,
        "test_a_charge_that_was_never_requested_is_not_found": NO_SEARCH,
        "test_a_refund_is_made_once_however_often_it_is_requested": NO_KEYS,
        "test_refunds_never_exceed_the_charge": "it refunds more than was charged",
        "test_a_refund_of_no_charge_is_declined": NOT_FOUND,
        "test_a_lost_refund_is_made_once": NO_FAULTS,
    },
}
# How a test fails because of one of them.
EXPECTED = (AssertionError, KeyError, UnavailableError)


@pytest.fixture(scope="session")
def opinion() -> Iterator[second_opinion.Opinion]:
    with second_opinion.serving() as served:
        yield served


@pytest.fixture(params=GATEWAYS)
def bench(request: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    differs = DIFFERENCES.get(request.param, {}).get(request.node.originalname)
    if differs is not None:
        # Strict: if it learns to do what Stripe does, its line must be removed.
        request.applymarker(pytest.mark.xfail(reason=differs, strict=True, raises=EXPECTED))
    with GATEWAYS[request.param](request) as made:
        yield made


def charge_of(bench: GatewayUnderTest, behaviour: str, money: Money = TEN) -> Charge:
    return Charge(idempotency_key("order-1"), money, bench.methods[behaviour], "order-1")


def refund_of(reference: str, refund_id: str = "r1", money: Money = TEN) -> Refund:
    return Refund(idempotency_key("order-1", refund_id), money, reference, "order-1", refund_id)


def approved(bench: GatewayUnderTest, behaviour: str = "approved") -> str:
    outcome = bench.gateway.charge(charge_of(bench, behaviour))
    assert isinstance(outcome, Approved)
    return outcome.reference


def test_a_charge_is_made_once_however_often_it_is_requested(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "approved")
    first = bench.gateway.charge(charge)
    assert isinstance(first, Approved)
    assert [bench.gateway.charge(charge) for _ in range(3)] == [first] * 3
    assert bench.gateway.lookup(charge) == first
    assert bench.charged() == 1000


def test_a_charge_is_made_once_for_simultaneous_requests(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "approved")
    with ThreadPoolExecutor(10) as pool:
        outcomes = set(pool.map(bench.gateway.charge, [charge] * 10))
    # Calls during the first one may have to be repeated; none is declined.
    assert not any(isinstance(outcome, Declined) for outcome in outcomes)
    assert len({outcome for outcome in outcomes if isinstance(outcome, Approved)}) == 1
    assert isinstance(bench.gateway.charge(charge), Approved)
    assert bench.charged() == 1000


def test_a_decline_is_final_and_says_why(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "insufficient_funds")
    declined = Declined("insufficient_funds")
    assert [bench.gateway.charge(charge), bench.gateway.charge(charge), bench.gateway.lookup(charge)] == [declined] * 3
    assert bench.charged() == 0


def test_a_payment_method_that_is_not_there_is_a_decline(bench: GatewayUnderTest) -> None:
    charge = Charge("k", TEN, "pm_nowhere", "order-1")
    assert isinstance(bench.gateway.charge(charge), Declined)
    assert bench.charged() == 0


def test_a_lost_answer_is_unknown_and_a_lookup_finds_it(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "timeout_after_charge")
    assert isinstance(bench.gateway.charge(charge), Unknown)
    found = bench.gateway.lookup(charge)
    assert isinstance(found, Approved)
    assert bench.gateway.charge(charge) == found
    assert bench.charged() == 1000


def test_a_lost_request_is_unknown_and_is_repeated(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "timeout_before_charge")
    assert isinstance(bench.gateway.charge(charge), Unknown)
    assert bench.gateway.lookup(charge) is None
    assert isinstance(bench.gateway.charge(charge), Approved)
    assert bench.charged() == 1000


def test_too_many_calls_have_their_own_outcome(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "rate_limited")
    assert bench.gateway.charge(charge) == RateLimited()
    assert bench.gateway.lookup(charge) is None
    assert isinstance(bench.gateway.charge(charge), Approved)


def test_a_gateway_that_never_answers_never_declines(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "unavailable")
    assert [type(bench.gateway.charge(charge)) for _ in range(2)] == [Unknown] * 2
    assert bench.gateway.lookup(charge) is None
    assert bench.charged() == 0


def test_a_key_that_was_used_for_another_amount_is_neither_a_charge_nor_a_decline(bench: GatewayUnderTest) -> None:
    charge = charge_of(bench, "approved")
    bench.gateway.charge(charge)
    assert isinstance(bench.gateway.charge(msgspec.structs.replace(charge, money=Money(1, "EUR"))), Unknown)
    assert bench.charged() == 1000


def test_a_charge_that_was_never_requested_is_not_found(bench: GatewayUnderTest) -> None:
    assert bench.gateway.lookup(charge_of(bench, "approved")) is None
    assert bench.gateway.lookup(refund_of(approved(bench))) is None


def test_a_refund_is_made_once_however_often_it_is_requested(bench: GatewayUnderTest) -> None:
    refund = refund_of(approved(bench), money=Money(400, "EUR"))
    first = bench.gateway.refund(refund)
    assert isinstance(first, Approved)
    assert [bench.gateway.refund(refund), bench.gateway.lookup(refund)] == [first] * 2
    assert bench.refunded() == 400


def test_refunds_never_exceed_the_charge(bench: GatewayUnderTest) -> None:
    reference = approved(bench)
    several = [refund_of(reference, f"r{number}", Money(300, "EUR")) for number in range(4)]
    outcomes = [bench.gateway.refund(refund) for refund in several]
    assert [type(outcome) for outcome in outcomes] == [Approved, Approved, Approved, Declined]
    assert [bench.gateway.lookup(refund) for refund in several[:3]] == outcomes[:3]
    assert isinstance(bench.gateway.refund(refund_of(reference, "rest", Money(100, "EUR"))), Approved)
    assert bench.refunded() == 1000


def test_a_refund_of_no_charge_is_declined(bench: GatewayUnderTest) -> None:
    assert isinstance(bench.gateway.refund(refund_of("pi_nowhere")), Declined)


@pytest.mark.parametrize(
    ("behaviour", "first", "found"),
    [
        ("timeout_after_charge", Unknown, Approved),
        ("timeout_before_charge", Unknown, None),
        ("rate_limited", RateLimited, None),
    ],
)
def test_a_lost_refund_is_made_once(bench: GatewayUnderTest, behaviour: str, first: type, found: type | None) -> None:
    refund = refund_of(approved(bench, f"refund_{behaviour}"))
    assert isinstance(bench.gateway.refund(refund), first)
    known = bench.gateway.lookup(refund)
    assert known is None if found is None else isinstance(known, found)
    assert isinstance(bench.gateway.refund(refund), Approved)
    assert bench.refunded() == 1000


# What localstripe and our fake Stripe agree on: the formats of requests and answers.


@pytest.fixture(params=["stripe", "localstripe"])
def agreeing(request: pytest.FixtureRequest) -> Iterator[GatewayUnderTest]:
    with GATEWAYS[request.param](request) as made:
        yield made


def test_a_charge_and_its_refund_are_made_and_found_by_their_names(agreeing: GatewayUnderTest) -> None:
    outcome = agreeing.gateway.charge(charge_of(agreeing, "approved"))
    assert isinstance(outcome, Approved)
    assert outcome.reference.startswith("pi_")
    named = msgspec.structs.replace(charge_of(agreeing, "approved"), reference=outcome.reference)
    assert agreeing.gateway.lookup(named) == outcome
    refund = refund_of(outcome.reference, money=Money(400, "EUR"))
    given = agreeing.gateway.refund(refund)
    assert isinstance(given, Approved)
    assert agreeing.gateway.lookup(refund) == given
    assert (agreeing.charged(), agreeing.refunded()) == (1000, 400)


def test_the_second_opinion_knows_less_than_stripe(opinion: second_opinion.Opinion) -> None:
    """It refuses a parameter that Stripe has, so the tests leave it out of the requests, and it declines no card."""
    opinion.forget()
    charges = {name: Charge("k", TEN, method, "order-1") for name, method in opinion.methods().items()}
    assert opinion.gateway(as_it_is=True).charge(charges["approved"]) == Unknown("InvalidRequestError 400")
    assert {type(opinion.gateway().charge(charge)) for charge in charges.values()} == {Approved}
    assert opinion.charged() == 2 * TEN.minor


def test_every_difference_is_of_a_test_that_there_is() -> None:
    assert {name for listed in DIFFERENCES.values() for name in listed} <= set(globals())
