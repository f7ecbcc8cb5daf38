"""What a command prints: plain text for people, or one JSON document for programs. Progress goes to standard error."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.display import Display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLES = {
    "processed": "green",
    "refunded": "green",
    "partially_refunded": "green",
    "ok": "green",
    "failed": "red",
    "fail": "red",
    "unknown": "yellow",
    "warn": "yellow",
    "validated": "cyan",
}
# Wide enough that nothing is cut or folded where a program reads.
_PLAIN_WIDTH = 10_000


def printable(value: object) -> str:
    """Return a value as text that cannot steer a terminal: a log line or a message may hold anything."""
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


@dataclass(frozen=True)
class Output:
    """Writes a command's answer."""

    as_json: bool = False
    console: Console = field(default_factory=_console)
    progress: Display = field(default_factory=lambda: Display(Console(stderr=True)))

    def json(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a value as JSON."""
        sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")

    def json_line(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a value as one line of JSON, now."""
        sys.stdout.write(json.dumps(value, default=str) + "\n")
        sys.stdout.flush()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Write a line."""
        self.console.print(Text(printable(text), style=style or ""), soft_wrap=True)

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Write names and values, one per line. Names without a value are left out."""
        shown = [(name, printable(value)) for name, value in pairs if value not in (None, "")]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.console.print(Text(f"{name:<{width}}  ").append(value, STYLES.get(value, "")), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table. On a terminal that is too narrow for its ids, the lines are longer than the terminal."""
        self.console.print(table(columns, rows), crop=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table without lines, with coloured states."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown = [[printable(value) for value in row] for row in rows]
    for number, column in enumerate(columns):
        # An id that is cut or folded cannot be copied.
        is_id = column.endswith("_id")
        longest = max((len(row[number]) for row in shown), default=0)
        grid.add_column(
            column,
            justify="right" if column in {"amount", "messages", "in flight"} else "left",
            overflow="fold",
            no_wrap=is_id,
            min_width=longest if is_id else None,
        )
    for row in shown:
        grid.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    return grid
