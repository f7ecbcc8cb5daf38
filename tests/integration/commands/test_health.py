"""payments reconcile."""

from __future__ import annotations

import io
import json
from unittest.mock import MagicMock

from tests.support.commands import Run
from tests.support.stack import FakeStack


def test_reconciling_continues_while_it_makes_progress(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    answers = [{"settled": 3, "left": 2}, {"redriven": 2}]
    stack.functions.invoke.side_effect = lambda **_asked: {"Payload": io.BytesIO(json.dumps(answers.pop(0)).encode())}
    came = payments("reconcile", "--env", "dev", "--yes", "--json")
    assert (came.status, came.json) == (0, {"settled": 3, "redriven": 2})
    answers = [{"unanswered": 1, "left": 2}]
    stuck = payments("reconcile", "--env", "dev", "--yes", "--older-than", "60", "--json")
    assert (stuck.status, stuck.json) == (3, {"unanswered": 1, "left": 2})
    asked = stack.functions.invoke.call_args.kwargs
    assert (asked["Qualifier"], json.loads(asked["Payload"])) == ("live", {"older_than_seconds": 60})


def test_an_id_of_no_payment_is_no_success(payments: Run, stack: FakeStack, account: MagicMock) -> None:
    stack.functions.invoke.side_effect = lambda **_asked: {"Payload": io.BytesIO(b'{"settled": 1, "missing": 1}')}
    came = payments("reconcile", "order-1", "nope", "--env", "dev", "--yes", "--json")
    assert (came.status, came.json) == (1, {"settled": 1, "missing": 1})
    assert came.err.splitlines()[-1] == "1 of 2 ids belong to no payment in dev: order-1, nope"
