"""Which deployment a command uses, and how it calls the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from local import LocalError
from ops import target
from ops.client import Keys
from tests.support.stack import API, OUTPUTS

if TYPE_CHECKING:
    from pathlib import Path


def test_an_environment_that_is_not_deployed_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "account_terraform", lambda _env: MagicMock(outputs=dict))
    with pytest.raises(LocalError, match="make deploy ENV=dev"):
        target.resolve("dev")


@pytest.mark.parametrize("text", ["{", "[]", '{"region": 1}', None])
def test_a_file_that_holds_no_outputs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    file = tmp_path / "outputs.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("PAYMENTS_OUTPUTS", str(file))
    with pytest.raises(LocalError, match="not what `make -s outputs` prints"):
        target.resolve("dev")


@pytest.fixture
def outputs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({name: {"value": value} for name, value in OUTPUTS.items()}))
    monkeypatch.setenv("PAYMENTS_OUTPUTS", str(file))


@pytest.mark.usefixtures("outputs_file")
def test_an_account_is_called_with_the_credentials_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a role")
    there = target.resolve("dev")
    assert not there.is_local
    assert there.api.keys == Keys("test", "test", "of a role")
    assert there.api.url == OUTPUTS["api_gateway_url"]


@pytest.mark.usefixtures("outputs_file")
def test_an_api_that_goes_by_a_key_or_a_token_is_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENTS_API_KEY", "k")
    assert target.resolve("dev").api.headers == {"x-api-key": "k"}
    monkeypatch.setenv("PAYMENTS_API_TOKEN", "t")
    api = target.resolve("dev").api
    assert (api.keys, api.headers) == (None, {"x-api-key": "k", "authorization": "t"})


def test_a_roles_session_token_is_signed_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, str] = {}

    def request(_method: str, _url: str, *, headers: dict[str, str], **_rest: Any) -> MagicMock:
        sent.update(headers)
        return MagicMock(status_code=200)

    monkeypatch.setattr("ops.client.requests", MagicMock(request=request))
    API.get("order-1")
    assert sent["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in sent["Authorization"]
