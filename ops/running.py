"""The stack on this machine: bring it up, take it down, and recover from earlier runs."""

from __future__ import annotations

import fcntl
import json
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from local import BUILD, LocalError
from local.environments import FOLDER, LOCAL, bare_environment, provider_environment, variables
from local.iam import adapt_roles
from local.server import PROGRAM, EmbeddedAWS, aws_environment, is_healthy, is_process, stop_process, url_of
from ops import fake_stripe
from ops.client import Keys, create_client
from ops.interrupt import shield
from ops.record import ServerRecord
from ops.stack import Stack
from ops.terraform import Terraform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.display import Display, Step


# As variables-gateway.tf has it.
DEFAULT_GATEWAY = "simulator"


@dataclass(frozen=True)
class Place:
    """Where a local stack keeps its state."""

    folder: Path = FOLDER

    @property
    def record(self) -> Path:
        """Which server was started."""
        return self.folder / "server.json"

    @property
    def applying(self) -> Path:
        """The process id of the Terraform that changes the stack; there only meanwhile."""
        return self.folder / "applying.pid"

    @property
    def state(self) -> Path:
        """Terraform's state."""
        return self.folder / "terraform.tfstate"

    @property
    def data_dir(self) -> Path:
        """Terraform's own folder."""
        return self.folder / "terraform"

    @property
    def client(self) -> Path:
        """The client's keys."""
        return self.folder / "client.json"

    @property
    def gateway(self) -> Path:
        """The name of its payment gateway."""
        return self.folder / "gateway"

    @property
    def variables(self) -> Path:
        """What a shell reads to speak to the stack."""
        return self.folder / "env"


@dataclass(frozen=True)
class Server(ServerRecord):
    """The record of an embedded AWS."""

    program = PROGRAM.name

    @property
    def url(self) -> str:
        """Its endpoint."""
        return url_of(self.port)


def recorded(place: Place) -> Server | None:
    """Return the server that an earlier run has recorded."""
    return Server.read(place.record)


@contextmanager
def only_one(file: Path = BUILD / "ops.lock") -> Iterator[None]:
    """Keep a second ``up`` or ``down`` out while one is at work."""
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError("another `make up` or `make down` is running here. Wait for it, or stop it.") from error
        yield


def terraform(place: Place, url: str) -> Terraform:
    """Return Terraform for the local stack."""

    def on_process(pid: int | None) -> None:
        if pid is None:
            place.applying.unlink(missing_ok=True)
        else:
            place.applying.write_text(str(pid), encoding="utf-8")

    place.folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **bare_environment(),
        **provider_environment(place.folder),
        **aws_environment(url),
        **_gateway_variables(place),
    }
    return Terraform(environment, variables(LOCAL), place.data_dir, place.state, refresh=False, on_process=on_process)


def gateway(place: Place) -> str:
    """Return the name of the local stack's gateway: the one that was chosen, or the default."""
    try:
        return place.gateway.read_text(encoding="utf-8")
    except FileNotFoundError:
        # Earlier versions recorded the fake Stripe only.
        return fake_stripe.NAME if fake_stripe.recorded(place.folder) else DEFAULT_GATEWAY


def choose_gateway(place: Place, name: str) -> None:
    """Record the local stack's gateway."""
    place.folder.mkdir(parents=True, exist_ok=True)
    place.gateway.write_text(name, encoding="utf-8")


def _gateway_variables(place: Place) -> dict[str, str]:
    """Return the variables by which Terraform deploys the chosen gateway; none for the default one."""
    name = gateway(place)
    if name == fake_stripe.NAME:
        return fake_stripe.variables(place.folder)
    return {} if name == DEFAULT_GATEWAY else {"TF_VAR_gateway": name}


def has_lost_its_state(place: Place, url: str) -> bool:
    """Return whether the server lacks what Terraform's state says that it created."""
    expected = tables_in_state(place)
    if expected is None:
        return False
    held = set(Stack({"region": "ap-southeast-1"}, url).dynamodb.list_tables()["TableNames"])
    return not expected <= held


