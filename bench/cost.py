"""The bill: what the stack costs while nobody pays, and what a million payments cost, beside the usual design.

What there is of each thing comes from the plan's inventory (tests/plan/inventory), the environment's tfvars and the
Terraform's defaults. What a payment uses follows from the design, and is counted here. Free tiers are left out: an
account has one of each, and a payments stack is seldom alone in it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hcl2
import yaml

from local import ROOT, LocalError

PRICES = Path(__file__).parent / "prices.toml"
HOURS = 730
SECONDS = HOURS * 3600
MILLION = 1_000_000


def regions() -> list[str]:
    """Return the regions whose prices are known."""
    return [name for name in tomllib.loads(PRICES.read_text(encoding="utf-8")) if name != "sources"]


def prices(region: str) -> dict[str, float]:
    """Return a region's prices by their names. Raises LocalError, naming the known ones, for another region."""
    known: dict[str, Any] = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    if region not in regions():
        raise LocalError(f"bench/prices.toml has no prices of {region!r}, but of {', '.join(regions())}")
    return {name: float(price["usd"]) for name, price in known[region].items()}


# An alarm on an expression is billed by the metrics in it: so many beyond one for each alarm (tests/plan counts them).
FURTHER_ALARM_METRICS = 15


@dataclass(frozen=True)
class Stack:
    """What stands there, whether anybody pays or not, and the settings that a payment's cost depends on."""

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


def _default(pattern: str, file: str = "variables.tf") -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    if found is None:
        raise LocalError(f"{file}: nothing there fits {pattern!r}, which the bill needs")
    return found.group(1)


def _variables(environment: str) -> dict[str, Any]:
    file = ROOT / "env" / f"{environment}.tfvars"
    if not file.exists():
        raise LocalError(f"there is no environment {environment!r}: env/{environment}.tfvars")
    return hcl2.loads(file.read_text(encoding="utf-8"))


def stack(environment: str) -> Stack:
    """Return what an environment's plan makes."""
    inventory = ROOT / "tests" / "plan" / "inventory" / f"{environment}.yaml"
    if not inventory.exists():
        raise LocalError(f"there is no inventory of {environment!r}: run the plan tests with UPDATE_INVENTORY=1")
    made: dict[str, int] = yaml.safe_load(inventory.read_text(encoding="utf-8"))["types"]
    variables = _variables(environment)
    network = variables.get("network", {})
    interface_endpoints = network.get("interface_endpoints")
    if interface_endpoints is None:
        interface_endpoints = re.findall(
            r'"(\w+)"', _default(r"interface_endpoints\s*= optional\(set\(string\), \[(.*?)\]\)")
        )
    # A public and a private subnet in each zone.
    zones = made["aws_subnet"] // 2
    nat_instances = made.get("aws_autoscaling_group", 0)
    # A webhook endpoint and Stripe bring their metrics along, and no environment here has one of them.
    sources = [file for file in (ROOT / "src").rglob("*.py") if not re.match("webhooks|stripe_", file.name)]
    code = "".join(file.read_text(encoding="utf-8") for file in sources)
    return Stack(
        zones=zones,
        keys=made["aws_kms_key"],
        alarms=made["aws_cloudwatch_metric_alarm"],
        composite_alarms=made["aws_cloudwatch_composite_alarm"],
        nat_gateways=made.get("aws_nat_gateway", 0),
        nat_instances=nat_instances,
        nat_volume_gb=nat_instances * int(_default(r"volume_size\s*= (\d+)", "modules/network/nat.tf")),
        addresses=made.get("aws_eip", 0),
        endpoint_zones=len(interface_endpoints) * zones,
        queues=2,
        metrics=len(
            {
                name
                for counted in re.findall(r"measure(?:_[a-z]+)?\((.*)\)", code)
                for name in re.findall(r'"([A-Z]\w+)"', counted)
            }
            # The relay has it only from Stripe: what is never written costs nothing.
            - {"Disputed"}
        ),
        key_reuse_seconds=int(_default(r"kms_data_key_reuse_period_seconds = (\d+)", "modules/sqs/main.tf")),
        memory_gb=int(_default(r"memory_mb\s*= optional\(number, (\d+)\)")) / 1024,
        retention_days=int(
            variables.get("log_retention_days", _default(r'"log_retention_days"[\s\S]*?default\s*= (\d+)'))
        ),
    )


