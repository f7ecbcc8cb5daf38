"""The bill: what the stack costs while idle, and what a million payments cost, compared with the usual design.

The number of resources comes from the plan's inventory (tests/plan/inventory), the environment's tfvars and the
defaults in Terraform. The design determines what a payment uses; this file counts it. Free tiers are left out: an
account has one of each, and a payments stack rarely has the account to itself.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from local import ROOT, LocalError
from local.hcl import Module, load

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES = ROOT / "src"
PRICES = Path(__file__).parent / "prices.toml"
HOURS = 730
SECONDS = HOURS * 3600
MILLION = 1_000_000


def regions() -> list[str]:
    """Return the regions whose prices are known."""
    return [name for name in tomllib.loads(PRICES.read_text(encoding="utf-8")) if name != "sources"]


def prices(region: str) -> dict[str, float]:
    """Return a region's prices by name. Raises LocalError, which lists the known regions, for any other region."""
    known: dict[str, Any] = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    if region not in regions():
        raise LocalError(f"bench/prices.toml has no prices for {region!r}, only for {', '.join(regions())}")
    return {name: float(price["usd"]) for name, price in known[region].items()}


# An alarm on an expression is billed for each metric in it. This many come on top of one per alarm (tests/plan counts).
FURTHER_ALARM_METRICS = {"simulator": 15, "stripe": 16}


@dataclass(frozen=True)
class Inventory:
    """The resources that exist whether anybody pays or not, and the settings that a payment's cost depends on."""

    zones: int
    keys: int
    alarms: int
    composite_alarms: int
    nat_gateways: int
    nat_instances: int
    nat_volume_gb: int
    addresses: int
    endpoint_zones: int
    queues: int
    metrics: int
    key_reuse_seconds: int
    memory_gb: float
    retention_days: int
    whole_items_indexed: bool = False
    gateway: str = "simulator"


def _variables(environment: str) -> dict[str, Any]:
    file = ROOT / "env" / f"{environment}.tfvars"
    if not file.exists():
        raise LocalError(f"there is no environment {environment!r}: env/{environment}.tfvars")
    return load(file)


def _resources(environment: str) -> Counter[str]:
    inventory = ROOT / "tests" / "plan" / "inventory" / f"{environment}.yaml"
    if not inventory.exists():
        raise LocalError(f"there is no inventory of {environment!r}: run the plan tests with UPDATE_INVENTORY=1")
    return Counter(yaml.safe_load(inventory.read_text(encoding="utf-8"))["types"])


def metrics(files: Iterable[Path]) -> set[str]:
    """Return the metrics that Python files write: the names that they pass to ``measure`` and similar functions."""
    calls = [
        node
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("measure")
    ]
    return {
        name.value
        for call in calls
        for name in (call.args[0], *_choices(call.args[0]))
        if isinstance(name, ast.Constant) and isinstance(name.value, str)
    }


