"""An upgrade from an older version of a module: Terraform forgets resources that have a new owner, and keeps them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from local import ROOT
from tests.support.plan import message_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.plan

# The role by which API Gateway writes the logs of a whole account: bootstrap/ sets it since docs/decisions/0044.
ONCE_MANAGED = [
    "aws_api_gateway_account.this",
    "aws_iam_role.account_logging",
    "aws_iam_role_policy_attachment.account_logging",
]


def state(module: str) -> dict[str, Any]:
    """Return a state of Terraform in which a module has what it once managed."""
    provider = 'provider["registry.terraform.io/hashicorp/aws"]'
    instance = {"schema_version": 0, "attributes": {"id": "old"}}
    return {
        "version": 4,
        "terraform_version": "1.11.0",
        "serial": 1,
        "lineage": "old",
        "outputs": {},
        "resources": [
            {
                "module": module,
                "mode": "managed",
                "type": address.split(".")[0],
                "name": address.split(".")[1],
                "provider": provider,
                "instances": [instance | ({"index_key": 0})],
            }
            for address in ONCE_MANAGED
        ],
    }


def test_an_upgrade_leaves_the_accounts_logging_role_alone(
    terraform_environment: dict[str, str], tmp_path: Path
) -> None:
    """Destroying it would silence every API of the account in its region."""
    (tmp_path / "modules").symlink_to(ROOT / "modules")
    (tmp_path / "main.tf").write_text(
        'module "stack" {\n  source = "./modules/apigw/examples/basic"\n}\n', encoding="utf-8"
    )
    (tmp_path / "terraform.tfstate").write_text(json.dumps(state("module.stack.module.api")), encoding="utf-8")

    def terraform(*arguments: str) -> str:
        ran = subprocess.run(
            ["terraform", *arguments],
            cwd=tmp_path,
            env=terraform_environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, message_of(ran.stderr)
        return ran.stdout

    terraform("init", "-input=false")
    terraform("plan", "-input=false", "-refresh=false", "-out=plan")
    changes = {
        change["address"].removeprefix("module.stack.module.api.").removesuffix("[0]"): change["change"]["actions"]
        for change in json.loads(terraform("show", "-json", "plan"))["resource_changes"]
    }
    assert [changes.get(address) for address in ONCE_MANAGED] == [["forget"]] * len(ONCE_MANAGED)
    assert [address for address, actions in changes.items() if "delete" in actions] == []
