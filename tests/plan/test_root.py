"""The whole system in each environment's plan: an inventory to review in a diff, and rules for all of it."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatchcase
from typing import Any

import pytest

from local import ROOT
from local.hcl import Module, load
from tests.support.plan import WAY_OUT, Plan, counted, listed, redrives, resources, statements

pytestmark = pytest.mark.plan

ENVIRONMENTS = ["local", "dev", "prod", "options"]
# With Stripe as the gateway, there are two more functions, a key and two secrets.
WITH_STRIPE = "prod"

EXECUTION_LOG = "module.api.aws_cloudwatch_log_group.execution[0]"
EXECUTION_LOG_NAME = "log-group:API-Gateway-Execution-Logs_*/prod"

# AWS gives these actions no resource to be limited to.
STAR_IS_FORCED = {
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def root(environment: str, root_plan: Any) -> Plan:
    planned: Plan = root_plan(environment)
    return planned


def test_inventory(environment: str, root: Plan) -> None:
    """The plan creates what the inventory lists, no more and no less."""
    made, expected = counted(environment, resources(root))
    assert made == expected, WAY_OUT


def test_every_name_ends_in_the_suffix(environment: str, root: Plan) -> None:
    named = {
        "aws_lambda_function": "function_name",
        "aws_sqs_queue": "name",
        "aws_dynamodb_table": "name",
        "aws_sns_topic": "name",
        "aws_kms_alias": "name",
        "aws_cloudwatch_log_group": "name",
        "aws_api_gateway_rest_api": "name",
        "aws_lambda_layer_version": "layer_name",
    }
    # The name of API Gateway's own log group has the API's id, which is known after the apply only.
    seen = [
        (r["address"], r["values"][named[r["type"]]])
        for r in resources(root)
        if r["type"] in named and r["address"] != EXECUTION_LOG
    ]
    assert len(seen) > 20
    assert [pair for pair in seen if not pair[1].endswith(f"-{environment}")] == []


def test_every_resource_carries_the_tags(environment: str, root: Plan) -> None:
    tagged = [r for r in resources(root) if r["values"].get("tags_all") is not None]
    assert len(tagged) > 30
    expected = {"Environment": environment, "Project": "payment-processing", "CostCenter": "engineering"}
    missing = {r["address"] for r in tagged if expected.items() - r["values"]["tags_all"].items()}
    assert missing == set()


def test_the_parts_of_the_design(environment: str, root: Plan) -> None:
    names = {r["values"].get("name") or r["values"].get("function_name") for r in resources(root)}
    assert {
        f"payment-{part}-{environment}"
        for part in [
            "validator",
            "relay",
            "processor",
            "notifier",
            "reader",
            "refunder",
            "reconciler",
            "transactions",
            "validator-to-processor",
            "processor-to-notifier",
            "validator-dlq",
            "processor-dlq",
            "relay-dlq",
            "announcements",
            "alarms",
            "api",
        ]
    } <= names


def test_functions(environment: str, root: Plan) -> None:
    functions = resources(root, "aws_lambda_function")
    assert len(functions) == (9 if environment == WITH_STRIPE else 7)
    for function in functions:
        values = function["values"]
        assert values["architectures"] == ["arm64"]
        assert values["runtime"] == "python3.13"
        assert values["memory_size"] == 512
        assert values["tracing_config"] == [{"mode": "Active"}]
        assert values["publish"] is True
        assert values["logging_config"][0]["log_format"] == "JSON"
        short = {"processor", "notifier"} if environment == "local" else set()
        role = values["function_name"].split("-")[1]
        # The comparison reads a whole day in one run.
        daily = values["function_name"].startswith("payment-stripe-comparer-")
        assert values["timeout"] == (900 if daily else 5 if role in short else 30)


@pytest.mark.parametrize(("case", "level"), [("prod", "INFO"), ("options", "WARN"), ("webhooks", "INFO")])
def test_lambdas_own_filter_lets_the_metrics_through(root_plan: Any, case: str, level: str) -> None:
    """A metric is a line without a level, which counts as INFO: above that Lambda would drop it."""
    functions = [function["values"] for function in resources(root_plan(case), "aws_lambda_function")]
    assert {function["logging_config"][0]["application_log_level"] for function in functions} == {"INFO"}
    # Where an environment has a queue's URL, a plan shows none of it.
    known = [function["environment"][0].get("variables") for function in functions]
    assert {variables["POWERTOOLS_LOG_LEVEL"] for variables in known if variables} == {level}


def test_every_queue_has_a_dead_letter_queue_that_outlives_it(root: Plan) -> None:
    queues = {queue["values"]["name"]: queue["values"] for queue in resources(root, "aws_sqs_queue")}
    assert len(queues) == 5
    given_up = redrives(root)
    for name, queue in queues.items():
        if "-dlq-" in name:
            assert queue["message_retention_seconds"] == 1209600
            continue
        dead_letter = queues[given_up[name]["deadLetterTargetArn"].rsplit(":", 1)[1]]
        assert dead_letter["message_retention_seconds"] > queue["message_retention_seconds"]


def test_a_message_stays_hidden_six_times_its_consumers_timeout(environment: str, root: Plan) -> None:
    timeouts = {f["values"]["function_name"]: f["values"]["timeout"] for f in resources(root, "aws_lambda_function")}
    hidden = {q["values"]["name"]: q["values"]["visibility_timeout_seconds"] for q in resources(root, "aws_sqs_queue")}
    for queue, consumer in (("validator-to-processor", "processor"), ("processor-to-notifier", "notifier")):
        timeout = timeouts[f"payment-{consumer}-{environment}"]
        assert hidden[f"payment-{queue}-{environment}"] == 6 * timeout


def test_no_policy_has_a_star(root: Plan) -> None:
    """No action is a star, and no resource is one unless AWS allows no other."""
    found = list(statements(root, "aws_iam_role_policy"))
    assert len(found) > 15
    for address, statement in found:
        assert not [action for action in statement["Action"] if action.endswith("*")], address
        if "*" in statement["Resource"] and statement["Effect"] == "Allow":
            assert set(statement["Action"]) <= STAR_IS_FORCED, (address, statement)


def test_a_key_is_used_through_its_service_and_by_its_alias_alone(environment: str, root: Plan) -> None:
    """A key's ARN is not known at plan, so a statement names all keys of the account; its conditions select the key."""
    found = 0
    for address, statement in statements(root, "aws_iam_role_policy"):
        if not any(action.startswith("kms:") for action in statement["Action"]):
            continue
        found += 1
        tests = {name: values for test in statement.get("Condition", {}).values() for name, values in test.items()}
        if statement["Action"] == ["kms:DescribeKey"]:
            # AWS Backup describes a key itself, and no service stands between. It learns no data that way.
            assert "module.backup" in address
            tests["kms:ViaService"] = []
        if statement["Action"] == ["kms:CreateGrant"]:
            # For a grant that a service creates for itself, KMS does not say which service it is.
            assert tests.pop("kms:GrantIsForAWSResource") == "true", address
            tests["kms:ViaService"] = []
        assert all(re.fullmatch(r"[a-z]+\.[a-z0-9-]+\.amazonaws\.com", one) for one in listed(tests["kms:ViaService"]))
        if statement["Sid"] in {"GrantsForCopies", "KeysOfCopies"}:
            # The key of a vault elsewhere: nothing but its region and account is known here, which are not the stack's.
            assert environment == "options"
            assert statement["Resource"] == ["arn:aws:kms:eu-west-1:000000000000:key/*"]
            assert "kms:ResourceAliases" not in tests
            continue
        aliases = listed(tests["kms:ResourceAliases"])
        assert aliases, address
        assert all(re.fullmatch(r"alias/payment-[a-z0-9-]+", one) for one in aliases), address
    assert found > 15


