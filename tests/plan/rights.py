"""The rights that a plan grants, and the reviewed inventory that they must equal.

A holder is a role, or a resource with a policy or a permission that lets others use it. The inventory lists each grant
of a holder once, with its cases if not all cases have it. Account, region and suffix are placeholders.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from tests.support.plan import Plan, listed, resources, written

Grant = dict[str, Any]
Rights = dict[str, list[Grant]]

INVENTORY = Path(__file__).parent / "inventory" / "rights.yaml"
HEADER = """\
# Who may do what, reviewed: every role with its trust, and every policy and permission of a resource.
# A statement is named by its policy and its Sid. `cases` names the plans that have it, if not all with the holder do.
# A role with `each_function` has those grants too, with its own name for {name}. To write this file again:
# UPDATE_INVENTORY=1 .venv/bin/python -m pytest tests/plan/test_rights.py. Then review its difference in git.
"""
STACK = ["dev", "local", "options", "private", "prod", "stripe", "webhooks"]
WAY_OUT = (
    "If this is meant, let UPDATE_INVENTORY=1 .venv/bin/python -m pytest tests/plan/test_rights.py"
    " rewrite tests/plan/inventory/rights.yaml, and review its difference in git."
)
UNKNOWN = "known after the apply"
# Without a policy of theirs AWS gives these one that allows everybody in the account everything, or everybody.
OPEN_WITHOUT_A_POLICY = {"aws_kms_key", "aws_kms_replica_key", "aws_vpc_endpoint"}
NO_POLICY = "none is written, so AWS's own allows everything"

# A policy's words and the inventory's, in the inventory's order. The action stands by its effect.
_WORDS = {
    "Action": "{effect}",
    "NotAction": "{effect}_all_but",
    "Resource": "resources",
    "NotResource": "resources_all_but",
    "Principal": "principals",
    "NotPrincipal": "principals_all_but",
    "Condition": "conditions",
}


def rights(plan: Plan) -> Rights:
    """Return a plan's grants by holder."""
    found: Rights = {}
    place = _placeholders(plan)
    for resource in resources(plan):
        for holder, grant in _grants(plan, resource):
            found.setdefault(place(holder), []).append(json.loads(place(json.dumps(grant))))
    return found


def _placeholders(plan: Plan) -> Callable[[str], str]:
    """Return a function that replaces the plan's account, region and suffix in a text."""
    known = plan["prior_state"]["values"]["root_module"]["resources"]
    (account,) = {one["values"]["account_id"] for one in known if one["type"] == "aws_caller_identity"}
    names = {"account": account, "region": plan["variables"]["region"]["value"]}
    suffix = plan["variables"].get("environment_suffix", {}).get("value", account)

    def place(text: str) -> str:
        for name, value in names.items():
            text = text.replace(value, f"{{{name}}}")
        return re.sub(rf"-{suffix}(?![a-z0-9])", "-{suffix}", text)

    return place


def _grants(plan: Plan, resource: dict[str, Any]) -> Iterable[tuple[str, Grant]]:
    """Yield the grants of a planned resource, each with its holder."""
    values, type_, address = resource["values"], resource["type"], resource["address"]
    if type_ == "aws_iam_role":
        assert not values.get("inline_policy"), f"{address}: write the policy as a resource of its own"
        assert not values.get("managed_policy_arns"), f"{address}: attach the policy by a resource of its own"
        yield from ((f"role {values['name']}", grant) for grant in _policy("trust", values.get("assume_role_policy")))
        if values.get("permissions_boundary") or "permissions_boundary" in _unknown(plan, resource):
            bound = values.get("permissions_boundary") or UNKNOWN
            yield f"role {values['name']}", {"statement": "permissions boundary", "policy": bound}
    elif type_ == "aws_iam_role_policy":
        yield from ((f"role {values['role']}", grant) for grant in _policy(values["name"], values.get("policy")))
    elif type_ == "aws_iam_role_policy_attachment":
        yield f"role {values['role']}", {"statement": values.get("policy_arn", UNKNOWN)}
    elif type_.startswith("aws_iam_"):
        raise AssertionError(f"{address}: tests/plan/rights.py cannot read what this grants")
    elif type_.endswith(("_permission", "_grant")):
        known = {name: value for name, value in values.items() if value is not None}
        yield address, {"statement": "permission"} | known | dict.fromkeys(_unknown(plan, resource), UNKNOWN)
    else:
        policies = [name for name, value in values.items() if re.search(r'"Statement"\s*:', str(value))]
        policies += [name for name in _unknown(plan, resource) if name in {"policy", "policy_document"}]
        yield from ((address, grant) for name in policies for grant in _policy(name, values.get(name)))
        if type_ in OPEN_WITHOUT_A_POLICY and "policy" not in policies:
            yield address, {"statement": "policy", "policy": NO_POLICY}


def _unknown(plan: Plan, resource: dict[str, Any]) -> list[str]:
    """Return the arguments of a resource that are set but not known yet."""
    return [name for name in written(plan, resource["address"]) if resource["unknown"].get(name) is True]


