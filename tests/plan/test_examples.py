"""Apply every module's example to the embedded AWS, all in one run: a plan that works can also be applied."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from local import ROOT
from local.hcl import Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.plan import Plan

pytestmark = pytest.mark.plan

MODULES = sorted(folder.name for folder in (ROOT / "modules").iterdir())


# What the embedded AWS lacks (docs/embedded-aws.md): the argument that the example's module gets instead, and the
# resources that are then not created.
GAPS = {
    "backup": ("lock = null", {"aws_backup_vault_lock_configuration"}),
    "monitoring": ("saved_queries = false", {"aws_cloudwatch_query_definition"}),
    "network": (
        'nat = { mode = "gateway" }',
        {"aws_autoscaling_group", "aws_launch_template", "aws_network_interface"},
    ),
}


@pytest.fixture(scope="module")
def applied(terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Apply a root that calls every example; return each module's resource types afterwards."""
    folder = tmp_path_factory.mktemp("examples")
    calls = [f'module "{name}" {{\n  source = "./modules/{name}/examples/basic"\n}}\n' for name in MODULES]
    (folder / "main.tf").write_text("\n".join(calls), encoding="utf-8")
    shutil.copytree(ROOT / "modules", folder / "modules", ignore=shutil.ignore_patterns(".terraform*"))
    (folder / "src").symlink_to(ROOT / "src")
    for name, (argument, _) in GAPS.items():
        example = folder / "modules" / name / "examples" / "basic"
        ((called,),) = (block.name_labels for block in Module(example).blocks("module"))
        (example / "gap_override.tf").write_text(f'module "{called}" {{\n  {argument}\n}}\n', encoding="utf-8")

    def run(*command: str) -> str:
        ran = subprocess.run(
            ["terraform", *command], cwd=folder, env=terraform_environment, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("init", "-input=false", "-no-color")
    run("apply", "-input=false", "-no-color", "-auto-approve")
    state: dict[str, Any] = json.loads(run("show", "-json"))
    return {
        called["address"].removeprefix("module."): {
            resource["type"]
            for module in called["child_modules"]
            for resource in module.get("resources", [])
            if resource["mode"] == "managed" and not resource.get("tainted")
        }
        for called in state["values"]["root_module"]["child_modules"]
    }


@pytest.mark.parametrize("module", MODULES)
def test_what_an_example_plans_is_made(
    applied: dict[str, set[str]], module_plan: Callable[[str], Plan], module: str
) -> None:
    (planned,) = module_plan(module)["planned_values"]["root_module"]["child_modules"]
    _, lacking = GAPS.get(module, ("", set()))
    assert {resource["type"] for resource in planned["resources"]} - applied[module] == lacking
