"""The operator's commands: their messages, the files they leave, and how they recover."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from local import ROOT, LocalError, environments, layer
from local.hcl import Module
from local.tls import AUTHORITY, CERTIFICATE, KEY, make_certificate
from ops import fake_stripe, interrupt, running
from ops.client import Api, Keys
from ops.commands import stack
from ops.display import Display
from ops.stack import Stack
from ops.terraform import Terraform, _Reported
from payments.gateways import registry
from payments.gateways.stripe.events import verify
from tests.support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUTS = {
    "announcements_topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:payment-announcements-local",
    "api_gateway_id": "abc123",
    "api_gateway_url": "https://abc123.execute-api.ap-southeast-1.amazonaws.com/prod",
    "api_stage_name": "prod",
    "region": "ap-southeast-1",
}


@pytest.fixture
def place(tmp_path: Path) -> running.Place:
    return running.Place(tmp_path / "stack")


@pytest.fixture
def a_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process of another program."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def ops(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Environments


def test_an_unknown_environment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        LocalError, match=r"no environment 'staging'. Known environments: dev, local, prod.*env/staging.tfvars"
    ):
        environments.variables("staging")


@pytest.mark.parametrize("command", [["deploy", "--yes"], ["outputs"], ["plan"]])
def test_every_command_refuses_an_unknown_environment(command: list[str]) -> None:
    answer = ops(*command, "--env", "staging")
    assert answer.returncode == 1
    assert "Known environments: dev, local, prod" in answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr


def test_the_local_environment_is_not_deployed_to_an_account() -> None:
    answer = ops("deploy", "--env", "local", "--yes")
    assert answer.returncode == 1
    assert "make deploy ENV=dev or prod" in answer.stderr


def test_a_wrong_option_is_answered_with_the_usage() -> None:
    answer = ops("up", "--port", "0")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(("command", "architecture"), [("up", "arm64"), ("plan", "x86_64"), ("deploy", "x86_64")])
def test_each_command_builds_the_layer_of_its_environment(
    command: str, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "far.tfvars"
    far.write_text('runtime = { architecture = "x86_64" }\n')
    built: list[str] = []
    running_place = running.Place(tmp_path / "stack")

    def enough(*_: object) -> None:
        raise LocalError("far enough")

    monkeypatch.setattr(sys, "argv", ["ops", command])
    monkeypatch.setattr(layer, "variables", lambda env: {"far": far}[env])
    monkeypatch.setattr(layer, "build", lambda _folder, _options, made_for, _group: built.append(made_for))
    monkeypatch.setattr(running, "only_one", nullcontext)
    monkeypatch.setattr(running, "Place", lambda: running_place)
    monkeypatch.setattr(running, "bring_up_server", enough)
    monkeypatch.setattr(stack, "check_variables", lambda _env: None)
    monkeypatch.setattr(stack, "account_terraform", lambda _env: SimpleNamespace(init=enough))
    call = {
        "up": lambda: stack.up(None, ""),
        "plan": lambda: stack.plan("far"),
        "deploy": lambda: stack.deploy("far", yes=True),
    }
    with pytest.raises(LocalError, match="far enough"):
        call[command]()
    assert f"python3.13 on {architecture}" in built


def test_nothing_of_an_account_reaches_the_local_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://elsewhere")
    monkeypatch.setenv("TF_WORKSPACE", "prod")
    monkeypatch.setenv("TF_CLI_ARGS_apply", f"-state={environments.FOLDER}/terraform.tfstate")
    kept = environments.bare_environment()
    assert not [name for name in kept if name.startswith(("AWS_", "TF_WORKSPACE", "TF_CLI_ARGS"))]


def test_an_account_does_not_get_the_local_stacks_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_DATA_DIR", f"{environments.FOLDER}/terraform")
    monkeypatch.setenv("TF_CLI_ARGS_apply", f"-state={environments.FOLDER}/terraform.tfstate")
    monkeypatch.setenv("TF_CLI_ARGS_plan", "-compact-warnings")
    monkeypatch.setenv("AWS_PROFILE", "production")
    kept = environments.outside_environment()
    assert "TF_DATA_DIR" not in kept
    assert "TF_CLI_ARGS_apply" not in kept
    assert kept["TF_CLI_ARGS_plan"] == "-compact-warnings"
    assert kept["AWS_PROFILE"] == "production"


def test_an_operators_own_provider_configuration_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "terraformrc.own"
    own.write_text("provider_installation {\n  direct {}\n}\n")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(own))
    assert environments.provider_environment(tmp_path / "made") == {"TF_CLI_CONFIG_FILE": str(own)}


# The stack from a client's point of view


def test_the_apis_address_is_awss_or_the_embedded_ones() -> None:
    assert Stack(OUTPUTS).api_url == OUTPUTS["api_gateway_url"]
    embedded = Stack(OUTPUTS, "https://127.0.0.1:4566")
    assert embedded.api_url == "https://127.0.0.1:4566/_aws/execute-api/abc123/prod"


def test_a_client_may_invoke_this_api_only() -> None:
    assert Stack(OUTPUTS).stage_arn == "arn:aws:execute-api:ap-southeast-1:000000000000:abc123/prod/*"


class _Recorder:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def request(self, _method: str, _url: str, *, headers: dict[str, str], **_options: object) -> requests.Response:
        self.headers = headers
        answer = requests.Response()
        answer.status_code = 202
        return answer


@pytest.mark.parametrize("keys", [Keys("AKID", "secret"), None])
def test_a_request_is_signed_if_there_are_keys(keys: Keys | None, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = _Recorder()
    monkeypatch.setattr("ops.client.requests", recorder)
    Api("https://127.0.0.1:4566/x", "ap-southeast-1", keys).post({"amount": "1"}, {"Idempotency-Key": "a"})
    signed = recorder.headers.get("Authorization", "")
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKID/") if keys else signed == ""
    assert recorder.headers["Idempotency-Key"] == "a"
    assert recorder.headers["content-type"] == "application/json"


# Remains of earlier runs


def write_state(place: running.Place) -> None:
    place.folder.mkdir(exist_ok=True)
    table = {"mode": "managed", "type": "aws_dynamodb_table", "instances": [{"attributes": {"name": "payments"}}]}
    place.state.write_text(json.dumps({"resources": [table]}))


def write_record(place: running.Place, pid: int, port: int = 4566) -> None:
    place.folder.mkdir(exist_ok=True)
    place.record.write_text(json.dumps({"pid": pid, "port": port}))


def a_dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_nothing_left_is_nothing_to_recover_from(place: running.Place) -> None:
    assert running.remains(place) is None


def test_an_interrupted_run_starts_over(place: running.Place) -> None:
    write_state(place)
    write_record(place, a_dead_pid())
    place.applying.write_text("1")
    assert running.remains(place) == "an earlier run was interrupted while it deployed"


def test_a_state_without_a_server_starts_over(place: running.Place) -> None:
    write_state(place)
    assert running.remains(place) == "an earlier run left a state without a server"


def test_a_server_that_died_without_saving_starts_over(place: running.Place) -> None:
    write_state(place)
    write_record(place, a_dead_pid())
    assert running.remains(place) == "the embedded AWS ended without saving its state"


def test_a_server_that_saved_its_state_is_used_again(place: running.Place) -> None:
    write_state(place)
    write_record(place, a_dead_pid())
    (place.folder / "aws").mkdir()
    assert running.remains(place) is None


def test_another_programs_process_is_not_mistaken_for_the_server(
    place: running.Place, a_process: subprocess.Popen[bytes]
) -> None:
    """The system reuses process ids: `down` must not stop another program's process."""
    write_record(place, a_process.pid)
    assert running.remove(place)
    assert a_process.poll() is None
    assert not place.folder.exists()


