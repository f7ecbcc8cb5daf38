"""The prose linter reads the prose of each kind of file, and finds every banned construction."""

import subprocess
import sys
from pathlib import Path

import pytest

from local import ROOT


def lint(path: Path) -> list[str]:
    checked = subprocess.run(
        [sys.executable, "docs/prose.py", str(path)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert checked.returncode in (0, 1), checked.stderr
    *found, _ = checked.stdout.splitlines()
    assert (checked.returncode == 1) == bool(found)
    return [line.removeprefix(f"{path}:") for line in found]


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("The payment is failed: there is nothing to give back.", "ours.banned"),
        ("Of the order numbers that begin with a date, one in ten would else be taken for a card.", "ours.opening"),
        ("Who comes late changes nothing.", "ours.opening"),
        ("It is empty where the reader has no need of\nit.", "ours.banned"),
        ("A receiver is\ntold.", "ours.banned"),
        ("The the receiver.", "ours.doubled_words"),
        ("One two three four five six. " + "word " * 36 + "end.", "ours.long"),
        ("The payment is very unique.", "uncomparables"),
    ],
)
def test_a_riddle_is_found(tmp_path: Path, sentence: str, rule: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A title\n\nA plain sentence.\n\n{sentence}\n")
    found = lint(page)
    assert any(rule in line and line.startswith("5:") for line in found), found


def test_plain_sentences_pass(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Refunds\n\nA late update changes nothing. See `whatever` in the code.\n\n```sh\necho whatever\n```\n\n"
        "| a | b |\n|---|---|\n| one | two |\n"
    )
    assert lint(page) == []


def test_a_table_is_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("| a | b |\n|---|---|\n| one | two |\n| one | whatever |\n")
    assert [line.split(":")[0] for line in lint(page)] == ["4"]


def test_python_is_read(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Do whatever is right.\n\nThen give it back.\n"""\n\n# A comment that goes\n# back.\n'
        'MESSAGE = "There is nothing to give back."\n'
        'FORMAT = "whatever"\n'
        'REASON = "there is nothing to give back"\n'
        'SCRIPT = "echo whatever it is\\necho more"\n'
    )
    assert {line.split(":")[0] for line in lint(module)} == {"1", "3", "6", "8", "10"}


def test_a_docstrings_tables_and_a_list_of_codes_are_left_out(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        f'def pay() -> None:\n    """Pay.\n\n        {"whatever " * 40}\n\n    Whatever follows.\n    """\n'
        f'CODES = "{"AED AFN ALL AMD " * 20}"\n'
    )
    assert [line.split(":")[0] for line in lint(module)] == ["6"]


def test_terraform_is_read(tmp_path: Path) -> None:
    module = tmp_path / "variables.tf"
    module.write_text(
        '# Whatever it is.\nvariable "name" {\n  description = "What is told of it."\n  type = string\n\n'
        '  validation {\n    condition = true\n    error_message = "It shall be there."\n  }\n}\n'
    )
    assert {line.split(":")[0] for line in lint(module)} == {"1", "3", "8"}


def test_a_scanners_skip_is_a_sentence_of_its_own(tmp_path: Path) -> None:
    module = tmp_path / "main.tf"
    reason = "one more word " * 10
    module.write_text(
        f'resource "a" "b" {{\n  #checkov:skip=CKV_1:{reason}\n  #checkov:skip=CKV_2:{reason}\n'
        "  #checkov:skip=CKV_3:whatever else\n}\n"
    )
    assert [line.split(":")[0] for line in lint(module)] == ["4"]