def _policy(name: str, document: str | None) -> Iterable[Grant]:
    """Yield each statement of a policy in the inventory's form, independent of the order in which it is written."""
    if document is None:
        yield {"statement": name, "policy": UNKNOWN}
        return
    for statement in listed(json.loads(document)["Statement"]):
        assert statement.keys() <= {"Sid", "Effect", *_WORDS}, statement
        grant = {"statement": f"{name}/{statement['Sid']}" if "Sid" in statement else name}
        for word, ours in _WORDS.items():
            if word in statement:
                grant[ours.format(effect=statement["Effect"].lower())] = _short(statement[word])
        yield grant


def _short(value: Any) -> Any:
    """Return a policy's value in short form: lists sorted, a single value alone, a condition's test before its key."""
    if isinstance(value, list):
        return _short(value[0]) if len(value) == 1 else sorted(value)
    if isinstance(value, dict):
        flat: dict[str, Any] = {}
        for key, inner in sorted(value.items()):
            inners = {f"{key} {name}": one for name, one in inner.items()} if isinstance(inner, dict) else {key: inner}
            flat |= {name: _short(one) for name, one in sorted(inners.items())}
        return flat
    return value


def differences(expected: Rights, found: Rights) -> list[str]:
    """Return the rights that a plan grants in addition to (+) and short of (-) the expected ones."""
    more, less = _lines(found) - _lines(expected), _lines(expected) - _lines(found)
    return sorted([f"+ {line}" for line in more] + [f"- {line}" for line in less], key=lambda line: (line[2:], line))


def _lines(found: Rights) -> set[str]:
    """Return a line for each single right: the holder, the statement, and one action on one resource."""
    lines = set()
    for holder, grants in found.items():
        for grant in grants:
            singles = [[(key, one) for one in listed(value)] for key, value in grant.items()]
            for single in product(*singles):
                said = [f"{key} {json.dumps(one) if isinstance(one, dict) else one}" for key, one in single]
                lines.add(f"{holder}: {', '.join(said)}")
    return lines


def expected_rights(case: str) -> Rights:
    """Return the inventory's grants for a case."""
    return split(yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))).get(case, {})


def accept(case: str, found: Rights) -> None:
    """Write a case's grants into the inventory, if UPDATE_INVENTORY is set."""
    if os.environ.get("UPDATE_INVENTORY"):
        kept = split(yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))) if INVENTORY.exists() else {}
        text = yaml.safe_dump(merge(kept | {case: found}), sort_keys=False, width=120)
        INVENTORY.write_text(HEADER + text, encoding="utf-8")


def merge(cases: dict[str, Rights]) -> dict[str, Any]:
    """Return the grants of all cases as an inventory without repetitions."""
    functions = [
        [_renamed(grant, _name(holder), "{name}") for grant in grants]
        for found in cases.values()
        for holder, grants in found.items()
        if _is_function(grants)
    ]
    each = [grant for grant in functions[0] if all(grant in grants for grants in functions)] if functions else []
    holders = {}
    for holder in sorted({holder for found in cases.values() for holder in found}):
        having = {case: found[holder] for case, found in sorted(cases.items()) if holder in found}
        is_function = any(map(_is_function, having.values()))
        grants = {json.dumps(grant): grant for found in having.values() for grant in found}
        holders[holder] = (
            _cases(list(having), STACK)
            | ({"each_function": True} if is_function else {})
            | {
                "grants": [
                    grant | _cases([case for case, found in having.items() if grant in found], list(having))
                    for _, grant in sorted(grants.items())
                    if not (is_function and _renamed(grant, _name(holder), "{name}") in each)
                ]
            }
        )
    return {"each_function": each, "holders": holders}


def split(inventory: dict[str, Any]) -> dict[str, Rights]:
    """Return an inventory's grants by case and holder."""
    cases: dict[str, Rights] = {}
    for holder, entry in inventory["holders"].items():
        having = entry.get("cases", STACK)
        each = inventory["each_function"] if entry.get("each_function") else []
        grants = [*(_renamed(grant, "{name}", _name(holder)) for grant in each), *entry["grants"]]
        for case in having:
            cases.setdefault(case, {})[holder] = [
                {key: value for key, value in grant.items() if key != "cases"}
                for grant in grants
                if case in grant.get("cases", having)
            ]
    return cases


def _cases(cases: list[str], usual: list[str]) -> dict[str, Any]:
    return {} if cases == usual else {"cases": cases}


def _is_function(grants: list[Grant]) -> bool:
    return any(
        grant["statement"] == "trust" and grant["principals"] == {"Service": "lambda.amazonaws.com"} for grant in grants
    )


def _name(holder: str) -> str:
    return holder.removeprefix("role ")


def _renamed(grant: Grant, old: str, new: str) -> Grant:
    renamed: Grant = json.loads(json.dumps(grant).replace(old, new))
    return renamed
