"""The storm: each kind of event comes, however short the load is, and a run that breaks off does not wait for it."""

from __future__ import annotations

import random
from unittest.mock import MagicMock

import pytest

from chaos.faults import Storm

KINDS = {"worker killed", "message duplicated", "gateway down", "queue paused"}


@pytest.fixture
def storm(monkeypatch: pytest.MonkeyPatch) -> Storm:
    monkeypatch.setattr(random.Random, "uniform", lambda *_: 0.01)
    monkeypatch.setattr("chaos.faults._workers", lambda _: [4242])
    monkeypatch.setattr("os.kill", lambda *_: None)
    stack = MagicMock()
    stack.sqs.receive_message.return_value = {"Messages": [{"Body": "{}"}]}
    return Storm(stack, proxy=MagicMock(fired=dict), server=MagicMock(persist=False, pid=1), seed=1)


def test_each_kind_of_event_comes_though_the_load_is_done_at_once(storm: Storm) -> None:
    with storm:
        pass
    assert storm.counts.keys() == KINDS


def test_a_run_that_breaks_off_waits_for_no_event(storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random.Random, "uniform", lambda *_: 3600)
    with pytest.raises(KeyboardInterrupt), storm:
        raise KeyboardInterrupt
    assert storm.counts == {}
