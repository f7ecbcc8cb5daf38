"""The bill's arithmetic, and a cost page that is up to date."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from bench import cost, report
from local import LocalError

REGION = "ap-southeast-1"


@pytest.fixture
def made() -> cost.Inventory:
    return cost.stack("prod")


def test_the_quantities_come_from_the_plan_and_the_terraform(made: cost.Inventory) -> None:
    assert (made.zones, made.nat_gateways, made.addresses, made.endpoint_zones) == (3, 3, 3, 9)
    assert (made.memory_gb, made.retention_days, made.key_reuse_seconds) == (0.5, 365, 300)
    dev = cost.stack("dev")
    assert (dev.zones, dev.nat_gateways, dev.nat_instances, dev.nat_volume_gb) == (2, 0, 1, 8)
    assert (dev.endpoint_zones, dev.retention_days) == (0, 14)
    assert made.metrics > 8


def test_an_idle_month(made: cost.Inventory) -> None:
    price = cost.prices(REGION)
    bill = cost.idle(made, price)
    assert bill["NAT gateways"] == pytest.approx(3 * 730 * 0.059)
    assert bill["interface endpoints"] == pytest.approx(9 * 730 * 0.013)
    assert bill["KMS keys"] == made.keys * 1.00
    # Two queues, five pollers each, three polls a minute.
    assert bill["polling the queues"] == pytest.approx(2 * 5 * 3 * 60 * 730 * 0.40e-6)


def test_nothing_used_costs_nothing(made: cost.Inventory) -> None:
    assert cost.total(cost.used(made, cost.our_payment(made), 0, cost.prices(REGION))) == 0


def test_a_million_payments_by_hand(made: cost.Inventory) -> None:
    price = dict.fromkeys(cost.prices(REGION), 0.0)
    payment = cost.our_payment(made, batch=10)
    bill = cost.used(made, payment, cost.MILLION, price | {"dynamodb_write_million": 2.0, "sqs_million": 1.0})
    # First the item and two indexes; then the item, the index that it leaves, and the two indexes for Stripe's charges.
    assert bill["DynamoDB requests"] == pytest.approx(7 * 2.0)
    # Two queues: sent, received and deleted in tens.
    assert bill["SQS"] == pytest.approx(0.6)
    assert cost.total(bill) == pytest.approx(14.6)


def test_sqs_asks_for_data_keys_by_its_own_formula(made: cost.Inventory) -> None:
    price = dict.fromkeys(cost.prices(REGION), 0.0) | {"kms_million": 3.0}
    for volume in (1, cost.MILLION):
        bill = cost.used(made, cost.our_payment(made), volume, price)
        assert bill["KMS"] == pytest.approx(2 * (730 * 3600 / 300) * 3 * 3e-6)


@pytest.mark.parametrize("name", ["API Gateway", "Lambda", "DynamoDB requests", "SQS", "SNS", "logs"])
def test_usage_grows_with_the_volume(name: str, made: cost.Inventory) -> None:
    price = cost.prices(REGION)
    one, three = (cost.used(made, cost.our_payment(made), volume, price)[name] for volume in (1000, 3000))
    assert three == pytest.approx(3 * one)
    assert one > 0


def test_a_payment_here_costs_less_than_in_the_usual_design(made: cost.Inventory) -> None:
    found = cost.compare("prod", REGION, cost.MILLION)
    assert cost.total(found.used) < cost.total(found.usual_used)
    assert found.used.keys() == found.usual_used.keys()


def test_the_levers_go_the_way_that_the_page_says() -> None:
    changes = cost.levers("prod", REGION, cost.MILLION)
    assert changes["network.nat.mode = gateway"] == pytest.approx(-2 * 730 * (0.059 + 0.005))
    assert changes["KMS data-key reuse of 60 s"] > 0 > changes["KMS data-key reuse of a day"]
    assert changes["batches of 1"] > 0 > changes["batches of 10 instead of 5"]
    assert cost.levers("dev", REGION, cost.MILLION)["network.nat.mode = instance"] == 0


def test_an_instance_asks_nothing_for_a_byte(made: cost.Inventory) -> None:
    instance = replace(made, nat_gateways=0, nat_instances=1)
    assert cost.used(instance, cost.our_payment(instance), cost.MILLION, cost.prices(REGION))["NAT traffic"] == 0


def test_every_price_has_a_source_and_every_region_every_price() -> None:
    known = tomllib.loads(cost.PRICES.read_text(encoding="utf-8"))
    names = {region: set(cost.prices(region)) for region in cost.regions()}
    assert len({frozenset(each) for each in names.values()}) == 1
    for region in cost.regions():
        assert {price["source"] for price in known[region].values()} <= known["sources"].keys()
    assert all(source.keys() == {"page", "date", "checked"} for source in known["sources"].values())


@pytest.mark.parametrize(("environment", "region"), [("nowhere", REGION), ("prod", "nowhere-1")])
def test_an_unknown_environment_or_region_is_named(environment: str, region: str) -> None:
    with pytest.raises(LocalError, match="nowhere"):
        cost.compare(environment, region, 1)


def test_the_page_is_fresh() -> None:
    text = report.COST_PAGE.read_text(encoding="utf-8")
    assert report.cost_page(text) == text, "stale. Run: python -m bench cost --write"