@pytest.mark.parametrize("case", [*ENVIRONMENTS, "stripe", "webhooks"])
def test_the_code_of_a_function_cannot_touch_the_network(root_plan: Any, case: str) -> None:
    """Lambda manages a function's network interfaces with the function's role; the function's own code must not.

    Only calls from the code carry the function's ARN: AWS Lambda's guide, "Using source function ARN".
    """
    plan = root_plan(case)
    by_role: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for address, statement in statements(plan, "aws_iam_role_policy"):
        if any(action.startswith("ec2:") for action in statement["Action"]):
            by_role.setdefault(address, {"Allow": [], "Deny": []})[statement["Effect"]].append(statement)
    assert len(by_role) == len(resources(plan, "aws_lambda_function"))
    for address, found in by_role.items():
        (deny,) = found["Deny"]
        allowed = {action for allow in found["Allow"] for action in allow["Action"]}
        assert allowed <= set(deny["Action"]), address
        assert deny["Resource"] == ["*"]
        ((test, condition),) = deny["Condition"].items()
        assert (test, list(condition)) == ("ArnLike", ["lambda:SourceFunctionArn"])
        (pattern,) = condition["lambda:SourceFunctionArn"]
        assert re.fullmatch(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:\*", pattern)


WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem"}


@pytest.mark.parametrize("case", [*ENVIRONMENTS, "stripe", "webhooks"])
def test_a_function_that_only_reads_a_table_cannot_encrypt_with_its_key(root_plan: Any, case: str) -> None:
    rights: dict[str, set[str]] = {}
    for address, statement in statements(root_plan(case), "aws_iam_role_policy"):
        if "module.backup" not in address:
            via = listed(statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", ""))[0]
            tables = {action for action in statement["Action"] if via.startswith("dynamodb.") or "dynamodb:" in action}
            rights.setdefault(address, set()).update(tables)
    readers = {address: own for address, own in rights.items() if own and not own & WRITES}
    assert any("reader" in address for address in readers)
    assert {address for address, own in readers.items() if own & {"kms:Encrypt", "kms:GenerateDataKey"}} == set()


@pytest.mark.parametrize("case", [*ENVIRONMENTS, "stripe", "webhooks"])
def test_the_keys_serve_the_logs_and_the_alarms_of_this_stack_alone(root_plan: Any, case: str) -> None:
    plan = root_plan(case)
    suffix = plan["variables"]["environment_suffix"]["value"]
    patterns = [
        value
        for _, statement in statements(plan, "aws_kms_key")
        for condition in statement.get("Condition", {}).values()
        for name, values in condition.items()
        if name in {"aws:SourceArn", "kms:EncryptionContext:aws:logs:arn"}
        for value in listed(values)
    ]
    assert len(patterns) >= 5
    ours = [pattern for pattern in patterns if pattern.split(":", 5)[5] != EXECUTION_LOG_NAME]
    assert [pattern for pattern in ours if not pattern.endswith(f"-{suffix}")] == []
    assert len(patterns) - len(ours) == (1 if case == "options" else 0)
    served = {
        f"log-group:{group['values']['name']}"
        for group in resources(plan, "aws_cloudwatch_log_group")
        if group["address"] != EXECUTION_LOG
    } | {
        f"alarm:{alarm['values']['alarm_name']}"
        for type_ in ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm")
        for alarm in resources(plan, type_)
    }
    assert len(served) > 30

    def is_served(name: str) -> bool:
        return any(fnmatchcase(name, pattern.split(":", 5)[5]) for pattern in patterns)

    assert {one for one in served if not is_served(one)} == set()
    # A stack whose suffix ends in this one's, as prod-eu ends in eu, has the same names with more before the suffix.
    others = {f"{one.removesuffix(suffix)}{more}-{suffix}" for one in served for more in ("prod", "x", "a-b", "dlq-1")}
    assert {one for one in others if is_served(one)} == set()


# CodeDeploy supports no condition in its trust policy, and those of Lambda and EC2 have no source.
_NO_SOURCE = {"lambda.amazonaws.com", "codedeploy.amazonaws.com", "ec2.amazonaws.com"}


def test_a_role_is_assumed_by_one_service_for_this_account(root: Plan) -> None:
    roles = resources(root, "aws_iam_role")
    assert len(roles) > 7
    for role in roles:
        (statement,) = json.loads(role["values"]["assume_role_policy"])["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        (service,) = listed(statement["Principal"]["Service"])
        if service not in _NO_SOURCE:
            told = json.dumps(statement.get("Condition"))
            assert "aws:SourceAccount" in told or "aws:SourceArn" in told, role["address"]


def test_a_function_is_called_by_what_it_is_for(environment: str, root: Plan) -> None:
    """Who may call a function, at which version, and from where. The embedded AWS would allow everybody."""
    allowed = {}
    for permission in resources(root, "aws_lambda_permission"):
        values = permission["values"]
        assert (values["action"], values["qualifier"]) == ("lambda:InvokeFunction", "live")
        allowed[permission["address"]] = (values["function_name"].removesuffix(f"-{environment}"), values["principal"])
        # The source is known only after the apply, or names this stack's own API or schedule.
        assert permission["unknown"].get("source_arn") or "*" not in values["source_arn"].split("/")[0]
    stripe = {
        ("payment-stripe-comparer", "events.amazonaws.com"),
        ("payment-stripe-webhook", "apigateway.amazonaws.com"),
    }
    assert set(allowed.values()) - (stripe if environment == WITH_STRIPE else set()) == {
        ("payment-validator", "apigateway.amazonaws.com"),
        ("payment-refunder", "apigateway.amazonaws.com"),
        ("payment-reader", "apigateway.amazonaws.com"),
        ("payment-reconciler", "events.amazonaws.com"),
    }
    assert len(allowed) >= 6


def test_every_policy_is_known_at_plan(root: Plan) -> None:
    unknown = [
        r["address"]
        for r in resources(root)
        if r["type"] in {"aws_iam_role_policy", "aws_iam_role", "aws_sns_topic_policy", "aws_kms_key"}
        for field in ("policy", "assume_role_policy")
        if field in r["unknown"] and r["unknown"][field]
    ]
    assert unknown == []


def test_a_second_region_has_roles_of_its_own(root_plan: Any) -> None:
    """An account has its roles for all regions together. All other names are the same (docs/decisions/0045)."""
    first, second = (
        {role["values"]["name"] for role in resources(root_plan(case), "aws_iam_role")} for case in ("dev", "region")
    )
    assert len(first) > 7
    assert {f"{name}-euw1" for name in first} <= second
    assert max(map(len, second)) <= 64, "IAM takes 64 characters"
    longest = f"payment-webhook-{'e' * 20}-{'s' * 20}-usgw1"
    assert len(longest) <= 64


def test_only_a_stack_without_real_money_deletes_its_secrets_at_once() -> None:
    """Until a deleted secret is gone, its name is blocked: dev must be able to come back, and prod to take it back."""
    days = {file.stem: load(file).get("secret_recovery_days") for file in (ROOT / "env").glob("*.tfvars")}
    assert days == {"dev": 0, "local": 0, "prod": None}
    assert Module(ROOT).default("secret_recovery_days") == 30


def test_everything_at_rest_is_encrypted_with_our_keys(environment: str, root: Plan) -> None:
    keyed = {
        "aws_sqs_queue": "kms_master_key_id",
        "aws_sns_topic": "kms_master_key_id",
        "aws_cloudwatch_log_group": "kms_key_id",
        "aws_lambda_function": "kms_key_arn",
    }
    holders = [r for r in resources(root) if r["type"] in keyed]
    assert len(holders) > 15
    # A key's ARN is known only after the apply; the plan can show that it will be set.
    for holder in holders:
        field = keyed[holder["type"]]
        assert holder["values"].get(field) or holder["unknown"].get(field), holder["address"]
    for table in resources(root, "aws_dynamodb_table"):
        assert table["values"]["server_side_encryption"][0]["enabled"] is True
    keys = resources(root, "aws_kms_key")
    assert len(keys) == (6 if environment in {"options", WITH_STRIPE} else 5)
    assert all(key["values"]["enable_key_rotation"] for key in keys)


def test_log_retention(environment: str, root: Plan) -> None:
    days = {"local": 1, "dev": 14}.get(environment, 365)
    groups = resources(root, "aws_cloudwatch_log_group")
    assert len(groups) == {"options": 11, WITH_STRIPE: 11}.get(environment, 9)
    assert {group["values"]["retention_in_days"] for group in groups} == {days}


def test_outputs(root: Plan) -> None:
    assert {"api_gateway_url", "dynamodb_table_name", "validator_queue_url", "processor_queue_url", "vpc_id"} <= set(
        root["planned_values"]["outputs"]
    )


def test_options_are_off_by_default(root_plan: Any) -> None:
    off, on = ({r["type"] for r in resources(root_plan(environment))} for environment in ("prod", "options"))
    assert on - off >= {
        "aws_api_gateway_domain_name",
        "aws_backup_plan",
        "aws_codedeploy_deployment_group",
        "aws_lambda_provisioned_concurrency_config",
        "aws_wafv2_web_acl",
    }
    # The network's resources differ by mode, and Stripe has secrets; no option removes anything else.
    assert {type_ for type_ in off - on if not type_.startswith(("aws_nat", "aws_eip", "aws_secretsmanager"))} == set()


def test_the_options_reach_what_they_are_for(root_plan: Any) -> None:
    plan = root_plan("options")
    named = {r["address"]: r["values"] for r in resources(plan)}
    (replica,) = named["module.table.aws_dynamodb_table.this"]["replica"]
    assert replica["region_name"] == "eu-west-1"
    assert (
        named['module.function["reader"].aws_lambda_function.this']["snap_start"][0]["apply_on"] == "PublishedVersions"
    )
    ready = named['module.function["validator"].aws_lambda_provisioned_concurrency_config.live[0]']
    assert ready["provisioned_concurrent_executions"] == 5
    for environment, setting in (("prod", "false"), ("options", "true")):
        (processor,) = (
            r["values"]
            for r in resources(root_plan(environment), "aws_lambda_function")
            if r["address"] == 'module.function["processor"].aws_lambda_function.this'
        )
        assert processor["environment"][0]["variables"]["RESTORED"] == setting
    (rule,) = named["module.backup[0].aws_backup_plan.this"]["rule"]
    assert rule["copy_action"][0]["destination_vault_arn"].endswith(":away")
    assert plan["planned_values"]["outputs"]["api_gateway_url"]["value"] == "https://pay.example.com"

    # An alarm with another name would never roll the deployment back.
    alarms = {alarm["values"]["alarm_name"] for alarm in resources(plan, "aws_cloudwatch_metric_alarm")}
    groups = resources(plan, "aws_codedeploy_deployment_group")
    assert {group["address"].split('"')[1] for group in groups} == {"processor", "validator"}
    for group in groups:
        watched = group["values"]["alarm_configuration"][0]["alarms"]
        assert len(watched) == 2
        assert set(watched) <= alarms


BAD_VALUES = {
    "backup": ({"retention_days": 7}, "backup.retention_days must be 35 or more"),
    "function_starts": ({"charger": {}}, "function_starts has a name that is not one of"),
    "gradual_deployment": ({"functions": ["charger"]}, "gradual_deployment.functions has a name that is not one of"),
    "private_api": ({"vpc_endpoint_ids": []}, "private_api.vpc_endpoint_ids must name at least one VPC endpoint"),
    "environment_suffix": ("Not_This", "environment_suffix must be 1 to 20 lower-case letters"),
    "region": ("singapore", "region must be an AWS region's code"),
    "log_retention_days": (8, "log_retention_days must be one of"),
    "default_currency": ("usd", "default_currency must be an ISO 4217 code"),
    "amount_limits": ({"XXX": "1.5"}, "amount_limits has a key that is not the code"),
    "reconciler": ({"interval_minutes": 0, "older_than_minutes": 1440}, "reconciler.interval_minutes must be"),
    "gateway": ("cash", "gateway must be"),
    "log_level": ("LOUD", "log_level must be"),
    "key_deletion_window_days": (3, "key_deletion_window_days must be from 7 to 30"),
    "alarm_emails": (["nobody"], "alarm_emails holds something that is not an e-mail address"),
    "api": ({"authorization": "TRUST"}, "api.authorization must be"),
    "function_defaults": ({"timeout_seconds": 600}, "function_defaults.timeout_seconds must be from 3 to 120"),
    "functions": ({"charger": {}}, "functions has a name that is not one of"),
    "queues": ({"max_receive_count": 1}, "queues.max_receive_count must be from 2"),
    "network": ({"nat": {"mode": "free"}}, "network.nat.mode must be none, instance, gateway or gateway_per_az"),
    "runtime": ({"name": "python2.7"}, "runtime.name must be"),
    "table": ({"point_in_time_recovery_days": 99}, "table.point_in_time_recovery_days must be from 0"),
}


def test_bad_values_are_refused_by_name(root_errors: Any) -> None:
    """One plan with every variable wrong: each refusal names its variable and says what would be right."""
    said = " ".join(root_errors({name: value for name, (value, _) in BAD_VALUES.items()}).split())
    assert [message for _, message in BAD_VALUES.values() if message not in said] == []


# Further invalid values, for variables that can be wrong in more than one way.
BAD_OTHERWISE = {
    "amount_limits": ({"EUR": "much", "JPY": "1.5"}, "amount_limits must map ISO 4217 codes to decimal numbers"),
    "api": ({"authorization": "COGNITO_USER_POOLS"}, "api.cognito_user_pool_arns must name at least one user pool"),
    "environment_suffix": ("dev", ""),
    "function_defaults": ({"memory_mb": 64}, "function_defaults.memory_mb must be from 128 to 10240"),
    "functions": ({"relay": {"timeout_seconds": 1}}, "functions: timeout_seconds must be from 3 to 120"),
    "network": ({"cidr_block": "10.0.0.0/8", "nat": {"mode": "free"}}, "network.cidr_block must be an IPv4 block"),
    "queues": ({"batch_size": 11, "retention_seconds": 60}, "queues.batch_size must be from 1 to 10"),
    "runtime": ({"architecture": "sparc"}, "runtime.architecture must be arm64 or x86_64"),
}
_BESIDES = {
    "network.nat.mode must be none, instance, gateway or gateway_per_az",
    "queues.retention_seconds must be at least 3600 and less than queues.dead_letter_retention_seconds",
}


def test_each_way_to_be_wrong_is_reported(root_errors: Any) -> None:
    said = " ".join(root_errors({name: value for name, (value, _) in BAD_OTHERWISE.items()}).split())
    expected = {message for _, message in BAD_OTHERWISE.values()} | _BESIDES
    assert {message for message in expected if message not in said} == set()
    decimals = root_errors({"environment_suffix": "dev", "amount_limits": {"JPY": "1.5"}})
    assert "amount_limits has an amount with more decimals than its currency has" in " ".join(decimals.split())


# Values that are refused only in combination: Terraform reports them once each value is valid by itself.
BAD_TOGETHER = {
    "custom_domain": (
        {"name": "pay.example.com", "certificate_arn": "arn:aws:acm:ap-southeast-1:000000000000:certificate/a"},
        "custom_domain and private_api exclude each other",
    ),
    "environment_suffix": ("bad", ""),
    "functions": (
        {"processor": {"reserved_concurrency": 5}, "notifier": {"reserved_concurrency": 5, "maximum_concurrency": 6}},
        "functions: with reserved_concurrency, notifier and processor need a maximum_concurrency",
    ),
    "function_starts": (
        {"reader": {"snap_start": True, "provisioned_concurrency": 1}},
        "function_starts: choose provisioned_concurrency or snap_start",
    ),
    "private_api": ({"vpc_endpoint_ids": ["vpce-0"]}, ""),
    "route_throttles": ({"pay": {"rate_limit": 1, "burst_limit": 1}}, "route_throttles has a name that is not one of"),
    "table_replicas": (
        {"ap-southeast-1": {"kms_key_arn": "arn:aws:kms:ap-southeast-1:000000000000:key/a"}},
        "table_replicas names the stack's own region",
    ),
}


def test_values_that_do_not_go_together_are_refused(root_errors: Any) -> None:
    told = root_errors({name: value for name, (value, _) in BAD_TOGETHER.items()})
    assert [message for _, message in BAD_TOGETHER.values() if message not in told] == []


def test_a_module_refuses_by_the_name_that_the_root_knows(root_errors: Any) -> None:
    replicas = {"eu-west-1": {"kms_key_arn": "a"}}
    bad = {"waf": {"requests_per_address": 1}, "objectives": {"api_share": 1}, "thresholds": {"api_5xx": 0}}
    told = root_errors({"environment_suffix": "bad", "table_replicas": replicas} | bad)
    assert "objectives: api_share and payments_share must be at least 0.94 and below 1" in told
    assert "thresholds must all be above 0" in told
    assert "waf: requests_per_address must be from 10" in told
    assert "table_replicas: kms_key_arn must be the ARN of a key in the replica's own region" in told


def test_a_missing_layer_says_which_command_builds_it(root_errors: Any) -> None:
    said = " ".join(root_errors({"environment_suffix": "dev", "layer_dir": "build/no-such-layer"}).split())
    assert "Build it with `make layer`" in said


def test_a_layer_for_another_runtime_is_refused_before_it_cannot_be_imported(root_errors: Any) -> None:
    other = {"environment_suffix": "dev", "runtime": {"architecture": "x86_64"}}
    said = " ".join(root_errors(other).split())
    assert "is for python3.13 on arm64, and runtime asks for python3.13 on x86_64" in said
    assert "make layer ENV=" in said


def test_terraform_validates_the_root(initialised: dict[str, str]) -> None:
    checked = subprocess.run(
        ["terraform", "validate", "-json"], cwd=ROOT, env=initialised, check=False, capture_output=True, text=True
    )
    said = json.loads(checked.stdout)
    assert (said["valid"], said["diagnostics"]) == (True, [])