def tables_in_state(place: Place) -> set[str] | None:
    """Return the names of the tables in Terraform's state, None if there is no state or it is empty."""
    try:
        state = json.loads(place.state.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    managed = [resource for resource in state.get("resources", []) if resource["mode"] == "managed"]
    if not managed:
        return None
    return {
        str(instance["attributes"]["name"])
        for resource in managed
        if resource["type"] == "aws_dynamodb_table"
        for instance in resource["instances"]
    }


def remains(place: Place) -> str | None:
    """Return why an earlier run's stack cannot be used, or None if it can."""
    if place.applying.exists():
        return "an earlier run was interrupted while it deployed"
    server = recorded(place)
    if server is None:
        return "an earlier run left a state without a server" if place.state.exists() else None
    if server.runs():
        return _why_useless(place, server)
    if tables_in_state(place) is None:
        return None
    return None if (place.folder / "aws").is_dir() else "the embedded AWS ended without saving its state"


def _why_useless(place: Place, server: Server) -> str | None:
    if not is_healthy(server.url):
        return f"the embedded AWS (process {server.pid}) does not answer"
    return "the embedded AWS has lost its state" if has_lost_its_state(place, server.url) else None


def remove(place: Place) -> bool:
    """Stop the local stack and remove its state; say whether there was one."""
    try:
        deploying = int(place.applying.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        deploying = None
    if deploying is not None and is_process(deploying, "terraform"):
        stop_process(deploying)
    Server.stop(place.record)
    fake_stripe.stop(place.folder)
    existed = place.folder.exists()
    shutil.rmtree(place.folder, ignore_errors=True)
    return existed


@dataclass
class Bringing:
    """The server that a run of ``up`` uses, and whether this run started it."""

    url: str
    started: EmbeddedAWS | None


def bring_up_server(place: Place, port: int, display: Display) -> Bringing:
    """Use the server of an earlier run, or start one."""
    why_not = remains(place)
    if why_not:
        display.line(f"Starting over: {why_not}.", style="yellow")
        remove(place)
    server = recorded(place)
    if server is not None and server.runs():
        display.line(f"The embedded AWS is already running: {server.url} (process {server.pid})")
        return Bringing(server.url, None)
    with display.step("Starting the embedded AWS") as step, shield():
        embedded = EmbeddedAWS(place.folder, port=port, auth=True, persist=True).start()
        if embedded.pid is None:
            raise LocalError("the embedded AWS ended at once")
        Server(embedded.pid, port).write(place.record)
        restored = server is not None and tables_in_state(place) is not None
        step.result = (
            f"the embedded AWS {'is running with its saved state' if restored else 'is running'}: {embedded.url}"
        )
    if has_lost_its_state(place, embedded.url):
        display.line("Starting over: the embedded AWS could not restore its state.", style="yellow")
        embedded.stop()
        remove(place)
        return bring_up_server(place, port, display)
    return Bringing(embedded.url, embedded)


def deploy(terraform: Terraform, url: str, step: Step) -> Stack:
    """Apply the configuration to an embedded AWS and return the stack."""
    terraform.init()
    changes = terraform.apply(step.progress)
    step.result = summary_of(changes)
    stack = Stack(terraform.outputs(), url)
    webhooks = [endpoint["function_name"] for endpoint in stack.outputs["webhooks"].values()]
    adapt_roles(stack.iam, [*stack.outputs["function_names"].values(), *webhooks])
    return stack


def summary_of(changes: dict[str, int]) -> str:
    """Return what a deployment changed, in words."""
    words = {"add": "resources added", "change": "changed", "remove": "removed"}
    counted = ", ".join(f"{changes[name]} {word}" for name, word in words.items() if changes.get(name))
    return f"deployed: {counted or 'nothing to change'}"


def client_keys(place: Place, stack: Stack) -> Keys:
    """Return the keys of the stack's client, made at the first time and kept."""
    kept = Keys(**json.loads(place.client.read_text(encoding="utf-8"))) if place.client.exists() else None
    keys = create_client(stack, kept)
    write_private(place.client, json.dumps(asdict(keys)))
    return keys


def shell_variables(stack: Stack, keys: Keys, url: str) -> dict[str, str]:
    """Return what a shell needs to call the stack with any AWS tool, and as the API's client.

    Nothing for Terraform: a shell would give it to another environment's plan too, and that would change this stack.
    """
    return {
        **aws_environment(url),
        "API_URL": stack.api_url,
        "PAYMENTS_CLIENT_ACCESS_KEY_ID": keys.access_key_id,
        "PAYMENTS_CLIENT_SECRET_ACCESS_KEY": keys.secret_access_key,
    }


def write_shell_variables(place: Place, values: dict[str, str]) -> None:
    """Write the file that a shell reads."""
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    write_private(place.variables, f"# Written by `make up`. In a shell: . {place.variables}\n{lines}")


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def running_server(place: Place) -> Server:
    """Return the local stack's server.

    Raises LocalError if it does not run.
    """
    server = recorded(place)
    if server is None or not server.runs():
        raise LocalError("the local stack is not running. Start it with: make up")
    return server