def test_down_without_a_stack_says_so(place: running.Place) -> None:
    assert not running.remove(place)


def test_a_stack_keeps_its_port(place: running.Place) -> None:
    """Whether it runs or not: another port would need another deployment, which has none of its payments."""
    assert stack._chosen_port(place, None) == 4566  # noqa: SLF001
    assert stack._chosen_port(place, 4600) == 4600  # noqa: SLF001
    write_record(place, a_dead_pid(), 4600)
    assert [stack._chosen_port(place, asked) for asked in (None, 4600)] == [4600, 4600]  # noqa: SLF001
    with pytest.raises(LocalError, match=r"uses port 4600\. To move it, remove it first: make down"):
        stack._chosen_port(place, 4566)  # noqa: SLF001


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"gateway": "foo"}, "GATEWAY must be simulator or stripe, not 'foo'"),
        ({"gateway": "stripe"}, "does not use the gateway stripe"),
        ({"port": 4700}, "uses port 4600"),
        ({}, "unknown name"),
    ],
)
def test_a_run_is_refused_before_a_server_starts(
    place: running.Place, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], refusal: str
) -> None:
    def check(_env: str) -> None:
        if not asked:
            raise LocalError("env/local.tfvars has an unknown name")

    started = MagicMock()
    monkeypatch.setattr(stack, "check_variables", check)
    monkeypatch.setattr(running, "Place", lambda: place)
    monkeypatch.setattr(running, "only_one", nullcontext)
    monkeypatch.setattr(running, "bring_up_server", started)
    monkeypatch.setattr(layer, "build_all", started)
    write_state(place)
    write_record(place, a_dead_pid(), 4600)
    with pytest.raises(LocalError, match=refusal):
        stack.up(**{"port": None, "gateway": "", **asked})
    started.assert_not_called()


