"""A plan as data: its resources, flat, with what is not known yet, and the statements of its policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Plan = dict[str, Any]


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


def statements(plan: Plan, type_: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the address and each statement of every policy of a type, Action and Resource always as lists."""
    for resource in resources(plan, type_):
        for statement in json.loads(resource["values"]["policy"])["Statement"]:
            listed = {
                key: [statement[key]] if isinstance(statement.get(key), str) else statement.get(key, [])
                for key in ("Action", "Resource")
            }
            yield resource["address"], statement | listed
