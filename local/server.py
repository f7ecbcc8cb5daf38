"""Start and stop the embedded AWS: MiniStack in its own process, on loopback, with a clean environment."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from local import EMBEDDED_PYTHON, LocalError
from local.tls import AUTHORITY, CERTIFICATE, KEY, make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOST = "127.0.0.1"
REGION = "ap-southeast-1"
ACCOUNT_ID = "000000000000"
# These keys are the embedded AWS's root: IAM does not limit them. A client that IAM must limit needs its own user.
ROOT_KEY = "test"

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_SAVE_SECONDS = 60.0
PROGRAM = Path(__file__).with_name("embedded.py")


def free_port() -> int:
    """Return a loopback port that nothing listens on.

    It is below the ports that systems give to outgoing connections: one of those can be taken before a server listens.
    The choice does not depend on the seed of ``random``, which another process may share.
    """
    while not _is_free(port := 20_000 + secrets.randbelow(12_000)):
        pass
    return port


def url_of(port: int) -> str:
    """Return the endpoint of the embedded AWS on a port."""
    return f"https://{HOST}:{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def aws_environment(url: str) -> dict[str, str]:
    """Return the variables that point Terraform, boto3 and the aws CLI at the embedded AWS, as its root."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(AUTHORITY),
        "CURL_CA_BUNDLE": str(AUTHORITY),
    }


def is_healthy(url: str) -> bool:
    """Say whether an embedded AWS answers at ``url``."""
    try:
        context = ssl.create_default_context(cafile=str(AUTHORITY))
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=2, context=context) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def is_process(pid: int, name: str) -> bool:
    """Say whether the process ``pid`` runs, is ours, and has ``name`` in its command line."""
    try:
        process = psutil.Process(pid)
        return process.uids().real == os.getuid() and name in " ".join(process.cmdline())
    except psutil.Error:
        return False  # it has ended, or the id was given out again


def start_process(
    command: list[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server of our own in a process group that it leads; what it says goes into the log."""
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until_up(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], seconds: float, otherwise: str
) -> None:
    """Wait until a server answers. If it ends or takes longer, end it and raise LocalError with ``otherwise``."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            stop_process(process.pid)
            raise LocalError(otherwise)
        time.sleep(0.05)


def stop_process(pid: int, seconds: float = _STOP_SECONDS) -> bool:
    """End the process group that ``pid`` leads: ask first, and kill it after this many seconds.

    Return whether it ended by itself when asked.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return sign is signal.SIGTERM
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # A child of ours stays a zombie until it is waited for.
            # If another run of ours started it, its parent is gone, and init reaps it.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if not psutil.pid_exists(pid):
                # What it has started meanwhile.
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                return sign is signal.SIGTERM
            time.sleep(0.05)
    raise LocalError(f"the embedded AWS (process {pid}) does not stop. Look at it with: ps -fp {pid}")


@dataclass
class EmbeddedAWS:
    """One embedded AWS, as a context manager or by ``start`` and ``stop``.

    ``port`` is a free one unless given; ``auth`` enforces IAM; ``persist`` keeps the state in ``state_dir`` over a
    stop and a start on the same port. The functions call AWS at ``functions_endpoint`` if that is given, for
    instance at a proxy. The log is ``state_dir/embedded-aws.log``.

    Raises LocalError if the port is taken, or the server does not start.
    """

    state_dir: Path
    port: int | None = None
    auth: bool = True
    persist: bool = False
    functions_endpoint: str | None = None
    pid: int | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The endpoint."""
        if self.port is None:
            raise LocalError("the embedded AWS has no address before it starts")
        return url_of(self.port)

    def environment(self) -> dict[str, str]:
        """Return the variables that point AWS tools at this server, as its root."""
        return aws_environment(self.url)

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        if not EMBEDDED_PYTHON.exists():
            raise LocalError("the embedded AWS is not installed. Run: make setup")
        if self.port is None:
            self.port = free_port()
        elif not _is_free(self.port):
            raise LocalError(
                f"port {self.port} is taken by another program. "
                f"Stop it, or choose another port: make up PORT={self.port + 1}"
            )
        self.state_dir.mkdir(parents=True, exist_ok=True)
        make_certificate()
        log = self.state_dir / "embedded-aws.log"
        process = start_process(
            [str(EMBEDDED_PYTHON), "-P", str(PROGRAM)], log, cwd=self.state_dir, env=self._server_environment()
        )
        wait_until_up(
            process,
            lambda: is_healthy(self.url),
            _START_SECONDS,
            f"the embedded AWS did not start on port {self.port}. Its log: {log}",
        )
        self.pid = process.pid
        return self

    def stop(self) -> None:
        """Stop the server and its workers. Raises LocalError if it was killed before it could save its state."""
        if self.pid is not None:
            asked = stop_process(self.pid, _SAVE_SECONDS if self.persist else _STOP_SECONDS)
            self.pid = None
            if self.persist and not asked:
                raise LocalError("the embedded AWS was killed before it saved its state")

    def restart(self) -> None:
        """Stop the server and start it on the same port, with the state that it saved."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _server_environment(self) -> dict[str, str]:
        # The functions inherit the server's environment, so nothing of the caller's may be in it.
        between = {"AWS_ENDPOINT_URL": self.functions_endpoint} if self.functions_endpoint else {}
        return between | {
            "PATH": os.defpath,
            "HOME": str(self.state_dir),
            "LANG": "C.UTF-8",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - the system's default
            "PYTHONUNBUFFERED": "1",
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "AUTH": "true" if self.auth else "false",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "PERSIST_STATE": "1" if self.persist else "0",
            "STATE_DIR": str(self.state_dir / "aws"),
            "LOG_LEVEL": "INFO",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(CERTIFICATE),
            "MINISTACK_SSL_KEY": str(KEY),
            # The functions inherit both, and so trust the endpoint that they call, and a webhook's receiver here.
            "AWS_CA_BUNDLE": str(AUTHORITY),
            "SSL_CERT_FILE": str(AUTHORITY),
        }
