"""Run Terraform on the root configuration: one environment's state, one process group."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from local import BUILD, ROOT, LocalError
from local.environments import LOCAL
from ops.interrupt import shield
from ops.ways_out import ways_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# The embedded AWS answers at once; what takes time is the provider's own waiting, which this makes parallel.
LOCAL_PARALLELISM = 40
_PATIENCE_SECONDS = 20.0
# The parts of an API that its deployment waits for, and so have its create_before_destroy (docs/decisions/0046).
KEPT_IF_TAINTED = frozenset(
    f"aws_api_gateway_{part}"
    for part in (
        "authorizer",
        "gateway_response",
        "integration",
        "method",
        "model",
        "request_validator",
        "resource",
        "rest_api",
        "rest_api_policy",
    )
)
# What ``plan -detailed-exitcode`` returns if there is something to change.
_CHANGES = 2
# How many steps each action takes; the others take none.
_STEPS = {"create": 1, "read": 1, "update": 1, "delete": 1, "replace": 2}


@dataclass(frozen=True)
class Plan:
    """A plan that can be applied, and what Terraform warned about."""

    file: Path
    changes: bool
    warnings: tuple[str, ...] = ()
    # The addresses of resources that it would replace, and that must be kept: see Terraform.keep.
    to_keep: tuple[str, ...] = ()


@dataclass
class Terraform:
    """Terraform with one environment's variables and state.

    ``state`` is a state file of the local stack. Without one, the state is where the configuration's backend puts it,
    under ``workspace``. ``patience`` is how long an interrupted Terraform may take to stop by itself; None means as
    long as it needs, if losing an unsaved state would cost more than the wait.
    """

    environment: Mapping[str, str]
    variables: Path
    data_dir: Path | None = None
    state: Path | None = None
    workspace: str | None = None
    # The folder of the root module.
    root: Path = ROOT
    # Whether an apply asks AWS first what is there. The embedded AWS does not give everything back as it was set, and
    # would be deployed in part again each time.
    refresh: bool = True
    patience: float | None = _PATIENCE_SECONDS
    # Called with the process's id when a process that changes something starts, and with None when it has ended.
    on_process: Callable[[int | None], None] = field(default=lambda _pid: None)

    @property
    def log(self) -> Path:
        """The file that keeps everything a failed command printed."""
        return BUILD / f"terraform-{self.workspace or LOCAL}.log"

    def init(self) -> None:
        """Install the providers and modules."""
        self._capture(["init", "-input=false"], workspace=False)
        if self.workspace:
            self._capture(["workspace", "select", "-or-create", self.workspace], workspace=False)

    @contextmanager
    def planned(self, on_progress: Callable[[int, int], None]) -> Iterator[Plan]:
        """Plan, and keep the plan until the block ends: it may hold secrets. Raises LocalError if planning fails."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "plan"
            arguments = ["plan", "-json", "-input=false", "-detailed-exitcode", f"-out={file}"]
            reported, code = self._stream([*arguments, *self._state_and_variables()], on_progress)
            # We give -state ourselves, and cannot give the path by a backend: that is for the accounts.
            warnings = tuple(
                warning for warning in reported.warnings if not warning.startswith("Deprecated flag: -state")
            )
            yield Plan(file, changes=code == _CHANGES, warnings=warnings, to_keep=tuple(reported.to_keep))

    def keep(self, addresses: Iterable[str]) -> None:
        """Have resources kept that an interrupted apply has tainted.

        AWS has them, or they would not be in the state, and a refresh finds what they lack. Replacing one would lose
        it: these inherit create_before_destroy, AWS returns or overwrites what is there, and then it is deleted.
        """
        for address in addresses:
            self._capture(["untaint", *self._state(), address])

    def show(self, plan: Plan) -> None:
        """Print a plan as Terraform does, in colour on a terminal."""
        sys.stdout.flush()
        self._capture(["show", str(plan.file)], stdout=None)

    def apply(self, on_progress: Callable[[int, int], None], plan: Plan | None = None) -> dict[str, int]:
        """Apply a plan, or all changes; return how many resources were added, changed and removed.

        ``on_progress`` gets how many of how many steps are done. Raises LocalError if it fails.
        """
        arguments = ["apply", "-json", "-input=false", "-auto-approve", f"-parallelism={LOCAL_PARALLELISM}"]
        tainted = _to_keep_in(self.state) if self.state and not plan else []
        self.keep(tainted)
        if not self.refresh and not tainted:
            arguments.append("-refresh=false")
        what = [*self._state(), str(plan.file)] if plan else self._state_and_variables()
        reported, _ = self._stream([*arguments, *what], on_progress)
        return reported.changes

    def plan(self) -> dict[str, Any]:
        """Return the plan's JSON, after a refresh."""
        with self.planned(lambda _done, _total: None) as plan:
            shown: dict[str, Any] = json.loads(self._capture(["show", "-json", str(plan.file)]))
        return shown

    def outputs(self) -> dict[str, Any]:
        """Return the outputs' values."""
        return {name: output["value"] for name, output in json.loads(self.outputs_json()).items()}

    def outputs_json(self) -> str:
        """Return what ``terraform output -json`` prints."""
        return self._capture(["output", "-json", *self._state()])

    def _state(self) -> list[str]:
        return [f"-state={self.state}"] if self.state else []

    def _state_and_variables(self) -> list[str]:
        return [*self._state(), f"-var-file={self.variables}"]

    def _capture(self, arguments: list[str], *, workspace: bool = True, stdout: int | None = subprocess.PIPE) -> str:
        """Run a command and return what it prints; with ``stdout`` None it prints to this process's own output."""
        lines: list[str] = []
        colour = [] if stdout is None and sys.stdout.isatty() else ["-no-color"]
        named = 2 if arguments[0] == "workspace" else 1
        command = [*arguments[:named], *colour, *arguments[named:]]
        process = self._start(command, stdout=stdout, stderr=subprocess.PIPE, workspace=workspace)
        code = self._wait(process, _lines(process.stdout), lines.append)
        if code:
            text = "".join(lines) + (process.stderr.read() if process.stderr else "")
            raise self._failed(arguments[0], _errors_in(text), text)
        return "".join(lines)

    def _stream(self, arguments: list[str], on_progress: Callable[[int, int], None]) -> tuple[_Reported, int]:
        """Run a command that prints JSON; return what it said, and its exit status if that is no failure."""
        reported = _Reported()
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            reported.read(line)
            on_progress(reported.done, reported.total)

        process = self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        code = self._wait(process, _lines(process.stdout), on_line)
        if code not in {0, _CHANGES}:
            raise self._failed(arguments[0], reported.errors, "".join(lines))
        return reported, code

    def _failed(self, command: str, errors: list[str], text: str) -> LocalError:
        """Keep what a command printed; return an error of one line, with the ways out that are known."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(mode=0o600)
        self.log.write_text(text, encoding="utf-8")
        more = f" (and {len(errors) - 1} more)" if errors[1:] else ""
        what = _one_line((errors or text.strip().splitlines()[-1:] or ["it gave no reason"])[0])
        file = self.variables.relative_to(self.root) if self.variables.is_relative_to(self.root) else self.variables
        ways = "".join(f" {way}" for way in ways_out(errors, str(file), self.workspace))
        return LocalError(f"terraform {command} failed: {what}{more}{ways} See {self.log}")

    def _start(
        self, arguments: list[str], *, stdout: int | None, stderr: int | None = None, workspace: bool = True
    ) -> subprocess.Popen[str]:
        executable = shutil.which("terraform")
        if executable is None:
            raise LocalError("Terraform is not on the PATH. Install it, then run this again.")
        environment = {**self.environment, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        if self.data_dir:
            environment["TF_DATA_DIR"] = str(self.data_dir)
        if self.workspace and workspace:
            environment["TF_WORKSPACE"] = self.workspace
        with shield():
            # A group of its own: it and its providers can be stopped together, in order.
            process = subprocess.Popen(  # noqa: S603
                [executable, *arguments],
                cwd=self.root,
                env=environment,
                stdout=stdout,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            if arguments[0] == "apply":
                self.on_process(process.pid)
        return process

    def _wait(self, process: subprocess.Popen[str], lines: Iterator[str], on_line: Callable[[str], None]) -> int:
        try:
            for line in lines:
                on_line(line)
            code = process.wait()
        except BaseException:
            ended = self._interrupt(process)
            if ended:
                self.on_process(None)
            raise
        self.on_process(None)
        return code

    def _interrupt(self, process: subprocess.Popen[str]) -> bool:
        """Stop Terraform; say whether it ended in order, with its state saved."""

        def interrupt() -> None:
            _signal_group(process.pid, signal.SIGINT)

        # After a hangup there is no terminal to write to, but Terraform must still be stopped.
        with suppress(OSError):
            sys.stderr.write("\nStopping: Terraform finishes what is in progress and saves its state.\n")
            sys.stderr.flush()
        with shield(again=interrupt):
            interrupt()
            try:
                # Its output must be read to the end. Otherwise it never ends.
                process.communicate(timeout=self.patience)
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.communicate()
                return False
        return True


def _to_keep_in(state: Path) -> list[str]:
    """Return the addresses of the tainted resources in a state file that must be kept."""
    if not state.exists():
        return []
    return [
        _address(resource, instance)
        for resource in json.loads(state.read_text(encoding="utf-8")).get("resources", [])
        for instance in resource["instances"]
        if instance.get("status") == "tainted" and resource["type"] in KEPT_IF_TAINTED
    ]


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join(filter(None, [resource.get("module"), resource["type"], resource["name"]])) + key


class _Reported:
    """What Terraform's machine-readable output has said so far."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.changes: dict[str, int] = {}
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.to_keep: list[str] = []
        # A plan reads data sources, and says so in the same words as an apply: only planned steps count.
        self._left: Counter[str] = Counter()

    def read(self, line: str) -> None:
        """Read one line."""
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            return  # not Terraform's own: a warning about its configuration, for instance
        match message.get("type"):
            case "planned_change":
                steps = _STEPS.get(message["change"]["action"], 0)
                self._left[message["change"]["resource"]["addr"]] += steps
                self.total += steps
                if message["change"].get("reason") == "tainted":
                    self._tainted(message["change"]["resource"])
            case "apply_complete" if self._left[message["hook"]["resource"]["addr"]]:
                self._left[message["hook"]["resource"]["addr"]] -= 1
                self.done += 1
            case "change_summary":
                summary = message["changes"]
                self.changes = {name: summary.get(name, 0) for name in ("add", "change", "remove")}
            case "diagnostic":
                severity = message["diagnostic"]["severity"]
                (self.errors if severity == "error" else self.warnings).append(_sentence(message["diagnostic"]))

    def _tainted(self, resource: Mapping[str, Any]) -> None:
        if resource["resource_type"] in KEPT_IF_TAINTED:
            self.to_keep.append(resource["addr"])


def _sentence(diagnostic: dict[str, Any]) -> str:
    """Return an error or a warning in one line: what, where, and the first paragraph of its explanation."""
    where = [diagnostic.get("address")]
    if diagnostic.get("range"):
        where.append(f"{diagnostic['range']['filename']}:{diagnostic['range']['start']['line']}")
    place = ", ".join(part for part in where if part)
    detail = str(diagnostic.get("detail", "")).strip().split("\n\n")[0]
    return _one_line(f"{diagnostic['summary']}{f' ({place})' if place else ''}. {detail}")


def _errors_in(text: str) -> list[str]:
    """Return the errors that Terraform wrote for people."""
    return re.findall(r"^Error: (.+)$", text, re.MULTILINE)


def _one_line(text: str) -> str:
    """Return a text in one line that ends like a sentence."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[╷│╵]", "", text).split()).rstrip(".") + "."


def _lines(stream: IO[str] | None) -> Iterator[str]:
    return iter(stream or ())


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it has ended meanwhile