def test_an_unreadable_record_names_the_way_out(place: running.Place) -> None:
    place.folder.mkdir()
    place.record.write_text("{")
    with pytest.raises(LocalError, match="Run: make down"):
        running.recorded(place)
    assert running.remove(place)


def test_outputs_without_a_stack_say_how_to_start_it(place: running.Place) -> None:
    with pytest.raises(LocalError, match="make up"):
        running.running_server(place)


def test_a_busy_port_is_named_before_anything_is_left(place: running.Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=f"port {port} is taken.*make up PORT={port + 1}"):
            running.bring_up_server(place, port, Display())
    assert running.recorded(place) is None


def test_two_at_once_are_kept_apart(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with running.only_one(lock), pytest.raises(LocalError, match="another `make up`"), running.only_one(lock):
        pass
    with running.only_one(lock):
        pass


def test_the_shells_variables_can_be_read_by_a_shell(place: running.Place) -> None:
    place.folder.mkdir()
    wanted = {"API_URL": "https://127.0.0.1:4566/x", "SPACE": "a b -c=d", "QUOTE": "it's"}
    running.write_shell_variables(place, wanted)
    script = f". {shlex.quote(str(place.variables))}; env -0"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    read = dict(line.split("=", 1) for line in said.split("\0") if line)
    assert {name: read[name] for name in wanted} == wanted
    assert place.variables.stat().st_mode & 0o077 == 0


def test_a_shell_gets_nothing_that_steers_terraform(place: running.Place) -> None:
    """With it, `terraform apply -var-file=env/prod.tfvars` would change the local stack's state."""
    place.folder.mkdir()
    values = running.shell_variables(Stack(OUTPUTS, "https://127.0.0.1:4566"), Keys("AKID", "secret"), "https://e")
    assert {"API_URL", "AWS_ENDPOINT_URL"} <= values.keys()
    assert [name for name in values if name.startswith("TF_")] == []


# Terraform, and stopping it

FAKE = """#!/usr/bin/env python3
import json, signal, sys, time
print(json.dumps({"type": "change_summary", "changes": {"add": 2, "change": 0, "remove": 0}}), flush=True)
if "SLEEP":
    signal.signal(signal.SIGINT, lambda *_: (open("INTERRUPTED", "w").close(), sys.exit(1)))
    open("STARTED", "w").close()
    time.sleep(60)
"""


def fake_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Terraform:
    folder = tmp_path / "bin"
    folder.mkdir()
    executable = folder / "terraform"
    executable.write_text(script)
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Terraform({"PATH": os.environ["PATH"]}, tmp_path / "x.tfvars", state=tmp_path / "terraform.tfstate")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a failed command's output is kept."""
    monkeypatch.setattr("ops.terraform.BUILD", tmp_path / "build")
    return tmp_path / "build" / "terraform-local.log"


def says(*lines: dict[str, Any], status: int = 0) -> str:
    """A Terraform that prints these lines."""
    return (
        "#!/bin/sh\n"
        + "".join(f"printf '%s\\n' {shlex.quote(json.dumps(line))}\n" for line in lines)
        + f"exit {status}\n"
    )


def step(kind: str, name: str, action: str) -> dict[str, Any]:
    inside = "change" if kind == "planned_change" else "hook"
    return {"type": kind, inside: {"resource": {"addr": name}, "action": action}}


ACTIONS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.sampled_from(["create", "read", "update", "delete", "replace", "noop", "move", "remove"]),
)


