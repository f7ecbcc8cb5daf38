"""One stack for the whole session: its own embedded AWS, one apply, IAM enforced."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from chaos.proxy import Proxy
from local.environments import LOCAL
from local.server import EmbeddedAWS
from ops import running, target
from ops.client import Api, Keys, create_client, retrying
from ops.display import Step
from ops.inbox import Inbox
from ops.payment import until_final
from tests.support.checkout import copy_of_root
from tests.support.commands import Run, runner
from tests.support.deployed import SOON, Deployed, a_payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import Stack


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    place = running.Place(tmp_path_factory.mktemp("stack"))
    with Proxy(place.folder) as proxy, EmbeddedAWS(place.folder, functions_endpoint=proxy.url) as embedded:
        # It passes every call through until a test sets faults.
        proxy.start(embedded.url)
        terraform = running.terraform(place, embedded.url)
        terraform.root = copy_of_root(place.folder / "root")
        stack = running.deploy(terraform, embedded.url, Step("Deploying"))
        yield Deployed(stack, terraform, proxy, embedded)


@pytest.fixture(scope="session")
def stack(deployed: Deployed) -> Stack:
    return deployed.stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """The API, called by a user who may only call the API. It has served a payment: a cold start may take too long."""
    api = Api(stack.api_url, stack.region, create_client(stack), stack.trusted)
    payment = a_payment()
    assert retrying(partial(api.post, payment), SOON).ok
    until_final(api, payment["transaction_id"], SOON)
    return api


@pytest.fixture(scope="session")
def api_unsigned(stack: Stack) -> Api:
    return Api(stack.api_url, stack.region, None, stack.trusted)


@pytest.fixture(scope="session")
def api_with_wrong_keys(stack: Stack) -> Api:
    return Api(stack.api_url, stack.region, Keys("AKIAIOSFODNN7EXAMPLE", "not-the-secret"), stack.trusted)


@pytest.fixture(scope="session")
def inbox(stack: Stack) -> Iterator[Inbox]:
    with Inbox(stack) as inbox:
        yield inbox


@pytest.fixture
def payments(stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The operator's command, for the stack."""
    monkeypatch.setattr(target, "local_target", lambda _place: target.Target(LOCAL, stack, api))
    return runner(monkeypatch, capsys)
