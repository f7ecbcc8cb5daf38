from types import SimpleNamespace
from typing import Any

import pytest
import typer

from local import LocalError
from ops.commands.payments import _payer
from ops.payment import METHODS, methods_of
from ops.stack import Stack
from payments.gateways import registry
from payments.runtime.settings import SettingsError


def stack(gateway: str) -> Stack:
    return Stack({"gateway": {"name": gateway}})


def test_a_stack_is_tried_by_what_its_gateway_takes() -> None:
    # An added gateway needs none: then make up sends no payment.
    assert METHODS.keys() == {"simulator", "stripe"} <= set(registry.names())
    assert {name: methods_of(stack(name)) for name in METHODS} == METHODS
    assert methods_of(stack("acme")) == {}


def test_without_a_known_method_a_payment_needs_one() -> None:
    there: Any = SimpleNamespace(is_local=True, stack=stack("acme"))
    assert _payer(there, None, "acme_1") == ("ada", "acme_1")
    with pytest.raises(typer.BadParameter, match="--method is required with the gateway acme"):
        _payer(there, None, None)


def test_a_deployment_that_does_not_name_its_gateway_is_older() -> None:
    with pytest.raises(LocalError, match="earlier version"):
        methods_of(Stack({}))


def test_a_gateway_that_is_not_here_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme", "port", "registry"):
        monkeypatch.setenv("GATEWAY", name)
        with pytest.raises(SettingsError, match=f"must be one of simulator, stripe, not '{name}'"):
            registry.chosen(None)
