"""A plan as data: its resources in a flat list, with the values that are not known yet, and its policy statements."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from local import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

Plan = dict[str, Any]

_INVENTORY = ROOT / "tests" / "plan" / "inventory"
WAY_OUT = "To accept it, run the test with UPDATE_INVENTORY=1 and read the difference in git."


def resources(plan: Plan, type_: str | None = None) -> list[dict[str, Any]]:
    """Return the managed resources of a plan (``terraform show -json``): type, address, values, unknown."""
    return [
        {
            "address": change["address"],
            "type": change["type"],
            "values": change["change"]["after"],
            "unknown": change["change"]["after_unknown"],
        }
        for change in plan["resource_changes"]
        if change["mode"] == "managed" and change["change"]["after"] is not None and type_ in {None, change["type"]}
    ]


def one(plan: Plan, type_: str) -> dict[str, Any]:
    """Return the values of a plan's only resource of a type."""
    (resource,) = resources(plan, type_)
    values: dict[str, Any] = resource["values"]
    return values


def counted(name: str, found: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how many resources of each type were found, and how many the inventory of that name lists."""
    types = dict(sorted(Counter(resource["type"] for resource in found).items()))
    made = {"resources": sum(types.values()), "types": types}
    file = _INVENTORY / f"{name}.yaml"
    if os.environ.get("UPDATE_INVENTORY"):
        file.write_text(yaml.safe_dump(made), encoding="utf-8")
    return made, yaml.safe_load(file.read_text(encoding="utf-8"))


def redrives(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return each queue's dead-letter queue and its number of deliveries, by the queue's name."""
    names = {queue["address"]: queue["values"]["name"] for queue in resources(plan, "aws_sqs_queue")}
    policies = {
        policy["address"].replace("_redrive_policy.this[0]", ".this"): policy["values"]["redrive_policy"]
        for policy in resources(plan, "aws_sqs_queue_redrive_policy")
    }
    return {names[queue]: json.loads(policy) for queue, policy in policies.items()}


def statements(plan: Plan, type_: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the address and each statement of every policy of a type, Action and Resource always as lists."""
    for resource in resources(plan, type_):
        for statement in json.loads(resource["values"]["policy"])["Statement"]:
            lists = {key: listed(statement.get(key, [])) for key in ("Action", "Resource")}
            yield resource["address"], statement | lists


def warnings(plan: Plan) -> list[str]:
    """Return what the plan's checks warn of, each in one line."""
    checks = [instance for check in plan.get("checks", []) for instance in check.get("instances", [])]
    return [message_of(problem["message"]) for instance in checks for problem in instance.get("problems", [])]


def listed(value: Any) -> list[Any]:
    """Return a policy's value, which may be one or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def with_unknowns_named(plan: Plan) -> Plan:
    """Return the plan with a name in place of each value that is set but known only after the apply.

    A scanner treats a value that it does not see as not set: at the first plan, that would be every key's ARN.
    """
    plan = json.loads(json.dumps(plan))
    unknown = {change["address"]: change["change"]["after_unknown"] for change in plan["resource_changes"]}
    for resource in _planned(plan["planned_values"]["root_module"]):
        if resource["address"] in unknown:
            _name(resource["values"], unknown[resource["address"]], written(plan, resource["address"]))
    return plan


def written(plan: Plan, address: str) -> dict[str, Any]:
    """Return a resource's arguments as they stand in the HCL, as expressions."""
    own = ".".join(re.sub(r"\[[^\]]*\]", "", address).split(".")[-2:])
    return next(
        (found.get("expressions", {}) for found in _module_of(plan, address)["resources"] if found["address"] == own),
        {},
    )


def _planned(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a module's planned resources and those of the modules in it."""
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _planned(child)


def _module_of(plan: Plan, address: str) -> dict[str, Any]:
    """Return the configuration of the module that a resource is in."""
    module: dict[str, Any] = plan["configuration"]["root_module"]
    for name in re.findall(r"module\.([A-Za-z0-9_-]+)", re.sub(r"\[[^\]]*\]", "", address)):
        module = module["module_calls"][name]["module"]
    return module


def _name(values: dict[str, Any], unknown: dict[str, Any], expressions: dict[str, Any]) -> None:
    for name, expression in expressions.items():
        if isinstance(expression, dict) and unknown.get(name) is True:
            values[name] = "known-after-apply"
        elif isinstance(expression, list) and isinstance(unknown.get(name), list):
            for value, hole, inner in zip(values.get(name, []), unknown[name], expression, strict=False):
                _name(value, hole, inner)


def message_of(text: str) -> str:
    """Return Terraform's message in one line, without the frame around it."""
    return " ".join(text.replace("│", " ").split())


Cases = dict[str, dict[str, str]]


def with_cases(module: str, cases: Cases) -> str:
    """Return a module's example with its module block repeated for each case, with that case's arguments."""
    example = ROOT / "modules" / module / "examples" / "basic"
    text = (example / "main.tf").read_text(encoding="utf-8").replace("${path.module}", str(example))
    head, block = text.split('\nmodule "', 1)
    body = block.split('  source = "../.."\n', 1)[1].split("\n}\n", 1)[0]
    blocks = []
    for case, arguments in cases.items():
        kept: list[str] = []
        open_braces = 0
        for line in body.splitlines():
            if open_braces or line.startswith(tuple(f"  {argument} " for argument in arguments)):
                open_braces += sum(line.count(brace) for brace in "{[(") - sum(line.count(brace) for brace in ")]}")
            else:
                kept.append(line)
        given = [f"  {argument} = {value}" for argument, value in arguments.items()]
        # A relative path: Terraform treats an absolute one as a package, whose modules cannot refer to files outside.
        source = f'  source = "./modules/{module}"'
        blocks.append("\n".join([f'module "{case}" {{', source, *given, *kept, "}"]))
    return "\n\n".join([head, *blocks]) + "\n"
