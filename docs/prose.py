"""Check the prose: proselint's rules, our list of banned constructions, and the length of sentences.

``python docs/prose.py`` checks the files that docs/prose.toml lists; with paths as arguments, those files.
"""

import ast
import inspect
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hcl2
from markdown_it import MarkdownIt
from proselint.checks import __register__ as proselint_checks
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckResult, types
from proselint.registry.checks.engine import Fancy
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parent.parent
RULES = tomllib.loads((ROOT / "docs" / "prose.toml").read_text(encoding="utf-8"))
# The fewest words that make a string in Python a sentence, and not a name or a format.
_SENTENCE_WORDS = 4


@dataclass(frozen=True)
class Block:
    """A paragraph, a table's cell, a docstring or a comment: its text, and the line on which it starts."""

    line: int
    text: str


def markdown(source: str) -> Iterator[Block]:
    """Yield the prose of a Markdown page. Code in a sentence counts as one word; code blocks are left out."""
    for token in MarkdownIt("commonmark").enable("table").parse(source):
        if token.type == "inline" and token.map is not None:
            yield Block(token.map[0] + 1, "".join(_plain(child.type, child.content) for child in token.children or []))


def _plain(kind: str, content: str) -> str:
    return {"text": content, "code_inline": "`code`", "softbreak": "\n", "hardbreak": "\n"}.get(kind, "")


def python(source: str) -> Iterator[Block]:
    """Yield the docstrings, the sentences in strings, and the comments of a Python file.

    Indented paragraphs of a docstring, such as tables and drawings, are left out like Markdown's code blocks.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if _is_prose(text):
                line = node.lineno
                for paragraph in _code_as_a_word(inspect.cleandoc(text)).split("\n\n"):
                    if not paragraph.startswith(" "):
                        yield Block(line, paragraph)
                    line += paragraph.count("\n") + 2
    comments = [
        token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT
    ]
    yield from _joined([(token.start[0], token.string.lstrip("#: ")) for token in comments])


def _is_prose(text: str) -> bool:
    # A text of several lines that does not begin like a sentence is a script.
    begins = text[:1].isupper() or "\n" not in text
    return len(text.split()) >= _SENTENCE_WORDS and begins and not text.isupper()


def _code_as_a_word(text: str) -> str:
    return re.sub(r"(`+)[^`]+\1", "`code`", text)


def _joined(comments: list[tuple[int, str]]) -> Iterator[Block]:
    """Join comments on adjacent lines: a sentence may go over several."""
    block: list[tuple[int, str]] = []
    for line, text in comments:
        if block and line != block[-1][0] + 1:
            yield Block(block[0][0], "\n".join(text for _, text in block))
            block = []
        block.append((line, _code_as_a_word(text)))
    if block:
        yield Block(block[0][0], "\n".join(text for _, text in block))


def terraform(source: str) -> Iterator[Block]:
    """Yield the comments of a Terraform file, and the descriptions and messages of its blocks."""
    lines = source.splitlines()
    comments = [
        (number, line.strip().lstrip("# ")) for number, line in enumerate(lines, 1) if line.strip().startswith("#")
    ]
    # A scanner's skip is a line by itself, with its reason after the check's name.
    skips = [(number, line) for number, line in comments if line.startswith("checkov:skip=")]
    yield from (Block(number, line.partition(":")[2].partition(":")[2]) for number, line in skips)
    yield from _joined([comment for comment in comments if comment not in skips])
    for text in _texts(hcl2.loads(source)):
        first = text.split("\n", 1)[0][:40]
        yield Block(next((number for number, line in enumerate(lines, 1) if first in line), 1), text)


def _texts(parsed: object) -> Iterator[str]:
    """Yield every description and error message in a parsed Terraform file."""
    match parsed:
        case dict():
            for name, value in parsed.items():
                if name in ("description", "error_message", "alarm_description") and isinstance(value, str):
                    yield re.sub(r'^(<<-?\w+\n|")|(\n\s*\w+|")$', "", value).strip()
                else:
                    yield from _texts(value)
        case list():
            for value in parsed:
                yield from _texts(value)


def long_sentences(text: str, check: Check) -> Iterator[CheckResult]:
    """Find the sentences that are longer than a reader can hold."""
    for block in re.finditer(r"(?:[^\n]|\n(?!\n))+", text):
        for sentence in re.finditer(r"\S(?:[^.!?]|[.!?](?![\s)]))*", block.group()):
            words = re.findall(r"[\w`][\w'`.-]*", sentence.group())
            if len(words) > RULES["longest_sentence"]:
                span = (block.start() + sentence.start(), block.start() + sentence.end())
                yield CheckResult(check.path, check.message.format(len(words)), span, None)


def _register() -> None:
    """Add proselint's own checks and ours to proselint's registry."""
    registry = CheckRegistry()
    registry.register_many(proselint_checks)
    registry.register(Check(long_sentences, path="ours.long", message="{} words in one sentence."))
    doubled = types.ExistenceSimple(pattern=r"\b([a-z]+)([ \t]+\n?[ \t]*|\n)\1\b")
    registry.register(Check(doubled, Fancy(), path="ours.doubled_words", message="'{}': a word is doubled."))
    for pattern, instead in RULES["banned"].items():
        found = types.ExistenceSimple(pattern=rf"\b{pattern}\b".replace(" ", r"\s+"))
        registry.register(Check(found, path="ours.banned", message=f"'{{}}': write {instead}."))
    for pattern, instead in RULES["banned_openings"].items():
        # A question may open so.
        opening = rf"(^|\n\n|[.:;!?]\s+){pattern}\b(?![^.!?]*\?)".replace(" ", r"\s+")
        found = types.ExistenceSimple(pattern=opening)
        registry.register(Check(found, Fancy(), path="ours.opening", message=f"'{{}}': write {instead}."))


READERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".md": markdown,
    ".py": python,
    ".tf": terraform,
    ".tfvars": terraform,
}


def findings(name: str, source: str) -> Iterator[str]:
    """Yield what is wrong with the prose of one file, a line each."""
    lines: list[str] = []
    numbers: list[int] = []
    for block in READERS[Path(name).suffix](source):
        for number, line in enumerate(block.text.split("\n")):
            lines.append(line)
            numbers.append(block.line + number)
        lines.append("")
        numbers.append(block.line)
    checks = DEFAULT["checks"] | {"ours": True} | dict.fromkeys(RULES["off"], False)
    enabled = dict(sorted(checks.items(), key=lambda item: -item[0].count(".")))
    file = LintFile(name, "\n".join(lines) or " ")
    for found in file.lint({"max_errors": 1000, "checks": enabled}):
        # The match may begin with the end of the line before.
        start, end = found.check_result.span
        shown = start + len(file.content[start:end]) - len(file.content[start:end].lstrip(".:;!? \n"))
        line = numbers[min(file.content.count("\n", 1, shown), len(numbers) - 1)]
        yield f"{name}:{line}: {' '.join(found.check_result.message.split())} ({found.check_result.check_path})"


def _shown(path: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def main() -> int:
    """Check the files; return the process's exit status."""
    _register()
    listed = [
        path for glob in RULES["paths"] for path in sorted(ROOT.glob(glob)) if _shown(path) not in RULES["not_checked"]
    ]
    files = [Path(name) for name in sys.argv[1:]] or listed
    found = [line for path in files for line in findings(_shown(path), path.read_text(encoding="utf-8"))]
    sys.stdout.write("".join(f"{line}\n" for line in found) + f"{len(files)} files, {len(found)} findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
