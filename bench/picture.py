"""Draw a bar chart as SVG: labels, bars, a goal. It suits light and dark pages."""

from __future__ import annotations

from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _LABEL, _ROW, _NUMBER = 720, 130, 24, 130
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.b{fill:#5b8def}.o{fill:#b9bfca}.g{stroke:#d1495b;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


class Bar(NamedTuple):
    """A bar: its label, its length, the text next to it, and whether it is there only for comparison."""

    label: str
    value: float
    text: str
    other: bool = False


def bars(title: str, rows: list[Bar], goal: float | None = None) -> str:
    """Draw a bar chart; ``goal`` is a line that the bars should not reach."""
    longest = max([row.value for row in rows] + ([goal] if goal else []))
    scale = (_WIDTH - _LABEL - _NUMBER) / longest
    height = (len(rows) + 1) * _ROW + 10
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="0" y="16">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows, 1):
        top = number * _ROW + 4
        length, kind = row.value * scale, "o" if row.other else "b"
        drawn += [
            f'<text x="0" y="{top + 14}">{escape(row.label)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{length:.1f}" height="18" rx="2"/>',
            f'<text x="{_LABEL + length + 6:.1f}" y="{top + 14}">{escape(row.text)}</text>',
        ]
    if goal:
        at = _LABEL + goal * scale
        drawn.append(f'<line class="g" x1="{at:.1f}" x2="{at:.1f}" y1="{_ROW}" y2="{height - 6}"/>')
    return "\n".join([*drawn, "</svg>", ""])