@given(planned=ACTIONS, read_before=st.sets(st.text("abc", min_size=1, max_size=3)))
def test_progress_ends_at_all_and_never_passes_it(planned: dict[str, str], read_before: set[str]) -> None:
    """Planning reads data sources, which looks like applying; a replacement takes two steps."""
    told = _Reported()
    lines = [step("apply_complete", name, "read") for name in sorted(read_before)]
    lines += [step("planned_change", name, action) for name, action in planned.items()]
    for name, action in planned.items():
        parts = {"replace": ["delete", "create"], "noop": [], "move": [], "remove": []}.get(action, [action])
        lines += [step("apply_complete", name, part) for part in parts]
    for line in lines:
        told.read(json.dumps(line))
        assert told.done <= told.total
    assert told.done == told.total


def test_the_summary_of_an_apply_is_read_from_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = {"type": "change_summary", "changes": {"add": 1, "change": 0, "remove": 1}}
    script = says(
        step("planned_change", "a", "replace"),
        summary,
        step("apply_complete", "a", "delete"),
        step("apply_complete", "a", "create"),
        summary,
    )
    seen: list[tuple[int, int]] = []
    changes = fake_terraform(tmp_path, monkeypatch, script).apply(lambda done, total: seen.append((done, total)))
    assert changes == {"add": 1, "change": 0, "remove": 1}
    assert seen[-1] == (2, 2)


def test_terraforms_errors_are_one_line_and_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    diagnostic = {
        "severity": "error",
        "summary": "Invalid name",
        "detail": "It is too long,\nby far.\n\nThis was checked by a rule.",
        "address": "module.queue.aws_sqs_queue.this",
        "range": {"filename": "modules/sqs/main.tf", "start": {"line": 20}},
    }
    errors = [{"type": "diagnostic", "diagnostic": one} for one in (diagnostic, diagnostic | {"summary": "Second"})]
    terraform = fake_terraform(tmp_path, monkeypatch, says(*errors, status=1))
    with pytest.raises(LocalError) as caught:
        terraform.apply(lambda _done, _total: None)
    assert str(caught.value) == (
        "terraform apply failed: Invalid name (module.queue.aws_sqs_queue.this, modules/sqs/main.tf:20). "
        f"It is too long, by far. (and 1 more) See {log}"
    )
    assert "This was checked by a rule." in log.read_text()
    assert "Second" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


