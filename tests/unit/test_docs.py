"""What is generated is fresh, and what is linked is there."""

import re
import subprocess
import sys

import pytest

from local import ROOT


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


def test_every_runbook_that_an_alarm_names_is_there() -> None:
    alarms = (ROOT / "modules/monitoring/alarms.tf").read_text()
    named = set(re.findall(r'runbook\s*=\s*"([a-z0-9-]+)"', alarms))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / "docs/runbooks" / f"{name}.md").exists()] == []
