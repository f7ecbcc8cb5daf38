"""Run Terraform on the root configuration: one environment's state, one process group."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from local import ROOT, LocalError
from ops.interrupt import shield

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# The embedded AWS answers at once; what takes time is the provider's own waiting, which this makes parallel.
LOCAL_PARALLELISM = 40
_PATIENCE_SECONDS = 20.0


@dataclass
class Terraform:
    """Terraform with one environment's variables and state.

    ``state`` is a state file of the local stack. Without one, the state is where the configuration's backend puts it,
    under ``workspace``. ``patience`` is how long an interrupted Terraform may take to stop by itself: None, for as
    long as it needs, where a state that it could not save would cost more than the wait.
    """

    environment: Mapping[str, str]
    variables: Path
    data_dir: Path | None = None
    state: Path | None = None
    workspace: str | None = None
    # Whether an apply asks AWS first what is there. The embedded AWS does not give everything back as it was set, and
    # would be deployed in part again each time.
    refresh: bool = True
    patience: float | None = _PATIENCE_SECONDS
    # Called with the process's id when a process that changes something starts, and with None when it has ended.
    on_process: Callable[[int | None], None] = field(default=lambda _pid: None)

    def init(self) -> None:
        """Install the providers and modules."""
        self._capture(["init", "-input=false", "-no-color"], workspace=False)
        if self.workspace:
            self._capture(["workspace", "select", "-or-create", self.workspace], workspace=False)

    def apply(self, on_progress: Callable[[int, int], None]) -> dict[str, int]:
        """Apply without asking, telling how many of how many resources are done; return what was changed.

        Raises LocalError with Terraform's own diagnostics where it fails.
        """
        arguments = ["apply", "-json", "-input=false", "-auto-approve", f"-parallelism={LOCAL_PARALLELISM}"]
        if not self.refresh:
            arguments.append("-refresh=false")
        told = _Told()
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            told.read(line)
            on_progress(told.done, told.total)

        code = self._stream([*arguments, *self._state_and_variables()], on_line)
        if code:
            raise LocalError("terraform apply failed:\n\n" + ("\n\n".join(told.errors) or "".join(lines[-20:])))
        return told.changes

    def plan(self) -> dict[str, Any]:
        """Return the plan's JSON, after a refresh."""
        file = Path(self.state or ROOT).with_name("check.tfplan")
        self._capture(["plan", "-input=false", "-no-color", f"-out={file}", *self._state_and_variables()])
        planned: dict[str, Any] = json.loads(self._capture(["show", "-json", str(file)]))
        file.unlink()
        return planned

    def outputs(self) -> dict[str, Any]:
        """Return the outputs' values."""
        return {name: output["value"] for name, output in json.loads(self.outputs_json()).items()}

    def outputs_json(self) -> str:
        """Return what ``terraform output -json`` prints."""
        return self._capture(["output", "-json", *self._state()])

    def attend(self, command: str, *options: str) -> int:
        """Run a command with this process's own terminal; return its exit status."""
        process = self._start([command, *options, *self._state_and_variables()], stdout=None)
        return self._wait(process, iter(()), lambda _line: None)

    def _state(self) -> list[str]:
        return [f"-state={self.state}"] if self.state else []

    def _state_and_variables(self) -> list[str]:
        return [*self._state(), f"-var-file={self.variables}"]

    def _capture(self, arguments: list[str], *, workspace: bool = True) -> str:
        lines: list[str] = []
        process = self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, workspace=workspace)
        code = self._wait(process, _lines(process.stdout), lines.append)
        if code:
            said = process.stderr.read() if process.stderr else ""
            raise LocalError(f"terraform {arguments[0]} failed:\n\n{said.strip()}")
        return "".join(lines)

    def _stream(self, arguments: list[str], on_line: Callable[[str], None]) -> int:
        process = self._start(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self._wait(process, _lines(process.stdout), on_line)

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
                cwd=ROOT,
                env=environment,
                stdout=stdout,
                stderr=stderr,
                stdin=None if stdout is None else subprocess.DEVNULL,
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

        with shield(again=interrupt):
            interrupt()
            try:
                # Its output must be read to the end, or it waits for us for ever.
                process.communicate(timeout=self.patience)
            except subprocess.TimeoutExpired:
                _signal_group(process.pid, signal.SIGKILL)
                process.communicate()
                return False
        return True


class _Told:
    """What Terraform's machine-readable output has told so far."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.changes: dict[str, int] = {}
        self.errors: list[str] = []

    def read(self, line: str) -> None:
        """Take in one line."""
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            self.errors.append(line.strip())
            return
        match message.get("type"):
            case "planned_change":
                self.total += 1
            case "apply_complete":
                self.done += 1
            case "change_summary":
                summary = message["changes"]
                self.changes = {name: summary.get(name, 0) for name in ("add", "change", "remove")}
            case "diagnostic" if message["diagnostic"]["severity"] == "error":
                told = message["diagnostic"]
                where = [told.get("address")]
                if told.get("range"):
                    where.append(f"{told['range']['filename']}:{told['range']['start']['line']}")
                place = ", ".join(part for part in where if part)
                self.errors.append(f"{told['summary']} ({place})\n{told.get('detail', '')}".strip())


def _lines(stream: IO[str] | None) -> Iterator[str]:
    return iter(stream or ())


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it has ended meanwhile
