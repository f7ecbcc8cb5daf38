"""Sets what must be set before a function's module is imported, and decides which tests share a process."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Payments", "POWERTOOLS_SERVICE_NAME": "test"}
pytest.register_assert_rewrite("tests.support")


class ByStack(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Divides the tests of a parallel run: each process gets whole files, and all files of a deployed stack."""

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        return str(file.parent if "e2e" in file.parts else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Have xdist divide the tests by ``ByStack``."""
    return ByStack(config, log)
