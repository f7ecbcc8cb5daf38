"""What is generated is fresh, and what is linked is there."""

import re
import subprocess
import sys

import pytest

from bench.cost import metrics
from local import ROOT
from local.hcl import Module

MONITORING = Module(ROOT / "modules/monitoring")


@pytest.mark.parametrize("script", ["docs/openapi.py", "docs/picture.py", "docs/tables.py"])
def test_what_is_generated_is_fresh(script: str) -> None:
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


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("modules/*/README.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())]
    assert len(links) > 10
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_every_alarm_has_its_runbook_and_every_runbook_its_alarm() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "modules").glob("*/*.tf"))
    named = set(re.findall(r'runbook\s*=\s*"([a-z0-9-]+)"|/([a-z0-9-]+)\.md"', sources))
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert len(pages) > 10
    assert {one or other for one, other in named} == pages


def test_every_threshold_has_its_reason() -> None:
    defaults = _defaults(MONITORING, "thresholds")
    readme = (ROOT / "modules/monitoring/README.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| ([0-9.]+)[^|]* \| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE)
    assert len(defaults) > 10
    assert {name: float(default) for name, default, _, _ in told} == defaults
    # A reason is a sentence, not a word.
    assert [name for name, _, _, why in told if len(why.split()) < 5] == []


def test_the_root_has_the_defaults_of_the_module() -> None:
    """They are written twice, for who reads the root; they must not differ."""

    for name in ("objectives", "thresholds"):
        assert _defaults(Module(ROOT), name) == _defaults(MONITORING, name) != {}


def _defaults(module: Module, variable: str) -> dict[str, float]:
    return {name: float(module.default(variable, name)) for name in module.optional(variable)}


def test_every_metric_is_told_of() -> None:
    names = metrics((ROOT / "src/payments").rglob("*.py"))
    handler = (ROOT / "src/payments/handlers/reconciler.py").read_text()
    (outcomes,) = re.findall(r"for name in \(([^)]+)\):\n\s+if counts", handler)
    names |= {f"Reconciler{name.capitalize()}" for name in re.findall(r'"(\w+)"', outcomes)}
    page = (ROOT / "docs/observability.md").read_text()
    rows = [row.split("|") for row in page.split("## Metrics", 1)[1].split("## Traces", 1)[0].splitlines()]
    told = {name for row in rows if len(row) > 2 for name in re.findall(r"`([A-Z]\w+)`", row[1])}
    assert len(names) > 15
    assert told == names
