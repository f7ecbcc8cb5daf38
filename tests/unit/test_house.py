"""Our rules that no linter checks."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from hcl2.query import DocumentView
from hcl2.rules.containers import TupleRule
from hcl2.rules.for_expressions import ForIntroRule

from local import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("src", "ops", "local", "bench", "chaos", "docs", "examples", "modules", "tests")
MAX_LINES = 40
MAX_COLUMNS = 125


@cache
def trees() -> dict[Path, ast.Module]:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    return {file.relative_to(ROOT): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def test_no_function_is_longer_than_a_screen() -> None:
    """ruff counts statements and branches, but not lines."""
    long = [
        f"{file} {node.name}"
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= MAX_LINES
    ]
    assert long == []


def test_a_class_has_a_name_of_its_own() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(file))
    twice = {name: files for name, files in found.items() if len(files) > 1}
    assert twice == {}


@cache
def documents() -> dict[str, DocumentView]:
    folders = ("*", "bootstrap/*", "modules/**/*", "examples/*/*")
    files = sorted(file for folder in folders for file in ROOT.glob(f"{folder}.tf"))
    return {str(file.relative_to(ROOT)): DocumentView.parse(file.read_text(encoding="utf-8")) for file in files}


def test_no_loop_stands_for_a_condition() -> None:
    """`a == null ? [] : [a]` says what `[for b in [a] : b if b != null]` hides."""
    found = [
        f"{file}: {loop.raw.serialize()}"
        for file, document in documents().items()
        for loop in document.find_all(ForIntroRule)
        if _is_over_one(loop.raw)
    ]
    assert found == []


def _is_over_one(loop: Any) -> bool:
    collection = getattr(loop.iterable, "expression", None)
    return isinstance(collection, TupleRule) and len(collection.elements) == 1


def test_the_root_lists_its_variables_and_outputs_by_the_alphabet() -> None:
    for file, document in documents().items():
        if "/" not in file:
            for kind in ("variable", "output"):
                blocks: list[Any] = [*document.blocks(kind)]
                names = [block.name_labels[0] for block in blocks]
                assert names == sorted(names), file


def test_a_line_of_the_root_fits_a_screen() -> None:
    long = [
        f"{file.name}:{number}"
        for file in sorted(ROOT.glob("*.tf"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > MAX_COLUMNS
    ]
    assert long == []
