"""Another function and another gateway, in a copy of the repository: each is one file of code and one entry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from local import ROOT
from tests.support.plan import Plan, resources, statements

pytestmark = pytest.mark.plan

HANDLER = '''"""Expire payments that nobody has charged."""

from payments.runtime.handler import function, wire_once


@wire_once
def wired() -> None:
    """Return nothing: there is nothing to wire."""


@function
def handler(event: object, context: object) -> None:
    """Do nothing."""
'''
FUNCTION = """
    expirer = {
      description = "Expires payments that nobody has charged."
      environment = { TABLE_NAME = local.table_name }
      statements  = { expire = { actions = ["dynamodb:UpdateItem"], resources = [local.table_arn] } }
      key_uses    = { key = local.key_uses.dynamodb }
      schedule    = "rate(1 hour)"
    }
"""
GATEWAY = """
    acme = { secrets = { key = "Acme's API key" } }
"""
SUFFIX = "add"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with a function and a gateway more: two new files, and an entry in each of two maps."""
    copy = tmp_path_factory.mktemp("additions") / "payments"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / "build").mkdir()
    (copy / "build" / "layer").symlink_to(ROOT / "build" / "layer")
    (copy / "src/payments/handlers/expirer.py").write_text(HANDLER, encoding="utf-8")
    shutil.copy(ROOT / "docs/another_gateway.py", copy / "src/payments/gateways/acme.py")
    _add(copy / "functions.tf", "  functions = {", FUNCTION)
    _add(copy / "gateway.tf", "  gateways = {", GATEWAY)
    return copy


def _add(file: Path, after: str, entry: str) -> None:
    before, found, rest = file.read_text(encoding="utf-8").partition(f"\n{after}\n")
    assert found
    file.write_text(f"{before}{found}{entry}{rest}", encoding="utf-8")


