"""Names in an environment's tfvars that no variable has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import ROOT, LocalError, environments
from local.environments import check_variables, known, misspelt
from local.hcl import EACH, Module, Shape, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPE = Module(ROOT).variables()


def paths(shape: Shape, *before: str) -> Iterator[tuple[str, ...]]:
    """Every name that can be given, with the names around it; a map's key is any word."""
    for name, inner in (shape or {}).items():
        path = (*before, "any-key" if name == EACH else name)
        if name != EACH:
            yield path
        yield from paths(inner, *path)


def given_at(path: tuple[str, ...]) -> dict[str, Any]:
    value: Any = 1
    for name in reversed(path):
        value = {name: value}
    return dict(value)


PATHS = st.sampled_from(list(paths(SHAPE)))


@given(path=PATHS, at=st.integers(0, 60), letter=st.sampled_from("aeiostz_"))
def test_a_misspelt_name_is_reported_with_the_nearest_known_one(path: tuple[str, ...], at: int, letter: str) -> None:
    right = path[-1]
    at %= len(right) + 1
    wrong = right[:at] + letter + right[at:]
    shape: Any = SHAPE
    for name in path[:-1]:
        shape = shape[EACH] if EACH in shape else shape[name]
    told = misspelt(given_at((*path[:-1], wrong)), SHAPE)
    if wrong in shape:
        assert told == []
    else:
        # Another name may be as near as the right one.
        assert told in [[f"{'.'.join((*path[:-1], wrong))}. Did you mean {name}?"] for name in shape]


@given(path=PATHS)
def test_every_known_name_is_accepted(path: tuple[str, ...]) -> None:
    assert misspelt(given_at(path), SHAPE) == []


def test_every_unknown_name_is_listed_even_one_that_is_near_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "far.tfvars"
    file.write_text("""
      log_retention_day = 3
      thresholds = { api_p99 = 3 }
      functions  = { processor = { timout_seconds = 5 } }
      xyzzy      = 1
    """)
    monkeypatch.setattr(environments, "variables", lambda _env: file)
    with pytest.raises(LocalError) as caught:
        check_variables("far")
    assert str(caught.value).splitlines() == [
        "env/far.tfvars has 4 unknown names:",
        "  log_retention_day. Did you mean log_retention_days?",
        "  thresholds.api_p99. Did you mean api_p99_ms?",
        "  functions.processor.timout_seconds. Did you mean timeout_seconds?",
        "  xyzzy",
    ]


@pytest.mark.parametrize(
    "file", [f"env/{env}" for env in known()] + [f"tests/plan/{name}" for name in ("options", "stripe", "webhooks")]
)
def test_the_files_that_are_here_have_no_unknown_name(file: str) -> None:
    assert misspelt(load(ROOT / f"{file}.tfvars"), SHAPE) == []
