"""Plans of the root and of the modules, without an AWS account: the embedded AWS answers the data sources."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tftest

from local import ROOT
from local.mirror import cli_config
from local.server import EmbeddedAWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plan.graph import Plan


@pytest.fixture(scope="session")
def terraform_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What Terraform needs around it to plan against an embedded AWS."""
    folder = tmp_path_factory.mktemp("plans")
    config = cli_config(folder)
    with EmbeddedAWS(folder / "aws", auth=False) as aws:
        added = aws.environment() | ({"TF_CLI_CONFIG_FILE": str(config)} if config else {})
        added |= {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        yield dict(os.environ) | added


@pytest.fixture(scope="session")
def initialised(terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The root, initialised in a data folder of the tests' own."""
    environment = terraform_environment | {"TF_DATA_DIR": str(tmp_path_factory.mktemp("root"))}
    subprocess.run(
        ["terraform", "init", "-input=false", "-backend=false"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    return environment


@pytest.fixture(scope="session")
def root_plan(initialised: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """Plan the root for an environment; each plan is made once."""
    folder = tmp_path_factory.mktemp("root-plans")

    @cache
    def plan(environment: str) -> Plan:
        file = folder / environment
        state = f"-state={folder / 'none.tfstate'}"
        command = [
            "terraform",
            "plan",
            "-input=false",
            "-no-color",
            state,
            f"-var-file=env/{environment}.tfvars",
            f"-out={file}",
        ]
        made = subprocess.run(command, cwd=ROOT, env=initialised, check=False, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        shown = subprocess.run(
            ["terraform", "show", "-json", str(file)],
            cwd=ROOT,
            env=initialised,
            check=True,
            capture_output=True,
            text=True,
        )
        planned: Plan = json.loads(shown.stdout)
        return planned

    return plan


@pytest.fixture(scope="session")
def root_errors(
    initialised: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, Any]], str]:
    """Plan the root with values that it refuses, and return what it says."""
    folder = tmp_path_factory.mktemp("root-errors")

    def plan(values: dict[str, Any]) -> str:
        file = folder / "bad.tfvars.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        command = [
            "terraform",
            "plan",
            "-input=false",
            "-no-color",
            f"-state={folder / 'none.tfstate'}",
            f"-var-file={file}",
        ]
        made = subprocess.run(command, cwd=ROOT, env=initialised, check=False, capture_output=True, text=True)
        assert made.returncode == 1, made.stdout
        return said(made.stderr)

    return plan


def said(text: str) -> str:
    """Return Terraform's message in one line, without the frame that it draws."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(scope="session")
def module_test(
    terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tftest.TerraformTest]:
    """Initialise a module's example and return it, to be planned."""

    @cache
    def example(module: str) -> tftest.TerraformTest:
        environment = terraform_environment | {"TF_DATA_DIR": str(tmp_path_factory.mktemp(module))}
        test = tftest.TerraformTest(f"modules/{module}/examples/basic", basedir=str(ROOT), env=environment)
        test.init(input=False)
        return test

    return example


@pytest.fixture(scope="session")
def module_plan(module_test: Callable[[str], tftest.TerraformTest]) -> Callable[..., Plan]:
    """Plan a module's example, with variables of the example's own; each plan is made once."""

    @cache
    def plan(module: str, **variables: str) -> Plan:
        planned: Plan = module_test(module).plan(output=True, tf_vars=variables)._raw  # noqa: SLF001 - the whole of it
        return planned

    return plan


@pytest.fixture
def changed_example(
    terraform_environment: dict[str, str], tmp_path: Path
) -> Callable[[str, str, str], tftest.TerraformTest]:
    """Return a module's example with one more, or another, argument of the module."""

    def changed(module: str, argument: str, value: str) -> tftest.TerraformTest:
        text = (ROOT / "modules" / module / "examples" / "basic" / "main.tf").read_text(encoding="utf-8")
        head, body = text.split('  source = "../.."\n', 1)
        kept: list[str] = []
        open_braces = 0
        for line in body.splitlines():
            if open_braces or line.startswith(f"  {argument} "):
                open_braces += sum(line.count(brace) for brace in "{[(") - sum(line.count(brace) for brace in ")]}")
            else:
                kept.append(line)
        # By a relative path: Terraform takes an absolute one for a package, whose modules must not look out of it.
        (tmp_path / "modules").symlink_to(ROOT / "modules")
        source = f'  source = "./modules/{module}"\n  {argument} = {value}\n'
        (tmp_path / "main.tf").write_text(head + source + "\n".join(kept) + "\n", encoding="utf-8")
        test = tftest.TerraformTest(str(tmp_path), env=terraform_environment)
        test.init(input=False)
        return test

    return changed
