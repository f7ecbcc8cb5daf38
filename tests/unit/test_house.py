"""Our rules that no linter checks."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from local import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("src", "ops", "local", "bench", "chaos", "docs", "modules", "tests")
MAX_LINES = 40


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
