"""The record of a server that outlives the command which started it: which process it is, and where it answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from local import LocalError
from local.server import is_process, stop_process

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServerRecord:
    """A server that was started. ``program`` is what its command line has."""

    program: ClassVar[str]
    pid: int
    port: int

    def runs(self) -> bool:
        """Say whether its process runs. Another program may have its process id by now."""
        return is_process(self.pid, self.program)

    def write(self, file: Path) -> None:
        """Write it down, for later runs."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Return the record of an earlier run; None if there is none. Raises LocalError if it cannot be read."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, TypeError) as error:
            raise LocalError(f"{file} cannot be read: {error}. Run: make down") from error

    @classmethod
    def stop(cls, file: Path) -> None:
        """Stop the server of an earlier run, if it runs."""
        try:
            running = cls.read(file)
        except LocalError:
            return  # an unreadable record names no process to stop
        if running is not None and running.runs():
            stop_process(running.pid)