def _choices(argument: ast.expr) -> tuple[ast.expr, ...]:
    return (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else ()


def _metrics_of(gateway: str) -> set[str]:
    """Return the metrics of a stack without webhook endpoints: no environment here has one."""
    # The simulator sends no events, so nothing listens for them.
    options = {"webhook"} | ({"stripe", "usecases/hear.py"} if gateway != "stripe" else set())
    files = [
        file
        for file in SOURCES.rglob("*.py")
        if not any(option in str(file.relative_to(SOURCES)) for option in options)
    ]
    # The relay counts disputes, which only Stripe reports: a metric that is never written costs nothing.
    return metrics(files) - ({"Disputed"} if gateway != "stripe" else set())


def stack(environment: str) -> Inventory:
    """Return what an environment's plan creates."""
    resources, variables, root = _resources(environment), _variables(environment), Module(ROOT)
    # A public and a private subnet in each zone.
    zones = resources["aws_subnet"] // 2
    nat_instances = resources["aws_autoscaling_group"]
    gateway = variables.get("gateway", "simulator")
    endpoints = variables.get("network", {}).get("interface_endpoints")
    if endpoints is None:
        endpoints = root.default("network", "interface_endpoints")
    (volume,) = Module(ROOT / "modules" / "network").nested("resource", "aws_launch_template", "nat", inside="ebs")
    return Inventory(
        zones=zones,
        keys=resources["aws_kms_key"],
        alarms=resources["aws_cloudwatch_metric_alarm"],
        composite_alarms=resources["aws_cloudwatch_composite_alarm"],
        nat_gateways=resources["aws_nat_gateway"],
        nat_instances=nat_instances,
        nat_volume_gb=nat_instances * volume["volume_size"],
        addresses=resources["aws_eip"],
        endpoint_zones=len(endpoints) * zones,
        queues=2,
        metrics=len(_metrics_of(gateway)),
        key_reuse_seconds=Module(ROOT / "modules" / "sqs").attribute(
            "resource", "aws_sqs_queue", "this", name="kms_data_key_reuse_period_seconds"
        ),
        memory_gb=root.default("function_defaults", "memory_mb") / 1024,
        retention_days=variables.get("log_retention_days") or root.default("log_retention_days"),
        gateway=gateway,
    )


@dataclass(frozen=True)
class Usage:
    """What a payment and one GET of it use. The batch is how many messages a call carries on average."""

    batch: float
    api_calls: float
    invocations: float
    function_ms: float
    writes: float
    reads: float
    sqs_calls: float
    sns_calls: float
    log_kb: float
    nat_kb: float
    endpoint_kb: float
    item_kb: float = 1.0
    traced: float = 0.05


# A function's duration in ms: about the sum of the embedded stack's times and AWS's own latencies. The charge is that
# of a typical card gateway.
_MS = {"validator": 20, "relay": 20, "charge": 400, "notifier": 40, "reader": 12}
# The log lines of a call: Lambda's own (start, report), ours (a step, its metrics), and the API's access log.
_LOG_KB = {"call": 0.7, "step": 0.9, "access": 0.6}
# A request and its response with TLS and signature, on a connection that stays open.
_CALL_KB = 2.0
_GATEWAY_KB = 6.0


def our_payment(inventory: Inventory, batch: float = 5) -> Usage:
    """Return what a payment uses here.

    validator: 1 put (item, customer index, open index). relay: 2 changes, in batches. processor: 1 read, in batches,
    and 1 update (the item leaves the open index; with Stripe it enters two more), ten charges at once. notifier: in
    batches. Messages are sent to, received from and deleted from each of the two queues in batches.
    """
    calls = {"validator": 1, "relay": 2 / batch, "processor": 1 / batch, "notifier": 1 / batch, "reader": 1}
    through_endpoints = 2 / batch + 1 / batch
    ms = _MS["validator"] + 2 * _MS["relay"] / batch + (_MS["charge"] + _MS["notifier"]) / batch + _MS["reader"]
    return Usage(
        batch=batch,
        api_calls=2,
        invocations=sum(calls.values()),
        function_ms=ms,
        # With Stripe, the update also writes the two indexes by which its charges are found (stripe.tf); with whole
        # items in the customer index, it writes that one as well.
        writes=3 + 2 + (2 if inventory.gateway == "stripe" else 0) + (1 if inventory.whole_items_indexed else 0),
        reads=1 + 1,
        sqs_calls=2 * 3 / batch,
        sns_calls=1 / batch,
        log_kb=sum(calls.values()) * _LOG_KB["call"] + 5 * _LOG_KB["step"] + 2 * _LOG_KB["access"],
        nat_kb=_GATEWAY_KB + (0 if inventory.endpoint_zones else through_endpoints * _CALL_KB),
        endpoint_kb=through_endpoints * _CALL_KB if inventory.endpoint_zones else 0,
    )


def usual_payment(batch: float = 5) -> Usage:
    """Return what a payment uses in the usual design.

    validator: put and send. processor: a put and an update of the idempotency table, get, charge, update and send, one
    message after another. notifier: one publish each. Whole items in the index. Everything through NAT.
    """
    calls = {"validator": 1, "processor": 1 / batch, "notifier": 1 / batch, "reader": 1}
    own_calls = 2 + 5 + 1
    return Usage(
        batch=batch,
        api_calls=2,
        invocations=sum(calls.values()),
        # Two calls in the validator; one charge after another with five calls around it; one publish after another.
        function_ms=_MS["validator"] + 10 + _MS["charge"] + 5 * 8 + _MS["notifier"] + _MS["reader"],
        writes=2 + 2 + 2,
        reads=1 + 1,
        sqs_calls=2 + 2 * 2 / batch,
        sns_calls=1,
        log_kb=sum(calls.values()) * _LOG_KB["call"] + 3 * _LOG_KB["step"] + 2 * _LOG_KB["access"],
        nat_kb=_GATEWAY_KB + (own_calls + 1) * _CALL_KB,
        endpoint_kb=0,
    )


def usual_stack(inventory: Inventory) -> Inventory:
    """Return the stack of the usual design: the same, with a NAT gateway in each zone and no endpoints."""
    return replace(
        inventory,
        nat_gateways=inventory.zones,
        nat_instances=0,
        nat_volume_gb=0,
        addresses=inventory.zones,
        endpoint_zones=0,
        whole_items_indexed=True,
    )


Bill = dict[str, float]


def idle(inventory: Inventory, price: dict[str, float]) -> Bill:
    """Return what a month without payments costs, in dollars."""
    # Lambda runs five pollers for each queue; each waits 20 s for a message, then asks again.
    polls = inventory.queues * 5 * SECONDS / 20
    # SQS's own formula: in each period with messages, a producer asks for the key twice and a consumer once; without
    # messages, neither asks.
    return {
        "KMS keys": inventory.keys * price["kms_key_month"],
        "NAT gateways": inventory.nat_gateways * HOURS * price["nat_gateway_hour"],
        "NAT instance": inventory.nat_instances * HOURS * price["nat_instance_hour"]
        + inventory.nat_volume_gb * price["gp3_gb_month"],
        "public addresses": inventory.addresses * HOURS * price["ipv4_hour"],
        "interface endpoints": inventory.endpoint_zones * HOURS * price["endpoint_hour"],
        "alarms": (inventory.alarms + FURTHER_ALARM_METRICS[inventory.gateway]) * price["alarm_month"]
        + inventory.composite_alarms * price["composite_alarm_month"],
        "polling the queues": polls * price["sqs_million"] / MILLION,
    }


def used(inventory: Inventory, payment: Usage, volume: int, price: dict[str, float]) -> Bill:
    """Return what this many payments in a month add, in dollars."""
    gb = volume / MILLION  # a kB of each payment, in GB
    months = inventory.retention_days / 30
    kms_calls = inventory.queues * SECONDS / inventory.key_reuse_seconds * (2 + 1) if volume else 0
    stored = volume * payment.item_kb / MILLION
    return {
        "API Gateway": volume * payment.api_calls * price["api_million"] / MILLION,
        "Lambda": volume
        * (
            payment.invocations * price["lambda_million"] / MILLION
            + payment.function_ms / 1000 * inventory.memory_gb * price["lambda_gb_second"]
        ),
        "DynamoDB requests": volume
        * (payment.writes * price["dynamodb_write_million"] + payment.reads * price["dynamodb_read_million"])
        / MILLION,
        "DynamoDB storage, a month's": stored * (price["dynamodb_gb_month"] + price["dynamodb_pitr_gb_month"]),
        "SQS": volume * payment.sqs_calls * price["sqs_million"] / MILLION,
        "SNS": volume * payment.sns_calls * price["sns_million"] / MILLION,
        "KMS": kms_calls * price["kms_million"] / MILLION,
        "logs": gb * payment.log_kb * (price["logs_gb"] + months * price["logs_gb_month"]),
        "metrics": inventory.metrics * price["metric_month"] if volume else 0,
        "traces": volume * payment.traced * price["trace_million"] / MILLION,
        # Traffic through a NAT instance is free within the region.
        "NAT traffic": gb * payment.nat_kb * (price["nat_gateway_gb"] if inventory.nat_gateways else 0),
        "endpoint traffic": gb * payment.endpoint_kb * price["endpoint_gb"],
    }


def total(bill: Bill) -> float:
    """Return a bill's sum."""
    return sum(bill.values())


@dataclass(frozen=True)
class BillComparison:
    """An environment's bill, and the bill of the usual design."""

    environment: str
    region: str
    volume: int
    idle: Bill
    used: Bill
    usual_idle: Bill
    usual_used: Bill


def compare(environment: str, region: str, volume: int) -> BillComparison:
    """Calculate an environment's bill for a month with this many payments, and the usual design's."""
    price, inventory = prices(region), stack(environment)
    usual = usual_stack(inventory)
    return BillComparison(
        environment,
        region,
        volume,
        idle(inventory, price),
        used(inventory, our_payment(inventory), volume, price),
        idle(usual, price),
        used(usual, usual_payment(), volume, price),
    )


def rows(found: BillComparison) -> list[list[str]]:
    """Return a comparison as a table's rows."""
    written = [["idle, a month", f"{total(found.idle):.2f}", f"{total(found.usual_idle):.2f}"]]
    written += _part(found.idle, found.usual_idle)
    written.append([f"{found.volume:,} payments", f"{total(found.used):.2f}", f"{total(found.usual_used):.2f}"])
    written += _part(found.used, found.usual_used)
    whole, usual = total(found.idle) + total(found.used), total(found.usual_idle) + total(found.usual_used)
    written.append(["total", f"{whole:.2f}", f"{usual:.2f}"])
    return written


def _part(ours: Bill, usual: Bill) -> list[list[str]]:
    return [[f"- {name}", f"{ours[name]:.2f}", f"{usual[name]:.2f}"] for name in ours if ours[name] or usual[name]]


def levers(environment: str, region: str, volume: int) -> dict[str, float]:
    """Return by how much each lever changes a month's bill, in dollars; a negative number is a saving."""
    price, inventory = prices(region), stack(environment)

    def bill(changed: Inventory, batch: float = 5) -> float:
        return total(idle(changed, price)) + total(used(changed, our_payment(changed, batch), volume, price))

    now = bill(inventory)
    one_gateway = replace(inventory, nat_gateways=1, nat_instances=0, nat_volume_gb=0, addresses=1)
    instance = replace(inventory, nat_gateways=0, nat_instances=1, nat_volume_gb=8, addresses=1)
    # Without NAT, the functions reach SQS and SNS only through endpoints.
    no_nat = replace(
        one_gateway, nat_gateways=0, addresses=0, endpoint_zones=inventory.endpoint_zones or 2 * inventory.zones
    )
    changed = {
        "network.nat.mode = gateway": one_gateway,
        "network.nat.mode = instance": instance,
        "network.nat.mode = none, with endpoints": no_nat,
        "network.interface_endpoints = []": replace(inventory, endpoint_zones=0),
        "KMS data-key reuse of 60 s": replace(inventory, key_reuse_seconds=60),
        "KMS data-key reuse of a day": replace(inventory, key_reuse_seconds=86400),
        "whole items in the customer index": replace(inventory, whole_items_indexed=True),
        "log_retention_days = 30": replace(inventory, retention_days=30),
        "function_defaults.memory_mb = 256, as fast": replace(inventory, memory_gb=0.25),
        "function_defaults.memory_mb = 1024, as fast": replace(inventory, memory_gb=1),
    }
    found = {name: bill(other) - now for name, other in changed.items()}
    return found | {"batches of 10 instead of 5": bill(inventory, 10) - now, "batches of 1": bill(inventory, 1) - now}