SAYS_AWS = "operation error {0}, https response error StatusCode: 400, RequestID: 5f, {1}"
IMPORT = "TF_WORKSPACE=prod terraform import -var-file=env/prod.tfvars"
# What Terraform says, with AWS's own words in it, and what the command adds to it.
WAYS_OUT = [
    (
        'aws_secretsmanager_secret.gateway["key"]',
        "creating Secrets Manager Secret (payment-stripe-key-prod): "
        + SAYS_AWS.format(
            "Secrets Manager: CreateSecret",
            "InvalidRequestException: You can't create this secret because a secret with this name is already "
            "scheduled for deletion.",
        ),
        [
            "aws secretsmanager restore-secret --secret-id payment-stripe-key-prod",
            f"{IMPORT} 'aws_secretsmanager_secret.gateway[\"key\"]' ARN",
            "aws secretsmanager delete-secret --secret-id payment-stripe-key-prod --force-delete-without-recovery",
            "docs/destroy.md",
        ],
    ),
    (
        "module.api.aws_api_gateway_stage.this",
        "creating API Gateway Stage (prod): "
        + SAYS_AWS.format(
            "API Gateway: CreateStage",
            "BadRequestException: CloudWatch Logs role ARN must be set in account settings to enable logging",
        ),
        ["bootstrap/"],
    ),
    (
        "module.api.aws_cloudwatch_log_group.execution[0]",
        "creating CloudWatch Logs Log Group (API-Gateway-Execution-Logs_a1b2c3/prod): "
        + SAYS_AWS.format(
            "CloudWatch Logs: CreateLogGroup",
            "ResourceAlreadyExistsException: The specified log group already exists",
        ),
        [f"{IMPORT} 'module.api.aws_cloudwatch_log_group.execution[0]' API-Gateway-Execution-Logs_a1b2c3/prod"],
    ),
    (
        'module.function["validator"].aws_lambda_function.this',
        "setting Lambda Function (payment-validator-prod) concurrency: "
        + SAYS_AWS.format(
            "Lambda: PutFunctionConcurrency",
            "InvalidParameterValueException: Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100].",
        ),
        ["account_concurrency", "aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions"],
    ),
    (
        'module.function["validator"].aws_iam_role.this',
        "creating IAM Role (payment-validator-prod): "
        + SAYS_AWS.format(
            "IAM: CreateRole", "EntityAlreadyExists: Role with name payment-validator-prod already exists."
        ),
        ["region_in_role_names", "docs/destroy.md"],
    ),
    (
        'module.network.aws_nat_gateway.this["use1-az3"]',
        "creating EC2 NAT Gateway: "
        + SAYS_AWS.format(
            "EC2: CreateNatGateway",
            "api error NotAvailableInZone: Nat Gateway is not available in this availability zone",
        ),
        ["exclude_zone_ids"],
    ),
    (
        'module.function["relay"].aws_lambda_function.this',
        "creating Lambda Function (payment-relay-prod): "
        + SAYS_AWS.format(
            "Lambda: CreateFunction",
            "InvalidParameterValueException: The provided subnets contain availability zone Lambda doesn't support. "
            "Please use a different set of subnets.",
        ),
        ["exclude_zone_ids"],
    ),
]


@pytest.mark.parametrize(("address", "summary", "names"), WAYS_OUT, ids=[name for name, _, _ in WAYS_OUT])
def test_an_error_with_a_known_way_out_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path, address: str, summary: str, names: list[str]
) -> None:
    """It need not be the first error, which is the only one that is printed."""
    place = {"filename": "main.tf", "start": {"line": 1}}
    known = {"severity": "error", "summary": summary, "detail": "", "address": address, "range": place}
    other = {"severity": "error", "summary": "Another one", "detail": ""}
    errors = [{"type": "diagnostic", "diagnostic": one} for one in (other, known)]
    terraform = fake_terraform(tmp_path, monkeypatch, says(*errors, status=1))
    terraform.workspace, terraform.variables = "prod", ROOT / "env" / "prod.tfvars"
    with pytest.raises(LocalError) as caught:
        terraform.apply(lambda _done, _total: None)
    said = str(caught.value)
    assert said.startswith("terraform apply failed: Another one. (and 1 more) ")
    assert said.endswith(f" See {log.with_name('terraform-prod.log')}")
    assert [name for name in names if name not in said] == []
    assert "\n" not in said


HUMAN = """#!/bin/sh
printf '\\033[31m╷\\033[0m\\n\\033[31m│\\033[0m \\033[1mError: \\033[0mno colour was asked for\\n' > WITHOUT
case "$*" in
  *-no-color*) printf '\\nError: No valid credential sources found\\n\\n  with provider,\\n' >&2 ;;
  *) cat WITHOUT >&2 ;;
esac
exit 1
"""


@pytest.mark.parametrize("call", ["init", "outputs", "outputs_json"])
def test_every_commands_errors_are_one_line_without_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path, call: str
) -> None:
    script = HUMAN.replace("WITHOUT", str(tmp_path / "without"))
    terraform = fake_terraform(tmp_path, monkeypatch, script)
    with pytest.raises(LocalError) as caught:
        getattr(terraform, call)()
    command = "init" if call == "init" else "output"
    assert str(caught.value) == f"terraform {command} failed: No valid credential sources found. See {log}"
    assert "with provider" in log.read_text()


