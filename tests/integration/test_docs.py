"""Generated files are up to date, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cost import metrics
from local import ROOT
from local.hcl import Module
from payments.handlers import reconciler

MONITORING = Module(ROOT / "modules/monitoring")


@pytest.mark.parametrize("script", ["docs/openapi.py", "docs/picture.py", "docs/tables.py"])
def test_generated_files_are_fresh(script: str) -> None:
    checked = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_every_module_has_a_readme_with_its_tables() -> None:
    modules = sorted(path.name for path in (ROOT / "modules").iterdir() if (path / "main.tf").exists())
    assert modules == [
        *(
            "apigw",
            "backup",
            "dynamodb",
            "eventbus",
            "kms",
            "lambda",
            "monitoring",
            "network",
            "sns",
            "sqs",
            "webhooks",
        ),
    ]
    for module in modules:
        readme = (ROOT / "modules" / module / "README.md").read_text()
        assert "### Inputs" in readme
        assert "### Outputs" in readme


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
    links = [
        (page, file, anchor)
        for page in pages
        for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text())
    ]
    assert len(links) > 10
    targets = [(page, page.parent / file if file else page, anchor) for page, file, anchor in links]
    assert [(page.name, target) for page, target, _ in targets if not target.exists()] == []
    assert [
        (page.name, target, anchor) for page, target, anchor in targets if anchor and anchor not in anchors(target)
    ] == []


ADDRESS = re.compile(r"(?:module\.(\w+)(?:\[[^]]*\])?\.)?(aws_\w+)\.(\w+)")


def test_every_address_that_a_page_gives_is_in_the_configuration() -> None:
    """Someone copies it into `terraform import` or `terraform state rm`, on a bad day."""
    files: dict[str | None, str] = {None: "".join(file.read_text() for file in ROOT.glob("*.tf"))}
    for module, folder in re.findall(r'^module "(\w+)" \{\n  source += "./(modules/\w+)"', files[None], re.MULTILINE):
        files[module] = "".join(file.read_text() for file in (ROOT / folder).glob("*.tf"))
    # The modules' pages have examples of their own, with their own keys.
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md"), ROOT / "README.md", ROOT / "modules/apigw/README.md"]
    given = [
        (page.name, module or None, type_, name)
        for page in pages
        for module, type_, name in ADDRESS.findall(page.read_text())
        if name != "example"
    ]
    assert len(given) > 5
    assert [found for found in given if f'resource "{found[2]}" "{found[3]}"' not in files.get(found[1], "")] == []


def test_every_alarm_has_its_runbook_and_every_runbook_its_alarm() -> None:
    modules = [MONITORING, Module(ROOT / "modules/webhooks"), Module(ROOT / "modules/eventbus")]
    named = {name for module in modules for name in module.entries("runbook") if "." not in name}
    composite = MONITORING.attribute("resource", "aws_cloudwatch_composite_alarm", "flow", name="alarm_description")
    named.add(Path(composite.split()[-1]).stem)
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert len(pages) > 10
    assert named == pages


def test_every_log_message_that_a_runbook_names_is_one_that_the_code_logs() -> None:
    code = "\n".join(file.read_text() for file in (ROOT / "src/payments").rglob("*.py"))
    named = {
        (page.name, " ".join(f"{searched}{quoted}".split()))
        for page in (ROOT / "docs/runbooks").glob("*.md")
        for searched, quoted in re.findall(r'message = "([^"]+)"|`((?:a|an|the|not) [^`]+)`', page.read_text())
    }
    # The number of an answer is an expression in the code.
    logged = {(page, text) for page, text in named if f'"{text}"' in code or f'"{text.rpartition(" ")[0]} {{' in code}
    assert len(named) > 5
    assert named - logged == set()


def test_every_threshold_has_its_reason() -> None:
    defaults = _defaults(MONITORING, "thresholds")
    readme = (ROOT / "modules/monitoring/README.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| ([0-9.]+)[^|]* \| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE)
    assert len(defaults) > 10
    assert {name: float(default) for name, default, _, _ in told} == defaults
    # A reason is a sentence, not a word.
    assert [name for name, _, _, why in told if len(why.split()) < 5] == []


def test_the_root_has_the_defaults_of_the_module() -> None:
    """They are written twice, for people who read the root, so they must not differ."""

    for name in ("objectives", "thresholds"):
        assert _defaults(Module(ROOT), name) == _defaults(MONITORING, name) != {}


def _defaults(module: Module, variable: str) -> dict[str, float]:
    return {name: float(module.default(variable, name)) for name in module.optional(variable)}


def test_every_metric_is_documented() -> None:
    names = metrics((ROOT / "src/payments").rglob("*.py"))
    names |= {f"Reconciler{name.capitalize()}" for name in reconciler.MEASURED}
    page = (ROOT / "docs/observability.md").read_text()
    rows = [row.split("|") for row in page.split("## Metrics", 1)[1].split("## Traces", 1)[0].splitlines()]
    told = {name for row in rows if len(row) > 2 for name in re.findall(r"`([A-Z]\w+)`", row[1])}
    assert len(names) > 15
    assert told == names


def test_each_answer_to_where_do_i_find_names_two_files_at_most_and_what_they_hold() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    section = page.split("## Where do I find", 1)[1].split("\n## ", 1)[0]
    answers = re.findall(r"^\| ([^|]+\?) \| ([^|]+) \|$", section, re.MULTILINE)
    assert len(answers) == 12
    for question, answer in answers:
        files = re.findall(r"\[[^]]+\]\(\.\./([^)]+)\)([^[]*)", answer)
        assert 1 <= len(files) <= 2, question
        for file, rest in files:
            text = (ROOT / file).read_text()
            assert [symbol for symbol in re.findall("`([^`]+)`", rest) if symbol not in text] == [], (question, file)
        assert "`" in files[0][1], question


def test_the_readme_has_the_costs_of_the_cost_page() -> None:
    def figures(section: str, row: str) -> str:
        page = (ROOT / "docs/cost.md").read_text().split(f"<!-- begin {section} -->", 1)[1]
        (found,) = re.findall(rf"^\| {row} \| ([0-9.]+) \|", page.split("<!-- end", 1)[0], re.MULTILINE)
        return str(found)

    readme = (ROOT / "README.md").read_text()
    for label, row in (("idle, a month", "idle, a month"), ("a million payments", "1,000,000 payments")):
        assert f"| {label} | {figures('dev', row)} | {figures('prod', row)} |" in readme
    assert f"[{float(figures('prod', '1,000,000 payments')):.0f} USD](docs/cost.md)" in readme


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list() -> None:
    folder = ROOT / "docs/decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    numbers = [name[:4] for name in records]
    assert sorted(set(numbers)) == numbers
    titles = {name: (folder / name).read_text().split("\n", 1)[0] for name in records}
    for name, title in titles.items():
        assert title.startswith(f"# {int(name[:4])}. "), name
    listed = re.findall(r"^\| \[(\d+)\]\(([^)]+)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    assert [(name, f"# {number}. {title}") for number, name, title in listed] == list(titles.items())
