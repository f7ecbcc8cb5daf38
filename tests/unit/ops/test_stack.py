import pytest

from local import LocalError
from ops.payment import METHODS, methods_of
from ops.stack import Stack
from payments.gateways import registry
from payments.runtime.settings import SettingsError


def stack(gateway: str) -> Stack:
    return Stack({"gateway": {"name": gateway}})


def test_a_stack_is_tried_by_what_its_gateway_takes() -> None:
    assert set(METHODS) == set(registry.names())
    assert {name: methods_of(stack(name)) for name in METHODS} == METHODS
    assert methods_of(stack("acme")) == {}


def test_a_deployment_that_does_not_name_its_gateway_is_older() -> None:
    with pytest.raises(LocalError, match="earlier version"):
        methods_of(Stack({}))


def test_a_gateway_that_is_not_here_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme", "port", "registry"):
        monkeypatch.setenv("GATEWAY", name)
        with pytest.raises(SettingsError, match=f"must be one of simulator, stripe, not '{name}'"):
            registry.chosen(None)