# Deploying to an account


ACCOUNT = """#!/bin/sh
echo "$*" >> CALLS
case "$1" in
  plan) echo '{"type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "Check failed", "detail": "d"}}'
        exit STATUS ;;
  show) echo "the plan" ;;
esac
"""


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in an account, by a Terraform that notes its commands in the file that is returned."""
    calls = tmp_path / "calls"
    script = ACCOUNT.replace("CALLS", str(calls)).replace("STATUS", "2")
    terraform = fake_terraform(tmp_path, monkeypatch, script)
    monkeypatch.setattr(stack, "account_terraform", lambda _env: terraform)
    monkeypatch.setattr(stack, "check_variables", lambda _env: None)
    monkeypatch.setattr(layer, "build_all", lambda _env: None)
    return calls


def commands_in(calls: Path) -> list[str]:
    return [line.split()[0] for line in calls.read_text().splitlines()] if calls.exists() else []


def test_a_deployment_that_nobody_confirms_is_refused_before_it_begins(
    deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LocalError, match=r"Deploy dev\? There is no terminal to ask on. Use --yes"):
        stack.deploy("dev", yes=False)
    assert commands_in(deployment) == []


def test_the_plan_that_was_shown_is_the_one_applied(deployment: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stack.deploy("dev", yes=True)
    assert commands_in(deployment) == ["init", "plan", "show", "apply"]
    _, plan, show, apply = deployment.read_text().splitlines()
    (file,) = [word.removeprefix("-out=") for word in plan.split() if word.startswith("-out=")]
    assert show.endswith(file)
    assert apply.endswith(file)
    assert "-var-file" not in apply
    assert not Path(file).exists()
    printed = capfd.readouterr()
    assert "the plan" in printed.out
    assert "Warning: Check failed. d." in printed.err
    assert "\x1b" not in printed.out + printed.err


RESPONSE = 'module.api.aws_api_gateway_gateway_response.this["DEFAULT_4XX"]'
TAINTED = [("aws_api_gateway_gateway_response", RESPONSE), ("aws_sqs_queue", "module.queue.aws_sqs_queue.this")]


def test_a_tainted_part_of_the_api_is_kept_and_not_replaced(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has create_before_destroy: AWS would keep the new one in place of the old, and then delete it."""
    lines = ""
    for kind, address in TAINTED:
        change = {"resource": {"addr": address, "resource_type": kind}, "action": "replace", "reason": "tainted"}
        lines += f"printf '%s\\n' {shlex.quote(json.dumps({'type': 'planned_change', 'change': change}))}; "
    terraform = tmp_path / "bin" / "terraform"
    until = f"  plan) grep -q untaint {deployment} || {{ {lines}}}\n"
    terraform.write_text(terraform.read_text().replace("  plan)", until))
    stack.deploy("dev", yes=True)
    assert commands_in(deployment) == ["init", "plan", "untaint", "plan", "show", "apply"]
    assert deployment.read_text().splitlines()[2].endswith(f" {RESPONSE}")


@pytest.mark.parametrize("status", ["tainted", None])
def test_the_local_stack_looks_again_at_a_part_of_the_api_that_was_tainted(
    deployment: Path, tmp_path: Path, status: str | None
) -> None:
    def resource(module: str, kind: str, **instance: object) -> dict[str, object]:
        found = {"status": status, **instance}
        return {"module": module, "mode": "managed", "type": kind, "name": "this", "instances": [found]}

    resources = [
        resource("module.api", "aws_api_gateway_gateway_response", index_key="DEFAULT_4XX"),
        resource("module.queue", "aws_sqs_queue"),
    ]
    state = tmp_path / "terraform.tfstate"
    state.write_text(json.dumps({"resources": resources}))
    terraform = Terraform({"PATH": os.environ["PATH"]}, tmp_path / "x.tfvars", state=state, refresh=False)
    terraform.apply(lambda _done, _total: None)
    *before, apply = deployment.read_text().splitlines()
    assert [line.split()[0] + line.partition(" module")[2] for line in before] == (
        [f"untaint{RESPONSE.removeprefix('module')}"] if status else []
    )
    assert ("-refresh=false" in apply) == (status is None)


