"""The deployment that a command uses: the stack on this machine, or an environment in an AWS account."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from rich.console import Console

from local import ROOT, LocalError
from local.environments import LOCAL, known, outside_environment, provider_environment, variables
from local.server import ROOT_KEY, is_healthy
from ops import running
from ops.client import Api, Keys
from ops.display import Display
from ops.stack import Stack
from ops.terraform import Terraform

if TYPE_CHECKING:
    from collections.abc import Mapping

# A file with what `make -s outputs` prints: for an operator without access to Terraform's state.
OUTPUTS_VARIABLE = "PAYMENTS_OUTPUTS"
# How to call an API that does not use IAM.
KEY_VARIABLE = "PAYMENTS_API_KEY"
TOKEN_VARIABLE = "PAYMENTS_API_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True)
class Target:
    """A deployment: its environment, its parts, and its API as the operator may call it."""

    env: str
    stack: Stack
    api: Api

    @property
    def is_local(self) -> bool:
        """Whether it is an embedded AWS, where no money moves."""
        return self.stack.endpoint is not None


def resolve(env: str) -> Target:
    """Return the deployment of an environment.

    Raises LocalError if it does not run, or is not deployed.
    """
    given = os.environ.get(OUTPUTS_VARIABLE)
    if given is None and env == LOCAL:
        return local_target(running.Place())
    outputs = _read(Path(given)) if given else account_terraform(env).outputs()
    if "api_gateway_id" not in outputs:
        raise LocalError(f"{env} has no outputs. Was it deployed from here? To deploy it: make deploy ENV={env}")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return _target(env, Stack(outputs, endpoint if endpoint and is_healthy(endpoint) else None))


def local_target(place: running.Place) -> Target:
    """Return the stack that runs on this machine."""
    url = running.running_server(place).url
    if not is_healthy(url):
        raise LocalError(f"the embedded AWS at {url} does not answer. Start it again with: make down up")
    stack = Stack(running.terraform(place, url).outputs(), url)
    if "api_gateway_id" not in stack.outputs:
        raise LocalError("the local stack is not fully deployed. Deploy it with: make up")
    # As the client that may only call the API, if there is one.
    keys = Keys(**json.loads(place.client.read_text(encoding="utf-8"))) if place.client.exists() else None
    return _target(LOCAL, stack, keys)


def _target(env: str, stack: Stack, keys: Keys | None = None) -> Target:
    headers: dict[str, str] = {}
    if key := os.environ.get(KEY_VARIABLE):
        headers["x-api-key"] = key
    if token := os.environ.get(TOKEN_VARIABLE):
        headers["authorization"] = token
    else:
        keys = keys or _own_keys(stack)
    return Target(env, stack, Api(stack.api_url, stack.region, keys, stack.trusted, headers))


def _own_keys(stack: Stack) -> Keys:
    if stack.endpoint:
        return Keys(ROOT_KEY, ROOT_KEY)
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise LocalError("no AWS credentials. Set AWS_PROFILE, or sign in, then repeat the command.")
    found = credentials.get_frozen_credentials()
    return Keys(str(found.access_key), str(found.secret_key), found.token)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        outputs = json.loads(file.read_text(encoding="utf-8"))
        return {name: output["value"] for name, output in outputs.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise LocalError(f"{OUTPUTS_VARIABLE}={file}: not what `make -s outputs` prints ({error})") from error


def account_terraform(env: str) -> Terraform:
    """Return Terraform for an environment in an account."""
    file = variables(env)
    if env == LOCAL:
        others = " or ".join(name for name in known() if name != LOCAL)
        raise LocalError(f"`make up` deploys the local environment. To deploy to an account: make deploy ENV={others}")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        text = f"AWS_ENDPOINT_URL is set: this uses {endpoint} instead of an AWS account."
        Display(Console(stderr=True)).line(text, style="yellow")
    environment = {**outside_environment(), **provider_environment(ROOT / "build")}
    # A workspace for each: one environment's deployment can never treat another's resources as its own.
    return Terraform(environment, file, workspace=env, patience=None)