@dataclass(frozen=True)
class Payment:
    """What a payment, and one look at it by GET, uses. The batch is how many messages a call carries on average."""

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


# What a function takes, in ms: near what the embedded stack and AWS's own latencies add up to. The charge is a typical
# card gateway's.
_MS = {"validator": 20, "relay": 20, "charge": 400, "notifier": 40, "reader": 12}
# Lambda's own lines of a call (start, report) and ours (a step, its metrics), and the API's access log.
_LOG_KB = {"call": 0.7, "step": 0.9, "access": 0.6}
# A request and its answer with TLS and signature, on a connection that stays open.
_CALL_KB = 2.0
_GATEWAY_KB = 6.0


def our_payment(made: Stack, batch: float = 5) -> Payment:
    """Return what a payment uses here.

    validator: 1 put (item, customer index, open index). relay: 2 changes, in batches. processor: 1 read, in batches,
    and 1 update (item, and out of the open index), ten charges at once. notifier: in batches. Each of the two queues is
    sent to, received from and deleted from in batches.
    """
    calls = {"validator": 1, "relay": 2 / batch, "processor": 1 / batch, "notifier": 1 / batch, "reader": 1}
    through_endpoints = 2 / batch + 1 / batch
    ms = _MS["validator"] + 2 * _MS["relay"] / batch + (_MS["charge"] + _MS["notifier"]) / batch + _MS["reader"]
    return Payment(
        batch=batch,
        api_calls=2,
        invocations=sum(calls.values()),
        function_ms=ms,
        # With whole items in the customer index, the update writes that one as well.
        writes=3 + 2 + (1 if made.whole_items_indexed else 0),
        reads=1 + 1,
        sqs_calls=2 * 3 / batch,
        sns_calls=1 / batch,
        log_kb=sum(calls.values()) * _LOG_KB["call"] + 5 * _LOG_KB["step"] + 2 * _LOG_KB["access"],
        nat_kb=_GATEWAY_KB + (0 if made.endpoint_zones else through_endpoints * _CALL_KB),
        endpoint_kb=through_endpoints * _CALL_KB if made.endpoint_zones else 0,
    )


