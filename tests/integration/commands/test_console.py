"""The console without a browser: which requests it serves and refuses. tests/e2e tests its page."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest
import requests
from starlette.testclient import TestClient

from local import LocalError
from ops.client import Api
from ops.console.app import MAX_BODY, POLICY, Console, application
from ops.console.pulse import Listener, Pulse
from ops.console.server import serve
from ops.target import Target
from tests.support.stack import API, FakeStack, said

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1:4580"
URL = f"http://{HOST}"
PAYMENT = {"customer_id": "ada", "amount": "1.00", "currency": "EUR", "payment_method": "pm_sim_approved"}


@pytest.fixture
def console(stack: FakeStack) -> Console:
    api = MagicMock(spec=Api, keys=API.keys)
    api.post.return_value = said(202, {"status": "validated"})
    deployment = Target("local", stack, api)  # type: ignore[arg-type]
    return Console(deployment, Pulse(deployment.stack), frozenset({HOST, "localhost:4580"}))


@pytest.fixture
def page(console: Console) -> TestClient:
    """The browser that has loaded the page."""
    token = {"X-Console-Token": console.token}
    return TestClient(application(console), URL, headers={"Origin": URL, **token}, raise_server_exceptions=False)


def test_the_page_itself_may_pay(page: TestClient, console: Console) -> None:
    shown = page.get("/").text
    assert f'name="console-token" content="{console.token}"' in shown
    assert '<option value="pm_sim_approved">approved</option>' in shown
    answer = page.post("/pay", json=PAYMENT | {"unknown": "1"})
    assert (answer.status_code, answer.json()) == (200, {"status": "validated"})
    (sent,) = console.deployment.api.post.call_args.args  # type: ignore[attr-defined]
    assert sent.pop("transaction_id").startswith("console-")
    assert sent == PAYMENT


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"X-Console-Token": "guessed"}, 403),
        ({"X-Console-Token": ""}, 403),
        ({"X-Console-Token": "\xe9"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Length": str(MAX_BODY + 1)}, 413),
        ({"Content-Length": "-1"}, 413),
        ({"Host": "evil.example:4580"}, 421),
    ],
)
def test_another_site_may_not(page: TestClient, console: Console, changed: dict[str, str], status: int) -> None:
    headers = {name.encode(): value.encode("latin-1") for name, value in changed.items()}
    for path in ("/pay", "/refund", "/redrive"):
        answer = page.post(path, json=PAYMENT, headers=headers)
        assert answer.status_code == status, answer.text
    console.deployment.api.post.assert_not_called()  # type: ignore[attr-defined]


def test_an_action_is_no_link(page: TestClient) -> None:
    assert page.get("/pay").status_code == 405


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_not_a_json_object_is_refused(page: TestClient, body: bytes) -> None:
    answer = page.post("/pay", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json().keys()) == (400, {"error"})


@pytest.mark.parametrize("path", ["/", "/events", "/console.js"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(page: TestClient, path: str) -> None:
    answer = page.get(path, headers={"Host": "evil.example:4580"})
    assert answer.status_code == 421
    assert "console-token" not in answer.text
    assert page.get("/", headers={"Host": "localhost:4580"}).status_code == 200


def test_every_answer_keeps_other_sites_out(page: TestClient, console: Console) -> None:
    console.deployment.api.refund.side_effect = ZeroDivisionError  # type: ignore[attr-defined]
    answers = [page.get("/"), page.get("/nothing"), page.get("/", headers={"Host": "evil.example"})]
    answers.append(page.post("/refund", json={}))
    assert [answer.status_code for answer in answers] == [200, 404, 421, 500]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_refusal_of_the_api_is_shown(page: TestClient, console: Console) -> None:
    post = console.deployment.api.post
    post.return_value = said(400, {"title": "Invalid request"})  # type: ignore[attr-defined]
    answer = page.post("/pay", json=PAYMENT)
    assert (answer.status_code, answer.json()) == (502, {"error": "400 Invalid request"})
    post.side_effect = requests.ConnectionError  # type: ignore[attr-defined]
    assert "does not answer" in page.post("/pay", json=PAYMENT).json()["error"]
    assert "no dead-letter queue 'nope'" in page.post("/redrive", json={"queue": "nope"}).json()["error"]


def test_the_events_begin_with_the_state_and_end_with_the_pulse(page: TestClient, console: Console) -> None:
    threading.Timer(0.2, console.pulse.stop).start()
    answer = page.get("/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    name, data = answer.text.strip().split("\n")
    assert name == "event: state"
    assert json.loads(data.removeprefix("data: ")) == {"payments": [], "queues": [], "trouble": None}


def test_a_reader_that_is_too_slow_is_ended_and_one_that_waits_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.console.pulse._BEHIND", 2)

    async def read(events: int) -> list[object]:
        listener = Listener()
        for number in range(events):
            listener.tell(("payment", number))
        found: list[object] = []
        async for event in listener.events(0.05):
            found.append(event)
            if event is None:
                break
        return found

    assert asyncio.run(read(2)) == [("payment", 0), ("payment", 1), None]
    # Its events are dropped: the browser connects again and gets the current state.
    assert asyncio.run(read(3)) == []


# Through a socket


@pytest.fixture
def url(console: Console, stack: FakeStack) -> Iterator[str]:
    stack.dynamodb.describe_table.return_value = {"Table": {}}
    with serve(console.deployment, 0) as (url, _wait):
        yield url


def test_a_body_without_an_end_is_not_waited_for(url: str) -> None:
    host = url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=5)) as connection:
        connection.request("GET", "/")
        page = connection.getresponse().read().decode()
        token = re.findall(r'name="console-token" content="([\w-]+)"', page)[0]
        headers = {"Origin": url, "Content-Type": "application/json", "X-Console-Token": token}
        connection.request("POST", "/pay", headers=headers | {"Content-Length": "99999999"})
        assert connection.getresponse().status == 413


def test_the_server_says_nothing_of_itself(url: str) -> None:
    assert "server" not in requests.get(url, timeout=5).headers


def test_a_browser_gets_events_and_does_not_keep_the_server_running(console: Console, stack: FakeStack) -> None:
    stack.dynamodb.describe_table.return_value = {"Table": {}}
    with serve(console.deployment, 0) as (url, _wait):
        events = requests.get(f"{url}/events", stream=True, timeout=5)
        lines = events.iter_lines(decode_unicode=True)
        assert next(lines) == "event: state"
        while next(lines) != "event: trouble":
            pass
        assert "no stream" in next(lines)
        began = time.monotonic()
    # An open page does not keep the server from stopping.
    assert time.monotonic() - began < 2
    events.close()


def test_it_listens_on_loopback_only(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address to call it by")
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex((own, int(port))) != 0


def test_a_port_that_is_taken_is_named(console: Console, url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(LocalError, match=f"port {port} is taken"), serve(console.deployment, port):
        pass
