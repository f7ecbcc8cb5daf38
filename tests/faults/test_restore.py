"""After a restore, a lost payment or refund looks new if it is requested again, but has already moved the money."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from payments.gateways.port import Charge, Refund
from payments.runtime.telemetry import logger
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.faults

PAYMENT = {
    "transaction_id": "t",
    "customer_id": "ada",
    "amount": "12.50",
    "currency": "EUR",
    "payment_method": "pm_good",
}
REFUND = {"refund_id": "r", "amount": "2.50"}
OF_IT = {"transaction_id": "t"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    logger.setLevel("CRITICAL")
    yield World(monkeypatch)
    logger.setLevel("INFO")


def post(world: World, path: dict[str, str] | None, body: dict[str, Any]) -> None:
    """Post a request as a client does, and let everything finish."""
    world.post(path, body)
    world.settle()


def lose_it_all(world: World) -> list[dict[str, Any]]:
    """Pay, refund, and lose both; return the table as a backup from before the refund has it."""
    post(world, None, PAYMENT)
    backup = world.items()
    post(world, OF_IT, REFUND)
    assert len(world.gateway.approved(Refund, "t")) == 1
    # The gateway's keys have expired.
    world.clock += timedelta(hours=25)
    return backup


def test_a_lost_payment_that_its_client_repeats_is_not_charged_twice(world: World) -> None:
    lose_it_all(world)
    world.restore([])
    post(world, None, PAYMENT)
    assert len(world.gateway.approved(Charge, "t")) == 1
    (item,) = world.items()
    assert item["status"] == {"S": "processed"}


def test_a_lost_refund_that_its_client_repeats_is_not_refunded_twice(world: World) -> None:
    world.restore(lose_it_all(world))
    post(world, OF_IT, REFUND)
    assert len(world.gateway.approved(Refund, "t")) == 1
    (item,) = world.items()
    assert item["status"] == {"S": "partially_refunded"}


def test_a_lost_refund_of_a_payment_that_was_put_back_is_not_refunded_twice(world: World) -> None:
    """The functions do not know of the restore: the item's own mark is enough, also for later refunds."""
    (charged,) = lose_it_all(world)
    world.lose(charged)
    world.put_back(charged)
    world.settle()
    world.clock += timedelta(days=30)
    post(world, OF_IT, REFUND)
    assert len(world.gateway.approved(Refund, "t")) == 1
    (item,) = world.items()
    assert item["status"] == {"S": "partially_refunded"}
    # A new refund is still made.
    post(world, OF_IT, {"refund_id": "r2", "amount": "1.00"})
    assert len(world.gateway.approved(Refund, "t")) == 2


def test_a_payment_that_is_put_back_from_before_its_charge_is_not_charged_twice(world: World) -> None:
    world.post(None, PAYMENT)
    world.finish_tasks()
    (accepted,) = world.items()
    world.settle()
    world.lose(accepted)
    world.clock += timedelta(hours=25)
    world.put_back(accepted)
    world.settle()
    assert len(world.gateway.approved(Charge, "t")) == 1
    (item,) = world.items()
    assert item["status"] == {"S": "processed"}


def test_a_final_payment_that_is_put_back_is_not_announced_again(world: World) -> None:
    (charged,) = lose_it_all(world)
    told = {(event["id"], event["type"]) for event in world.announced}
    world.lose(charged)
    world.put_back(charged)
    world.settle()
    assert {(event["id"], event["type"]) for event in world.announced} == told