def test_a_warning_about_our_own_option_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform prefers a backend's path to -state, but the backend is the accounts'."""
    warnings = [
        {"severity": "warning", "summary": summary, "detail": "d"} for summary in ("Deprecated flag: -state", "Other")
    ]
    script = says(*({"type": "diagnostic", "diagnostic": one} for one in warnings))
    with fake_terraform(tmp_path, monkeypatch, script).planned(lambda _done, _total: None) as plan:
        assert plan.warnings == ("Other. d.",)


@pytest.mark.parametrize(("answer", "expected"), [("y", ["apply"]), ("n", [])])
def test_on_a_terminal_the_plan_is_shown_and_then_it_asks(
    deployment: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", MagicMock(isatty=lambda: True))
    asked: list[list[str]] = []

    def confirm(_question: str, **_options: object) -> bool:
        asked.append(commands_in(deployment))
        return answer == "y"

    monkeypatch.setattr("ops.commands.options.typer.confirm", confirm)
    with nullcontext() if expected else pytest.raises(LocalError, match="Nothing was changed"):
        stack.deploy("dev", yes=False)
    assert asked == [["init", "plan", "show"]]
    assert commands_in(deployment)[3:] == expected


def test_nothing_to_change_is_neither_asked_nor_applied(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / "bin" / "terraform"
    executable.write_text(executable.read_text().replace("exit 2", "exit 0"))
    stack.deploy("dev", yes=True)
    assert commands_in(deployment) == ["init", "plan", "show"]


def test_outputs_of_nothing_deployed_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "account_terraform", lambda _env: MagicMock(outputs_json=lambda: "{}"))
    with pytest.raises(LocalError, match=r"dev is not deployed, or not from here.*make deploy ENV=dev"):
        stack.outputs("dev")
    assert capsys.readouterr().out == ""


INTERRUPTED_RUN = """
import sys
from pathlib import Path
from ops import interrupt
from ops.terraform import Terraform, _Reported
interrupt.install()
folder = Path(sys.argv[1])
terraform = Terraform({"PATH": sys.argv[2]}, folder / "x.tfvars", state=folder / "terraform.tfstate", patience=5.0)
try:
    terraform.apply(lambda done, total: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_command_stops_terraform_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    script = FAKE.replace("INTERRUPTED", str(tmp_path / "interrupted")).replace("STARTED", str(tmp_path / "started"))
    terraform = fake_terraform(tmp_path, monkeypatch, script)
    command = [sys.executable, "-c", INTERRUPTED_RUN, str(tmp_path), terraform.environment["PATH"]]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (tmp_path / "interrupted").exists()
    # It may take minutes: whoever stopped it must know why nothing happens.
    assert "Stopping: Terraform finishes what is in progress and saves its state." in said


def test_a_shielded_step_ends_before_it_is_stopped() -> None:
    before = [signal.getsignal(number) for number in interrupt.SIGNALS]
    interrupt.install()
    steps = []

    def step() -> None:
        with interrupt.shield():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("went on")
        steps.append("went too far")

    try:
        with pytest.raises(KeyboardInterrupt):
            step()
    finally:
        for number, handler in zip(interrupt.SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert steps == ["went on"]


# A fake Stripe, for a stack that charges through it


@pytest.fixture
def folder(place: running.Place) -> Iterator[Path]:
    yield place.folder
    fake_stripe.stop(place.folder)


def told_to(folder: Path, url: str) -> None:
    listener = folder / "stripe-listener.json"
    listener.write_text(json.dumps({"url": url, "secret": "whsec_of_the_fake_stripe", "trusted": str(AUTHORITY)}))


def test_the_fake_stripe_lives_with_the_stack(place: running.Place, folder: Path) -> None:
    assert fake_stripe.variables(folder) == {}
    fake, started = fake_stripe.bring_up(folder)
    assert started
    assert requests.get(f"{fake.address}/v1/payment_intents/pi_1", timeout=5).status_code == 401
    # A second run uses the same one. If it has died, the next run starts it again at the address that the stack knows.
    assert fake_stripe.bring_up(folder) == (fake, False)
    fake_stripe.stop(folder)
    again, started = fake_stripe.bring_up(folder)
    assert (again.port, started) == (fake.port, True)
    said = {"TF_VAR_gateway": "stripe", "TF_VAR_stripe_address": fake.address}
    assert running.terraform(place, "https://127.0.0.1:1").environment.items() >= said.items()
    assert running.remove(place)
    assert not again.runs()


def test_the_fake_stripe_tells_what_happens_there(folder: Path) -> None:
    fake, _ = fake_stripe.bring_up(folder)
    make_certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    with Receiver(context) as receiver:
        told_to(folder, f"https://localhost:{receiver.port}/hook")
        headers = {"Authorization": "Bearer sk_test_fake", "Stripe-Version": "x", "Idempotency-Key": "k"}
        params = "amount=5&currency=eur&confirm=true&off_session=true&payment_method=pm_fake_requires_action"
        made = requests.post(f"{fake.address}/v1/payment_intents", params, headers=headers, timeout=5).json()
        assert requests.post(f"{fake.address}/fake/{made['id']}/succeeded", timeout=5).status_code == 200
        assert requests.post(f"{fake.address}/fake/{made['id']}/vanished", timeout=5).status_code == 404
        told = receiver.wait(lambda request: b"payment_intent.succeeded" in request.body, 10)
    assert told is not None
    verify(told.body, told.headers["stripe-signature"], ["whsec_of_the_fake_stripe"], time.time())


def test_a_fake_stripe_that_cannot_start_says_where_its_log_is(folder: Path) -> None:
    folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (folder / "stripe.json").write_text(json.dumps({"pid": 2**22, "port": taken.getsockname()[1]}))
        with pytest.raises(LocalError, match="Its log: "):
            fake_stripe.bring_up(folder)


def test_a_running_stack_keeps_its_gateway(place: running.Place, folder: Path) -> None:
    def chosen(*gateways: str) -> list[str]:
        return [stack._chosen_gateway(place, asked) for asked in gateways]  # noqa: SLF001

    assert Module(ROOT).default("gateway") == running.DEFAULT_GATEWAY
    assert chosen("", "simulator", "stripe") == ["simulator", "simulator", "stripe"]
    with pytest.raises(LocalError, match="must be simulator or stripe"):
        chosen("paypal")
    write_state(place)
    with pytest.raises(LocalError, match="make down"):
        chosen("stripe")
    # As the version before recorded it.
    fake_stripe.bring_up(folder)
    assert chosen("", "stripe") == ["stripe", "stripe"]
    with pytest.raises(LocalError, match="make down"):
        chosen("simulator")


def test_every_gateway_can_be_chosen_by_its_name(place: running.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda: ("acme", "simulator", "stripe"))
    assert stack._chosen_gateway(place, "acme") == "acme"  # noqa: SLF001
    with pytest.raises(LocalError, match="must be acme or simulator or stripe, not 'paypal'"):
        stack._chosen_gateway(place, "paypal")  # noqa: SLF001
    running.choose_gateway(place, "acme")
    write_state(place)
    assert running.terraform(place, "https://127.0.0.1:1").environment["TF_VAR_gateway"] == "acme"
    assert stack._chosen_gateway(place, "") == "acme"  # noqa: SLF001
    with pytest.raises(LocalError, match="does not use the gateway simulator"):
        stack._chosen_gateway(place, "simulator")  # noqa: SLF001


def test_a_stack_that_cannot_be_tried_is_shown_without_a_payment(
    place: running.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says what another gateway would accept, and its key is not there yet."""
    place.folder.mkdir()
    monkeypatch.setattr(running, "client_keys", lambda *_: Keys("AKID", "secret"))
    gateway = {"name": "acme", "secret_names": {"key": "payment-acme-key-local"}}
    written = io.StringIO()
    display = Display(Console(file=written, width=200))
    stack.show(place, Stack({**OUTPUTS, "gateway": gateway}, "https://e"), "https://e", display)
    assert "No payment was sent: nothing says which payment methods acme accepts." in written.getvalue()
    assert "aws secretsmanager put-secret-value --secret-id payment-acme-key-local" in written.getvalue()
    assert place.variables.exists()
