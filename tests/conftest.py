"""Sets what must be set before a function's module is imported, and decides which tests share a process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Payments", "POWERTOOLS_SERVICE_NAME": "test"}
pytest.register_assert_rewrite("tests.support")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Divide the tests between the processes of a parallel run."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item, item.path.relative_to(config.rootpath))))


def _group(item: pytest.Item, file: Path) -> str:
    """Name the group that a test shares a process with: those of a deployed stack, of the root's plans, of a file."""
    if item.get_closest_marker("e2e"):
        return str(file.parent)
    if "root_plan" in getattr(item, "fixturenames", ()):
        return "plans of the root"
    return str(file)
