"""An environment in an account, and the command run in this process."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from ops import target
from ops.client import Api
from tests.support.commands import Run, runner
from tests.support.stack import API, FakeStack


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def stack() -> FakeStack:
    return FakeStack()


@pytest.fixture
def account(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """An environment in an account, whose API a test sets up."""
    api = MagicMock(spec=Api, keys=API.keys, url="https://api", region="r", trusted=None)
    monkeypatch.setattr(target, "resolve", lambda env: target.Target(env, stack, api))  # type: ignore[arg-type]
    return api
