"""The two small configurations in addition to the main one: the state's bucket, and another system from our modules."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import tftest

from local import ROOT
from tests.support.plan import Plan, message_of, one, resources, statements

pytestmark = pytest.mark.plan

KEY = "arn:aws:kms:ap-southeast-1:000000000000:key/%s"
MINE = {
    "network": '{"subnet_ids":["subnet-0a","subnet-0b"],"security_group_ids":["sg-0a"]}',
    "keys": json.dumps({use: {"alias": f"our-{use}", "arn": KEY % use} for use in ("data", "logs")}),
}


def test_bootstrap(small_root: Callable[[str], tftest.TerraformTest]) -> None:
    plan = small_root("bootstrap").plan(output=True)._raw  # noqa: SLF001 - the whole of it
    assert one(plan, "aws_s3_bucket")["bucket"] == "terraform-state-000000000000-ap-southeast-1"
    assert one(plan, "aws_s3_bucket_versioning")["versioning_configuration"][0]["status"] == "Enabled"
    (rule,) = one(plan, "aws_s3_bucket_server_side_encryption_configuration")["rule"]
    assert rule["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "aws:kms"
    closed = one(plan, "aws_s3_bucket_public_access_block")
    assert [closed[name] for name in closed if name.startswith(("block", "ignore", "restrict"))] == [True] * 4
    (statement,) = [found for _, found in statements(plan, "aws_s3_bucket_policy")]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert [arn.rsplit(":", 1)[1] for arn in statement["Resource"]] == [
        "terraform-state-000000000000-ap-southeast-1",
        "terraform-state-000000000000-ap-southeast-1/*",
    ]
    assert one(plan, "aws_kms_key")["enable_key_rotation"] is True
    assert one(plan, "aws_s3_bucket_lifecycle_configuration")["rule"][0]["noncurrent_version_expiration"][0] == {
        "newer_noncurrent_versions": 10,
        "noncurrent_days": 365,
    }
    written = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "bootstrap").glob("*.tf"))
    assert written.count("prevent_destroy = true") == 3


def test_bootstrap_owns_the_role_of_api_gateways_logs(
    small_root: Callable[[str], tftest.TerraformTest], root_plan: Callable[[str], Plan]
) -> None:
    """It is one setting for all APIs of an account in a region: destroying an environment must not remove it."""
    plan = small_root("bootstrap").plan(output=True)._raw  # noqa: SLF001 - the whole of it
    role = one(plan, "aws_iam_role")
    (trust,) = json.loads(role["assume_role_policy"])["Statement"]
    assert role["name"] == "api-gateway-logs-ap-southeast-1"
    # No key of the source: AWS documents none for this service, and a key that is not sent refuses every call.
    assert (trust["Principal"], trust.get("Condition")) == ({"Service": "apigateway.amazonaws.com"}, None)
    assert one(plan, "aws_iam_role_policy_attachment")["policy_arn"].endswith("/AmazonAPIGatewayPushToCloudWatchLogs")
    assert len(resources(plan, "aws_api_gateway_account")) == 1
    for case in ("dev", "prod", "options"):
        assert resources(root_plan(case), "aws_api_gateway_account") == []

    without = small_root("bootstrap").plan(output=True, tf_vars={"api_gateway_logs": "false"})._raw  # noqa: SLF001
    assert resources(without, "aws_iam_role") + resources(without, "aws_api_gateway_account") == []


def test_bootstrap_refuses(small_root: Callable[[str], tftest.TerraformTest]) -> None:
    with pytest.raises(tftest.TerraformTestError) as raised:
        small_root("bootstrap").plan(tf_vars={"bucket_name": "a.b", "old_version_days": "1", "region": "here"})
    told = message_of(str(raised.value.args[-1]))
    assert "bucket_name must be 3 to 63 lower-case letters" in told
    assert "old_version_days must be 30 or more" in told
    assert "region must be an AWS region's code" in told


def test_the_state_moves_into_the_bucket_in_one_step(terraform_environment: dict[str, str], tmp_path: Path) -> None:
    """Apply the bootstrap, write the file that it prints, and keep a state in the bucket, locked and encrypted."""
    environment = terraform_environment | {"AWS_S3_USE_PATH_STYLE": "true"}

    def terraform(folder: Path, *arguments: str) -> str:
        ran = subprocess.run(
            ["terraform", *arguments], cwd=folder, env=environment, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, message_of(ran.stderr)
        return ran.stdout

    bootstrap, main = tmp_path / "bootstrap", tmp_path / "main"
    shutil.copytree(ROOT / "bootstrap", bootstrap, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    (bootstrap / "path_override.tf").write_text('provider "aws" {\n  s3_use_path_style = true\n}\n', encoding="utf-8")
    main.mkdir()
    (main / "main.tf").write_text('resource "terraform_data" "kept" {\n  input = "here"\n}\n', encoding="utf-8")

    terraform(main, "init", "-input=false")
    terraform(main, "apply", "-input=false", "-auto-approve")
    terraform(bootstrap, "init", "-input=false")
    terraform(bootstrap, "apply", "-input=false", "-auto-approve")
    (main / "backend.tf").write_text(terraform(bootstrap, "output", "-raw", "backend"), encoding="utf-8")
    # Only the embedded AWS needs the last two settings.
    terraform(
        main,
        *("init", "-input=false", "-migrate-state", "-force-copy"),
        *("-backend-config=use_path_style=true", "-backend-config=skip_credentials_validation=true"),
    )
    assert "terraform_data.kept" in terraform(main, "state", "list")
    (main / "terraform.tfstate").unlink(missing_ok=True)
    assert "No changes" in terraform(main, "plan", "-input=false", "-no-color")


def test_the_repository_needs_no_backend() -> None:
    written = [file for file in ROOT.glob("*.tf") if 'backend "' in file.read_text(encoding="utf-8")]
    assert [file.name for file in written if file.name != "backend.tf"] == []
    assert "/backend.tf" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_bring_your_own(small_root: Callable[[str], tftest.TerraformTest]) -> None:
    example = small_root("examples/bring-your-own")
    plan = example.plan(output=True, tf_vars=MINE)._raw  # noqa: SLF001 - the whole of it
    made = Counter(resource["type"] for resource in resources(plan))
    assert (made["aws_lambda_function"], made["aws_sqs_queue"], made["aws_dynamodb_table"]) == (2, 2, 1)
    # The network and the keys exist already.
    assert [type_ for type_ in made if type_.startswith(("aws_vpc", "aws_subnet", "aws_kms"))] == []
    for function in resources(plan, "aws_lambda_function"):
        assert function["values"]["kms_key_arn"] == KEY % "data"
        assert function["values"]["vpc_config"][0]["subnet_ids"] == ["subnet-0a", "subnet-0b"]
    found = list(statements(plan, "aws_iam_role_policy"))
    assert [where for where, statement in found for action in statement["Action"] if "*" in action] == []
    assert one(plan, "aws_api_gateway_stage")["stage_name"] == "v1"


def test_bring_your_own_refuses_too_small_a_network(small_root: Callable[[str], tftest.TerraformTest]) -> None:
    with pytest.raises(tftest.TerraformTestError) as raised:
        small_root("examples/bring-your-own").plan(
            tf_vars=MINE | {"network": '{"subnet_ids":["subnet-0a"],"security_group_ids":["sg-0a"]}'}
        )
    assert "network needs at least two subnets" in message_of(str(raised.value.args[-1]))