def usual_payment(batch: float = 5) -> Payment:
    """Return what a payment uses in the usual design.

    validator: put and send. processor: a put and an update of the idempotency table, get, charge, update and send, one
    message after another. notifier: one publish each. Whole items in the index. Everything through NAT.
    """
    calls = {"validator": 1, "processor": 1 / batch, "notifier": 1 / batch, "reader": 1}
    own_calls = 2 + 5 + 1
    return Payment(
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


def usual_stack(made: Stack) -> Stack:
    """Return the usual design's stack: the same, with a NAT gateway in each zone and no endpoints."""
    return replace(
        made,
        nat_gateways=made.zones,
        nat_instances=0,
        nat_volume_gb=0,
        addresses=made.zones,
        endpoint_zones=0,
        whole_items_indexed=True,
    )


Bill = dict[str, float]


def idle(made: Stack, price: dict[str, float]) -> Bill:
    """Return what a month costs without a payment, in dollars."""
    # Lambda's five pollers of a queue each wait 20 s for a message, again and again.
    polls = made.queues * 5 * SECONDS / 20
    # SQS's own formula: a producer asks twice, a consumer once, in each period in which there are messages; and asks
    # nothing while there are none.
    return {
        "KMS keys": made.keys * price["kms_key_month"],
        "NAT gateways": made.nat_gateways * HOURS * price["nat_gateway_hour"],
        "NAT instance": made.nat_instances * HOURS * price["nat_instance_hour"]
        + made.nat_volume_gb * price["gp3_gb_month"],
        "public addresses": made.addresses * HOURS * price["ipv4_hour"],
        "interface endpoints": made.endpoint_zones * HOURS * price["endpoint_hour"],
        "alarms": (made.alarms + FURTHER_ALARM_METRICS) * price["alarm_month"]
        + made.composite_alarms * price["composite_alarm_month"],
        "polling the queues": polls * price["sqs_million"] / MILLION,
    }


def used(made: Stack, payment: Payment, volume: int, price: dict[str, float]) -> Bill:
    """Return what so many payments in a month cost on top, in dollars."""
    gb = volume / MILLION  # a kB of each payment, in GB
    months = made.retention_days / 30
    kms_calls = made.queues * SECONDS / made.key_reuse_seconds * (2 + 1) if volume else 0
    stored = volume * payment.item_kb / MILLION
    return {
        "API Gateway": volume * payment.api_calls * price["api_million"] / MILLION,
        "Lambda": volume
        * (
            payment.invocations * price["lambda_million"] / MILLION
            + payment.function_ms / 1000 * made.memory_gb * price["lambda_gb_second"]
        ),
        "DynamoDB requests": volume
        * (payment.writes * price["dynamodb_write_million"] + payment.reads * price["dynamodb_read_million"])
        / MILLION,
        "DynamoDB storage, a month's": stored * (price["dynamodb_gb_month"] + price["dynamodb_pitr_gb_month"]),
        "SQS": volume * payment.sqs_calls * price["sqs_million"] / MILLION,
        "SNS": volume * payment.sns_calls * price["sns_million"] / MILLION,
        "KMS": kms_calls * price["kms_million"] / MILLION,
        "logs": gb * payment.log_kb * (price["logs_gb"] + months * price["logs_gb_month"]),
        "metrics": made.metrics * price["metric_month"] if volume else 0,
        "traces": volume * payment.traced * price["trace_million"] / MILLION,
        # An instance has no price for a byte within the region.
        "NAT traffic": gb * payment.nat_kb * (price["nat_gateway_gb"] if made.nat_gateways else 0),
        "endpoint traffic": gb * payment.endpoint_kb * price["endpoint_gb"],
    }


def total(bill: Bill) -> float:
    """Return a bill's sum."""
    return sum(bill.values())


@dataclass(frozen=True)
class Comparison:
    """An environment's bill beside the usual design's."""

    environment: str
    region: str
    volume: int
    idle: Bill
    used: Bill
    usual_idle: Bill
    usual_used: Bill


def compare(environment: str, region: str, volume: int) -> Comparison:
    """Reckon an environment's month of so many payments, and the usual design's."""
    price, made = prices(region), stack(environment)
    usual = usual_stack(made)
    return Comparison(
        environment,
        region,
        volume,
        idle(made, price),
        used(made, our_payment(made), volume, price),
        idle(usual, price),
        used(usual, usual_payment(), volume, price),
    )


def rows(found: Comparison) -> list[list[str]]:
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
    """Return what each lever changes a month's bill by, in dollars; below zero saves."""
    price, made = prices(region), stack(environment)

    def bill(changed: Stack, batch: float = 5) -> float:
        return total(idle(changed, price)) + total(used(changed, our_payment(changed, batch), volume, price))

    now = bill(made)
    one_gateway = replace(made, nat_gateways=1, nat_instances=0, nat_volume_gb=0, addresses=1)
    instance = replace(made, nat_gateways=0, nat_instances=1, nat_volume_gb=8, addresses=1)
    # Without NAT the functions reach SQS and SNS by endpoints only.
    no_nat = replace(one_gateway, nat_gateways=0, addresses=0, endpoint_zones=made.endpoint_zones or 2 * made.zones)
    changed = {
        "network.nat.mode = gateway": one_gateway,
        "network.nat.mode = instance": instance,
        "network.nat.mode = none, with endpoints": no_nat,
        "network.interface_endpoints = []": replace(made, endpoint_zones=0),
        "KMS data-key reuse of 60 s": replace(made, key_reuse_seconds=60),
        "KMS data-key reuse of a day": replace(made, key_reuse_seconds=86400),
        "whole items in the customer index": replace(made, whole_items_indexed=True),
        "log_retention_days = 30": replace(made, retention_days=30),
        "function_defaults.memory_mb = 256, as fast": replace(made, memory_gb=0.25),
        "function_defaults.memory_mb = 1024, as fast": replace(made, memory_gb=1),
    }
    found = {name: bill(other) - now for name, other in changed.items()}
    return found | {"batches of 10 instead of 5": bill(made, 10) - now, "batches of 1": bill(made, 1) - now}
