"""Plans of the root and of the modules, without an AWS account: the embedded AWS answers the data sources."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import portalocker
import pytest
import tftest

from local import ROOT
from local.mirror import cli_config
from local.server import ACCOUNT_ID, EmbeddedAWS
from tests.support.plan import Cases, message_of, with_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.plan import Plan

# How long a process waits for the plan that another one makes.
PATIENCE_SECONDS = 300


@pytest.fixture(scope="session")
def terraform_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that Terraform needs to plan against an embedded AWS."""
    folder = tmp_path_factory.mktemp("plans")
    config = cli_config(folder)
    with EmbeddedAWS(folder / "aws", auth=False) as aws:
        added = aws.environment() | ({"TF_CLI_CONFIG_FILE": str(config)} if config else {})
        added |= {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        # Several processes may plan a root at once, and a plan changes nothing.
        added["TF_CLI_ARGS_plan"] = "-lock=false"
        # Terraform and the provider spend a fifth of a plan on collecting garbage (docs/decisions/0050).
        added["GOGC"] = "400"
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        yield dict(os.environ) | added


@pytest.fixture(scope="session")
def initialised(terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The root, initialised in the tests' own data folder."""
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
    """Plan the root for an environment, or with the options in a file in this folder.

    Each plan is made once, for all processes of a parallel run.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "root-plans"
    folder.mkdir(exist_ok=True)

    @cache
    def plan(environment: str) -> Plan:
        shown = folder / f"{environment}.json"
        with portalocker.Lock(folder / f"{environment}.lock", timeout=PATIENCE_SECONDS):
            if not shown.exists():
                shown.write_text(plan_of_root(environment, folder, initialised), encoding="utf-8")
        planned: Plan = json.loads(shown.read_text(encoding="utf-8"))
        return planned

    return plan


def plan_of_root(environment: str, folder: Path, variables: dict[str, str]) -> str:
    """Plan the root with the environment's file, and return the plan as Terraform shows it in JSON."""
    file = folder / environment
    values = ROOT / "env" / f"{environment}.tfvars"
    if not values.exists():
        values = Path(__file__).with_name(f"{environment}.tfvars")
    state = f"-state={folder / 'none.tfstate'}"
    for command in (
        ["plan", "-input=false", "-no-color", state, f"-var-file={values}", f"-out={file}"],
        ["show", "-json", str(file)],
    ):
        ran = subprocess.run(
            ["terraform", *command], cwd=ROOT, env=variables, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def small_root(
    terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tftest.TerraformTest]:
    """Initialise a small root, with its data folder and state outside the checkout."""

    @cache
    def initialised(folder: str) -> tftest.TerraformTest:
        environment = terraform_environment | {"TF_DATA_DIR": str(tmp_path_factory.mktemp(Path(folder).name))}
        test = tftest.TerraformTest(folder, basedir=str(ROOT), env=environment)
        test.init(input=False)
        return test

    return initialised


@pytest.fixture(scope="session")
def root_said(
    initialised: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, Any], str], tuple[int, str]]:
    """Plan the root with some values in an account, and return the exit status and the output."""
    folder = tmp_path_factory.mktemp("root-values")

    def plan(values: dict[str, Any], account: str) -> tuple[int, str]:
        file = folder / "values.tfvars.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        command = [
            "terraform",
            "plan",
            "-input=false",
            "-no-color",
            f"-state={folder / 'none.tfstate'}",
            f"-var-file={file}",
        ]
        # The embedded AWS treats a key of twelve digits as the caller's account.
        environment = initialised | {"AWS_ACCESS_KEY_ID": account}
        made = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        return made.returncode, message_of(made.stderr)

    return plan


@pytest.fixture(scope="session")
def root_errors(root_said: Callable[[dict[str, Any], str], tuple[int, str]]) -> Callable[..., str]:
    """Plan the root with values that it refuses, and return the messages."""

    def plan(values: dict[str, Any], account: str = ACCOUNT_ID) -> str:
        status, told = root_said(values, account)
        assert status == 1, "accepted"
        return told

    return plan


@pytest.fixture(scope="session")
def root_accepts(root_said: Callable[[dict[str, Any], str], tuple[int, str]]) -> Callable[..., None]:
    """Plan the root with values that it must accept."""

    def plan(values: dict[str, Any], account: str = ACCOUNT_ID) -> None:
        status, told = root_said(values, account)
        assert status == 0, told

    return plan


@pytest.fixture(scope="session")
def module_test(
    terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tftest.TerraformTest]:
    """Initialise a module's example, ready to plan."""

    @cache
    def example(module: str) -> tftest.TerraformTest:
        environment = terraform_environment | {"TF_DATA_DIR": str(tmp_path_factory.mktemp(module))}
        test = tftest.TerraformTest(f"modules/{module}/examples/basic", basedir=str(ROOT), env=environment)
        test.init(input=False)
        return test

    return example


@pytest.fixture(scope="session")
def module_plan(module_test: Callable[[str], tftest.TerraformTest]) -> Callable[..., Plan]:
    """Plan a module's example with values for its variables; each plan is made once."""

    @cache
    def plan(module: str, **variables: str) -> Plan:
        planned: Plan = module_test(module).plan(output=True, tf_vars=variables)._raw  # noqa: SLF001 - the whole of it
        return planned

    return plan


@pytest.fixture(scope="session")
def module_cases(
    terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Cases], Plan]:
    """Plan several cases of a module's example at once: each case's resources are in the module of its name."""

    def planned(module: str, cases: Cases) -> Plan:
        folder = tmp_path_factory.mktemp(f"{module}-cases")
        (folder / "modules").symlink_to(ROOT / "modules")
        (folder / "main.tf").write_text(with_cases(module, cases), encoding="utf-8")
        test = tftest.TerraformTest(str(folder), env=terraform_environment)
        test.init(input=False)
        try:
            plan: Plan = test.plan(output=True)._raw  # noqa: SLF001 - the whole of it
        except tftest.TerraformTestError as error:
            # The message starts with the whole plan.
            pytest.fail(message_of(str(error.args[-1])))
        return plan

    return planned


@pytest.fixture
def module_refusals(terraform_environment: dict[str, str], tmp_path: Path) -> Callable[[str, Cases], dict[str, str]]:
    """Plan several cases that a module must refuse; return Terraform's messages for each."""
    (tmp_path / "modules").symlink_to(ROOT / "modules")

    def once(module: str, cases: Cases) -> dict[str, str]:
        (tmp_path / "main.tf").write_text(with_cases(module, cases), encoding="utf-8")
        test = tftest.TerraformTest(str(tmp_path), env=terraform_environment)
        test.init(input=False)
        with pytest.raises(tftest.TerraformTestError) as raised:
            test.plan()
        errors = message_of(" ".join(map(str, raised.value.args))).split("Error: ")
        return {case: " ".join(error for error in errors if f'in module "{case}"' in error) for case in cases}

    def refused(module: str, cases: Cases) -> dict[str, str]:
        told = once(module, cases)
        # If one variable is invalid by itself, Terraform stops before it compares variables with each other.
        silent = {case: arguments for case, arguments in cases.items() if not told[case]}
        return told | (once(module, silent) if silent else {})

    return refused
