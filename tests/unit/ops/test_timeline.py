"""A function's log lines on a payment's timeline."""

from __future__ import annotations

import pytest

from ops.timeline import _moment

WRITTEN = 1767225601000


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:00.250+00:00",
        "2026-01-01T01:00:00.250+01:00",
        "2026-01-01T00:00:00.250Z",
        "2026-01-01 00:00:00,250+0000",
    ],
    ids=["RFC 3339", "another offset", "Z", "as older versions wrote it"],
)
def test_a_line_has_the_time_that_its_function_wrote(time: str) -> None:
    assert _moment({"timestamp": time}, WRITTEN) == "2026-01-01T00:00:00.250000Z"


@pytest.mark.parametrize("line", [{}, {"timestamp": "now"}, {"timestamp": None}])
def test_without_one_it_has_the_time_at_which_cloudwatch_took_it(line: dict[str, object]) -> None:
    assert _moment(line, WRITTEN) == "2026-01-01T00:00:01.000000Z"
