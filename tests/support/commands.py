"""Run the operator's command in this process, as a shell would."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops import __main__ as command
from ops import interrupt

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Ran:
    """A command's output and exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``payments`` with arguments."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["payments", *arguments])
        before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
        try:
            status = command.main()
        except SystemExit as error:
            status = int(error.code or 0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return Ran(status, *capsys.readouterr())

    return run
