"""Create before destroy: everything that such a resource depends on inherits the order, even if it cannot tolerate it.

SQS returns the queue that is there when Terraform creates one of the same name again. Terraform then destroys "the old
one": a queue that an interrupted apply has tainted would be gone for good.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from local import ROOT
from local.hcl import Module
from ops.terraform import KEPT_IF_TAINTED
from tests.support.kept import HOLDS_DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    import tftest

pytestmark = pytest.mark.plan


def created_first(graph: str, named: set[str]) -> set[str]:
    """Return the types of the resources in Terraform's graph that the named ones depend on, and of those themselves."""
    needs: dict[str, set[str]] = defaultdict(set)
    for one, other in re.findall(r'"([^"]+)" -> "([^"]+)"', graph):
        needs[one].add(other)
    found: set[str] = set()
    waiting = [node for node in re.findall(r'^ *"([^"]+)" \[label', graph, re.MULTILINE) if _name(node) in named]
    assert waiting
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(needs[node])
    return {node.split(".")[-2] for node in found if ".data." not in f".{node}"}


def _name(node: str) -> str:
    return ".".join(node.split(".")[-2:])


def says_so() -> set[str]:
    """Return the resources, as TYPE.NAME, whose own lifecycle says create_before_destroy."""
    return {
        ".".join(block.name_labels)
        for folder in (ROOT, *ROOT.glob("modules/*"))
        for block in Module(folder).blocks("resource")
        for lifecycle in block.blocks("lifecycle")
        if lifecycle.attributes("create_before_destroy")
    }


def test_nothing_that_holds_data_is_created_before_it_is_destroyed(
    initialised: dict[str, str], small_root: Callable[[str], tftest.TerraformTest]
) -> None:
    named = says_so()
    assert "aws_api_gateway_deployment.this" in named
    theirs = small_root("examples/bring-your-own")
    for folder, environment in ((ROOT, initialised), (theirs.tfdir, theirs.env)):
        graph = subprocess.run(
            ["terraform", "graph"], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout
        first = created_first(graph, named)
        assert first & HOLDS_DATA == set()
        # An interrupted apply may taint what inherits it, and replacing that would delete it.
        assert first - {name.split(".")[0] for name in named} <= KEPT_IF_TAINTED
