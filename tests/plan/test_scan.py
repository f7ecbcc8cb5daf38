"""Run checkov on plans with their values: prod, every option, webhooks. `make check` runs it on the HCL."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local import ROOT
from tests.support.plan import with_unknowns_named

pytestmark = pytest.mark.plan

# Every skip is a debt: a new one must also be listed here.
SKIPS = 26
SKIP = re.compile(r"#\s*checkov:skip=(?P<check>[A-Z0-9_]+)(?P<reason>:.*)?$")


def skips() -> list[tuple[str, re.Match[str]]]:
    sources = [*ROOT.glob("*.tf"), *ROOT.glob("modules/**/*.tf"), *ROOT.glob("bootstrap/*.tf")]
    sources += ROOT.glob("examples/**/*.tf")
    return [
        (f"{file.relative_to(ROOT)}:{number}", found)
        for file in sorted(sources)
        if ".terraform" not in file.parts
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if "checkov:skip" in line and (found := SKIP.search(line.strip()))
    ]


def test_every_skip_has_its_reason_on_its_line() -> None:
    found = skips()
    assert len(found) == SKIPS
    # A reason is a sentence, not a word.
    assert [where for where, skip in found if len((skip["reason"] or ":")[1:].split()) < 5] == []


@pytest.mark.parametrize("environment", ["prod", "options", "webhooks"])
def test_a_plan_has_no_finding(root_plan: Any, tmp_path: Path, environment: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(with_unknowns_named(root_plan(environment))), encoding="utf-8")
    command: list[str | Path] = [
        ROOT / "build" / "venv-scan" / "bin" / "checkov",
        *(
            "--file",
            file,
            "--framework",
            "terraform_plan",
            "--skip-download",
            "--compact",
            "--quiet",
            "--output",
            "json",
        ),
        # The skips are in the HCL, next to the resources that they concern.
        *("--repo-root-for-plan-enrichment", ROOT),
    ]
    scanned = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    told = json.loads(scanned.stdout)
    failed = [(check["check_id"], check["resource"]) for check in told["results"]["failed_checks"]]
    assert told["summary"]["passed"] > 100
    assert not failed, "\n".join(f"{check} {resource}" for check, resource in failed)
