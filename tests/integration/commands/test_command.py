"""The command itself: its exit status, help, completion and messages."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest
import requests
import typer
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from local import ROOT, LocalError
from local.command import install
from ops import program, target
from ops.client import RefusedError, payload
from ops.commands.options import ask
from ops.failures import explain
from ops.output import Output, printable
from tests.support.commands import Run
from tests.support.stack import API, FakeStack, refused, said

if TYPE_CHECKING:
    from pathlib import Path


def test_every_failure_is_a_sentence_and_a_status(payments: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_env: str) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(target, "resolve", fail)
    failed = payments("doctor")
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.strip() == "unexpected: ZeroDivisionError: a fault of ours. Set PAYMENTS_DEBUG=1 for a traceback."
    monkeypatch.setenv("PAYMENTS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        payments("doctor")


def test_wrong_usage_has_a_status_of_its_own(payments: Run) -> None:
    for arguments in (["nonsense"], ["pay"], ["pay", "1", "--nonsense"], ["reconcile", "a", "--older-than", "5"]):
        assert payments(*arguments).status in {1, 2}
    assert payments("nonsense").status == 2
    assert "No such command" in payments("nonsense").err


def test_the_console_ends_well_by_ctrl_c(payments: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    there = target.Target("local", stack, API)  # type: ignore[arg-type]
    monkeypatch.setattr(target, "local_target", lambda _place: there)
    monkeypatch.setattr("ops.console.server.threading.Thread.join", MagicMock(side_effect=[KeyboardInterrupt, None]))
    ended = payments("console", "--port", "0")
    assert (ended.status, ended.err) == (0, "")
    assert "http://127.0.0.1:" in ended.out


def test_help_names_every_command(payments: Run) -> None:
    told = payments("--help")
    assert told.status == 0
    for name in ("pay", "show", "list", "watch", "refund", "dlq", "reconcile", "doctor", "completion", "console", "up"):
        assert re.search(rf"\b{name}\b", told.out), name


def test_every_command_has_help_by_both_options_and_an_example(payments: Run) -> None:
    commands: list[list[str]] = [[]]
    click = typer.main.get_command(program.app)
    for name, command in click.commands.items():  # type: ignore[attr-defined]
        commands += [[name, inner] for inner in getattr(command, "commands", {})] or [[name]]
    for command in commands:
        told = payments(*command, "-h")
        assert told == payments(*command, "--help")
        assert told.status == 0
        assert re.search(rf"^ .*payments {' '.join(command)}", told.out.partition("Example")[2], re.MULTILINE), command


def test_the_version_is_the_projects(payments: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (payments("--version").status, payments("--version").out) == (0, f"payments {project['version']}\n")


SLOW_START = """
import sys, time, runpy
class Slow:
    def find_spec(self, name, path, target=None):
        if name in {"typer", "hcl2", "proselint", "mypy"}:
            print("loading", flush=True)
            time.sleep(30)
sys.meta_path.insert(0, Slow())
sys.argv = MODULE
runpy.run_module(MODULE[0], run_name="__main__")
"""


def of_make() -> list[list[str]]:
    """Every program in Python that a target of the Makefile runs, and the words after it."""
    dry = ["make", "--dry-run", "--always-make", "layer", "up", "console", "chaos", "check", "bench", "cost"]
    said = subprocess.run(dry, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [line.split() for line in re.findall(r"\.venv/bin/python -m ([^\n;&|]+)", said)]


@pytest.mark.parametrize("module", ["bench", "chaos", "docs.prose", "local.layer", "mypy", "ops"])
def test_an_early_ctrl_c_shows_no_traceback(module: str) -> None:
    (words, *_) = [words for words in of_make() if module in words]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_START.replace("MODULE", repr(words))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (-signal.SIGINT, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(payments: Run, shell: str) -> None:
    script = payments("completion", shell)
    assert script.status == 0
    assert "_PAYMENTS_COMPLETE" in script.out


def test_completion_completes(payments: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_PAYMENTS_COMPLETE": "complete_bash",
        "COMP_WORDS": "payments dlq re",
        "COMP_CWORD": "2",
    }.items():
        monkeypatch.setenv(name, value)
    assert payments().out.split() == ["redrive"]


def test_the_command_is_next_to_its_python_and_runs_from_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "a checkout" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    made = install(folder)
    assert made.stat().st_mode & stat.S_IXUSR
    for name in ("ops", "local", "src", "env"):
        (tmp_path / "a checkout" / name).symlink_to(ROOT / name)
    elsewhere = tmp_path / "payments"
    elsewhere.symlink_to(made)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path),
    }
    ran = subprocess.run([elsewhere, "--help"], cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "payments [OPTIONS] COMMAND" in ran.stdout


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (refused("AccessDeniedException", "StartMessageMoveTask"), "not allowed: StartMessageMoveTask. so it says"),
        (refused("ExpiredToken"), "the AWS credentials have expired. Sign in again, then repeat the command."),
        (refused("Throttling", "Query"), "AWS refused Query: Throttling. so it says"),
        (NoCredentialsError(), "no AWS credentials. Set AWS_PROFILE, or sign in, then repeat the command."),
        (requests.ConnectionError("x"), "the API does not answer (ConnectionError). Repeat the command."),
    ],
)
def test_what_aws_refuses_is_explained(error: Exception, sentence: str) -> None:
    assert explain(error) == sentence


def test_an_endpoint_that_is_away_is_named() -> None:
    assert "https://sqs" in explain(EndpointConnectionError(endpoint_url="https://sqs"))


def test_a_problem_is_shown_in_full() -> None:
    problem = {
        "title": "Invalid request",
        "detail": "Two fields are wrong.",
        "instance": "urn:uuid:1",
        "errors": [{"pointer": "/amount", "detail": "is required"}, {"pointer": "", "detail": "is not a field"}],
    }
    with pytest.raises(RefusedError) as caught:
        payload(API, said(400, problem))
    assert str(caught.value).splitlines() == [
        "400 Invalid request: Two fields are wrong.",
        "  /amount is required",
        "  / is not a field",
        "  request urn:uuid:1",
    ]


def test_a_refusal_says_when_to_come_back_and_who_was_refused() -> None:
    with pytest.raises(RefusedError, match="Retry in 3 s"):
        payload(API, said(503, {"title": "Busy"}, {"Retry-After": "3"}))
    with pytest.raises(RefusedError, match=r"AKID may not do this: it needs execute-api:Invoke"):
        payload(API, said(403, {"message": "Forbidden"}))
    with pytest.raises(RefusedError, match="502"):
        payload(API, said(502, ["no", "object"]))


def test_nothing_that_is_shown_can_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07 [red]x[/red] \u202egnp\r\n"
    assert printable(hostile) == "\\x1b]0;owned\\x07 [red]x[/red] \\u202egnp\\r\\n"
    output = Output()
    output.line(hostile)
    output.table(("a",), [(hostile,)])
    output.pairs([("a", hostile)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.count("[red]x[/red]") == 3


def test_a_question_needs_somebody_who_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ask("Delete it?", yes=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(LocalError, match=r"Delete it.* Use --yes"):
        ask("Delete it?", yes=False)
