"""The skeleton of another gateway works for each answer."""

from __future__ import annotations

from typing import Any

import pytest

from docs.another_gateway import AcmeGateway, create_gateway
from payments.domain.errors import UnavailableError
from payments.domain.money import Money
from payments.gateways.port import Approved, Charge, Declined, NotSent, Pending, RateLimited, Refund, Unknown
from payments.runtime import client
from payments.runtime.secrets import Secret
from tests.support.stripe import Vault

KEY = Secret(Vault("key"), "s", str.strip, 300)
CHARGE = Charge("payment-order-1", Money(1000, "EUR"), "acme_1", "order-1")
REFUND = Refund("refund-order-1.r1", Money(1000, "EUR"), "ch_1", "order-1", "r1")


@pytest.fixture(autouse=True)
def wiring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "connect", lambda _: Vault("key"))
    for name, value in {"SECRET_NAME": "s", "SECRET_TTL_SECONDS": "300", "GATEWAY_TIMEOUT_SECONDS": "20"}.items():
        monkeypatch.setenv(name, value)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def call(_: AcmeGateway, *asked: Any) -> Any:
        calls.append(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(AcmeGateway, "_call", call)
    return calls


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((201, {"state": "done", "id": "ch_1"}), Approved("ch_1")),
        ((201, {"state": "waiting", "id": "ch_1"}), Pending("ch_1")),
        ((402, {"state": "refused", "reason": "no_funds"}), Declined("no_funds")),
        ((429, {}), RateLimited()),
        ((500, {"state": "refused", "reason": "x"}), Unknown("the gateway answered 500")),
        ((200, {}), Unknown("the gateway answered 200")),
        ((401, {}), Unknown("the gateway answered 401")),
        (TimeoutError(), Unknown("TimeoutError")),
        (ConnectionResetError(), Unknown("ConnectionResetError")),
        (ConnectionRefusedError(), NotSent("ConnectionRefusedError")),
    ],
)
def test_each_answer(monkeypatch: pytest.MonkeyPatch, answer: Any, outcome: Any) -> None:
    calls = answering(monkeypatch, answer)
    gateway = create_gateway(None)
    assert [gateway.charge(CHARGE), gateway.refund(REFUND)] == [outcome] * 2
    assert [call[3]["Idempotency-Key"] for call in calls] == ["payment-order-1", "refund-order-1.r1"]
    assert calls[0][2]["amount"] == 1000


def test_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, (200, {"state": "done", "id": "ch_1"}))
    assert create_gateway(None).lookup(CHARGE) == Approved("ch_1")
    answering(monkeypatch, (404, {}))
    assert create_gateway(None).lookup(REFUND) is None
    failures: list[Any] = [(500, {}), (401, {}), TimeoutError()]
    for answer in failures:
        answering(monkeypatch, answer)
        with pytest.raises(UnavailableError):
            create_gateway(None).lookup(CHARGE)


def test_over_a_wire_that_leads_nowhere() -> None:
    assert isinstance(AcmeGateway(KEY, "127.0.0.1:9", 1).charge(CHARGE), NotSent)