@pytest.fixture(scope="module")
def plan(copy: Path, terraform_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("additions-plan")
    environment = terraform_environment | {"TF_DATA_DIR": str(folder / "data")}
    values = {"environment_suffix": SUFFIX, "gateway": "acme", "network": {"nat": {"mode": "gateway"}}}
    (folder / "values.tfvars.json").write_text(json.dumps(values), encoding="utf-8")

    def terraform(*arguments: str) -> str:
        ran = subprocess.run(
            ["terraform", *arguments], cwd=copy, env=environment, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    terraform("init", "-input=false", "-backend=false")
    variables, file = f"-var-file={folder / 'values.tfvars.json'}", str(folder / "plan")
    terraform("plan", "-input=false", "-no-color", f"-state={folder / 'none.tfstate'}", variables, f"-out={file}")
    planned: Plan = json.loads(terraform("show", "-json", file))
    return planned


def environments(plan: Plan) -> dict[str, dict[str, str]]:
    return {
        resource["values"]["handler"].split(".")[2]: resource["values"]["environment"][0].get("variables", {})
        for resource in resources(plan, "aws_lambda_function")
    }


def allowed(plan: Plan, action: str) -> dict[str, list[str]]:
    """Who may do something, and with what."""
    return {
        address.split('"')[1]: statement["Resource"]
        for address, statement in statements(plan, "aws_iam_role_policy")
        if action in statement["Action"] and address.startswith("module.function")
    }


def test_a_function_is_there_with_all_that_every_function_has(plan: Plan) -> None:
    of_it = [resource for resource in resources(plan) if 'module.function["expirer"]' in resource["address"]]
    found = {resource["type"] for resource in of_it}
    others = [resource for resource in resources(plan) if 'module.function["reconciler"]' in resource["address"]]
    assert found == {resource["type"] for resource in others} >= {"aws_cloudwatch_log_group", "aws_iam_role"}
    name = f"payment-expirer-{SUFFIX}"
    assert environments(plan)["expirer"]["POWERTOOLS_SERVICE_NAME"] == "expirer"
    alarms = [resource["values"]["alarm_name"] for resource in resources(plan, "aws_cloudwatch_metric_alarm")]
    assert {f"payment-expirer-{what}-{SUFFIX}" for what in ("errors", "throttles")} <= set(alarms)
    (dashboard,) = resources(plan, "aws_cloudwatch_dashboard")
    assert name in dashboard["values"]["dashboard_body"]


def test_a_gateway_is_called_by_its_name_with_its_key(plan: Plan) -> None:
    callers = {function: values for function, values in environments(plan).items() if "GATEWAY" in values}
    assert callers.keys() == {"processor", "reconciler"}
    for values in callers.values():
        assert (values["GATEWAY"], values["SECRET_NAME"]) == ("acme", f"payment-acme-key-{SUFFIX}")
        assert int(values["GATEWAY_TIMEOUT_SECONDS"]) > 0
    made = {resource["values"]["name"] for resource in resources(plan, "aws_secretsmanager_secret")}
    assert made == {f"payment-acme-key-{SUFFIX}"}
    readers = allowed(plan, "secretsmanager:GetSecretValue")
    assert readers.keys() == {"processor", "reconciler"}
    assert {arn.rsplit(":", 1)[1] for arns in readers.values() for arn in arns} == {f"payment-acme-key-{SUFFIX}-??????"}
    outputs: Any = plan["planned_values"]["outputs"]
    assert set(outputs["internet_functions"]["value"]) == {"processor", "reconciler"}
    assert not [name for name in environments(plan) if name.startswith("stripe")]


def test_the_zip_has_both_and_no_other_gateway(copy: Path, plan: Plan) -> None:
    (file,) = {resource["values"]["filename"] for resource in resources(plan, "aws_lambda_function")}
    with ZipFile(copy / file) as packed:
        names = set(packed.namelist())
    assert {"payments/handlers/expirer.py", "payments/gateways/acme.py"} <= names
    assert not [name for name in names if "stripe" in name or "simulator" in name]


def run(copy: Path, code: str, **environment: str) -> str:
    environment |= {"PATH": os.defpath, "PYTHONPATH": f"{copy / 'src'}:{copy}"}
    environment |= {"AWS_DEFAULT_REGION": "ap-southeast-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_gateway_is_loaded_by_its_name(copy: Path) -> None:
    said = run(
        copy,
        "from payments.gateways import registry; print(*registry.names(), type(registry.chosen(None)).__name__)",
        GATEWAY="acme",
        GATEWAY_TIMEOUT_SECONDS="20",
        SECRET_NAME="payment-acme-key-add",
        SECRET_TTL_SECONDS="300",
    )
    assert said == "acme simulator stripe AcmeGateway"


def test_the_tools_take_both_by_their_names(copy: Path) -> None:
    """The benchmarks start every function; the operator's commands try a stack by what its gateway offers."""
    code = (
        "from bench.offline import FUNCTIONS; from ops.payment import methods_of; from ops.stack import Stack\n"
        "print('expirer' in FUNCTIONS, methods_of(Stack({'gateway': {'name': 'acme'}})))"
    )
    assert run(copy, code) == "True {}"


def test_the_doctor_looks_after_the_gateway_by_what_the_stack_says(copy: Path, plan: Plan) -> None:
    outputs: Any = plan["planned_values"]["outputs"]
    secret = f"payment-acme-key-{SUFFIX}"
    said = {"comparer_function_name": None, "name": "acme", "secret_names": {"key": secret}, "webhook_url": None}
    assert outputs["gateway"]["value"] == said
    code = (
        "from types import SimpleNamespace as N; from ops import doctor\n"
        f"stack = N(outputs={{'gateway': {said}}}, client=lambda _: N(describe_secret=lambda SecretId: {{}}))\n"
        "print(*[(found.check, found.verdict, found.detail) for found in doctor._gateway(N(stack=stack))])"
    )
    assert run(copy, code) == str(("gateway key", "fail", f"{secret} has no value, so payments wait"))


def test_make_up_takes_the_gateway_by_its_name(copy: Path) -> None:
    code = (
        "from ops import running; from ops.commands.stack import _chosen_gateway; place = running.Place()\n"
        "running.choose_gateway(place, _chosen_gateway(place, 'acme'))\n"
        "print(running.gateway(place), running.terraform(place, 'https://e').environment['TF_VAR_gateway'])"
    )
    assert run(copy, code) == "acme acme"
