"""The operator's view: live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

# How often a log gets a line while a long step runs.
_PLAIN_SECONDS = 15.0


@dataclass
class Step:
    """A step in progress."""

    title: str
    result: str = ""
    _display: Display | None = None
    _progress: Progress | None = None
    _task: TaskID | None = None
    _started: float = field(default_factory=time.monotonic)
    _shown_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._started

    def progress(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=done, total=total or None)
        elif self._display and total and time.monotonic() - self._shown_at > _PLAIN_SECONDS:
            self._shown_at = time.monotonic()
            self._display.line(f"  {self.title}: {done} of {total} ({self.seconds:.0f} s)")


@dataclass
class Display:
    """Writes for an operator. It writes to standard error where standard output is for data."""

    console: Console = field(default_factory=Console)

    def line(self, text: str = "", style: str | None = None) -> None:
        """Write a line as it is."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while it runs, and its result at the end."""
        if self.console.is_terminal:
            text = TextColumn("{task.description}", markup=False)
            columns = (SpinnerColumn(), text, BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self.console, transient=True) as progress:
                step = Step(title, _display=self, _progress=progress, _task=progress.add_task(title, total=None))
                yield step
        else:
            step = Step(title, _display=self)
            yield step
        self.milestone(step.seconds, step.result or title)

    def milestone(self, seconds: float, text: str) -> None:
        """Write a milestone and its time."""
        self.console.print(f"{seconds:7.2f} s", style="cyan", end="  ", highlight=False)
        self.line(text)
