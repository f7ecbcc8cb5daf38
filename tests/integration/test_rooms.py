"""Each contract about who may import whom fails when somebody plants an import that it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local import ROOT

# By contract: a module, and an import that the contract forbids there.
PLANTED = {
    "A room uses only the rooms below it": ("src/payments/runtime/calls.py", "payments.table.store"),
    "The API is between the handlers and the domain": ("src/payments/api/requests.py", "payments.runtime.settings"),
    "Only handlers know the API": ("src/payments/webhooks/secret.py", "payments.api.problems"),
    "The domain is pure, and the gateway port with it": ("src/payments/domain/clock.py", "os"),
    "Use cases know their ports, and neither AWS nor what implements a port": (
        "src/payments/usecases/settle.py",
        "botocore.exceptions",
    ),
    "No function knows another": ("src/payments/handlers/relay.py", "payments.handlers.notifier"),
    "The gateway port knows no gateway and nothing of Lambda": (
        "src/payments/gateways/port.py",
        "payments.gateways.registry",
    ),
    "No gateway knows another": ("src/payments/gateways/simulator.py", "payments.gateways.stripe.money"),
    "Only Stripe's folder knows Stripe's package": ("src/payments/handlers/stripe_comparer.py", "stripe"),
    "Neither src nor local knows the tools; bench and chaos do not know each other": ("local/tls.py", "ops.output"),
    "Nothing imports a command but the program": ("ops/running.py", "ops.commands.stack"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("rooms")
    for folder in ("src", "ops", "local", "bench", "chaos"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken(copy: Path) -> set[str]:
    """Return the contracts that the copy breaks."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": f"{copy / 'src'}:{copy}"}
    ran = subprocess.run(command, cwd=copy, env=environment, check=False, capture_output=True, text=True)
    verdicts = [line for line in ran.stdout.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    assert len(verdicts) == len(PLANTED), ran.stdout + ran.stderr
    return {line.removesuffix(" BROKEN") for line in verdicts if line.endswith(" BROKEN")}


def test_every_contract_is_tried() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == PLANTED.keys()


def test_the_code_breaks_none(copy: Path) -> None:
    assert broken(copy) == set()


@pytest.mark.parametrize("contract", PLANTED)
def test_a_wrong_import_breaks_its_contract(contract: str, copy: Path) -> None:
    name, imported = PLANTED[contract]
    file = copy / name
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}\nimport {imported}\n", encoding="utf-8")
    try:
        assert contract in broken(copy)
    finally:
        file.write_text(before, encoding="utf-8")
