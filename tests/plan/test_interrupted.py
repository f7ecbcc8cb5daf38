"""An apply that Ctrl-C interrupts: the next one continues from there, and nothing that was created is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ops.terraform import Terraform

if TYPE_CHECKING:
    from collections.abc import Callable

    import tftest

pytestmark = pytest.mark.plan

NAME = "payment-interrupted"
# When to press Ctrl-C: at a message about a type; and the type that Terraform waits for then, though AWS has it.
MOMENTS = [
    (("apply_complete", "aws_api_gateway_deployment"), "aws_kms_key"),
    (("apply_progress", "aws_sqs_queue"), "aws_sqs_queue"),
    (("apply_start", "aws_lambda_function"), "aws_lambda_function"),
]


class Root:
    """A root that is applied, with its state away from the checkout."""

    def __init__(self, test: tftest.TerraformTest, folder: Path) -> None:
        self._test, self._state = test, folder / "terraform.tfstate"
        self._options = ["-input=false", f"-state={self._state}", f"-var=package={folder / 'function.zip'}"]
        self.diagnostics: list[str] = []

    def apply(self, until: tuple[str, str] | None = None) -> int:
        """Apply, at some moment with what a terminal sends at Ctrl-C. Return the exit status."""
        self.diagnostics.clear()
        with self._started("apply", "-json", "-auto-approve") as process:
            for message in map(json.loads, process.stdout or ()):
                if message["type"] == "diagnostic":
                    self.diagnostics.append(message["@message"])
                if until == (message["type"], message.get("hook", {}).get("resource", {}).get("resource_type")):
                    if until == ("apply_start", "aws_lambda_function"):
                        self._wait_until_the_function_exists()
                    os.killpg(process.pid, signal.SIGINT)
                    until = None
        assert until is None, f"Terraform never said {until}: {self.diagnostics}"
        return process.returncode

    def tainted(self) -> set[str]:
        """Return the types of the resources that Terraform considers partly created."""
        resources: list[dict[str, Any]] = self._read()["resources"]
        found = [(resource["type"], instance) for resource in resources for instance in resource["instances"]]
        return {type_ for type_, instance in found if instance.get("status") == "tainted"}

    def missing(self) -> list[str]:
        """Look up every resource in the state, and return the addresses of those that AWS does not have."""
        with self._started("plan", "-json") as process:
            told = [json.loads(line) for line in process.stdout or ()]
        assert process.returncode == 0
        changes = [message["change"] for message in told if message["type"] == "planned_change"]
        return [change["resource"]["addr"] for change in changes if change["action"] in {"create", "replace"}]

    def taint(self, type_: str) -> None:
        """Write into the state that the resources of a type are only partly created."""
        state = self._read()
        for resource in state["resources"]:
            for instance in resource["instances"] if resource["type"] == type_ else ():
                instance["status"] = "tainted"
        self._state.write_text(json.dumps(state), encoding="utf-8")

    def make_up(self) -> None:
        """Apply as the local stack is applied."""
        variables = self._state.with_name("values.tfvars.json")
        variables.write_text(json.dumps({"package": str(self._state.with_name("function.zip"))}), encoding="utf-8")
        data_dir, root = Path(self._test.env["TF_DATA_DIR"]), Path(self._test.tfdir)
        terraform = Terraform(self._test.env, variables, data_dir, self._state, root=root, refresh=False)
        terraform.apply(lambda _done, _total: None)

    def gateway_response(self) -> dict[str, str]:
        """Return what the API answers if a request is refused."""
        (api,) = [made for made in self._read()["resources"] if made["type"] == "aws_api_gateway_rest_api"]
        client = boto3.client("apigateway", **reached(self._test.env))
        found = client.get_gateway_response(
            restApiId=api["instances"][0]["attributes"]["id"], responseType="DEFAULT_4XX"
        )
        templates: dict[str, str] = found["responseTemplates"]
        assert templates
        return templates

    def _read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        return state

    def _started(self, command: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["terraform", command, *options, *self._options],
            cwd=self._test.tfdir,
            env=self._test.env,
            stdout=subprocess.PIPE,
            text=True,
            # Terraform and its providers are a group of their own, as a shell makes one.
            start_new_session=True,
        )

    def _wait_until_the_function_exists(self) -> None:
        boto3.client("lambda", **reached(self._test.env)).get_waiter("function_exists").wait(FunctionName=NAME)


def reached(environment: dict[str, str]) -> dict[str, Any]:
    """A client's arguments."""
    return {
        "region_name": "ap-southeast-1",
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        "verify": environment["AWS_CA_BUNDLE"],
    }


def test_an_interrupted_apply_is_healed_by_the_next_one(
    small_root: Callable[[str], tftest.TerraformTest], tmp_path: Path
) -> None:
    root = Root(small_root("tests/plan/terraform/interrupted"), tmp_path)
    for moment, tainted in MOMENTS:
        assert root.apply(until=moment) == 1
        assert root.tainted() == {tainted}, root.diagnostics
    assert root.apply() == 0, root.diagnostics
    assert root.tainted() == set()
    assert root.missing() == []
    # A part of the API that is tainted outlives the next make up. Terraform alone would put it over itself, and then
    # delete it.
    there = root.gateway_response()
    root.taint("aws_api_gateway_gateway_response")
    root.make_up()
    assert root.tainted() == set()
    assert root.gateway_response() == there
    assert root.missing() == []
