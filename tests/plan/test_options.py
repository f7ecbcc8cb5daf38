"""Each option of a module, off and on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.plan import Cases, Plan, resources, statements

pytestmark = pytest.mark.plan

ModuleCases = Callable[[str, Cases], Plan]

CERTIFICATE = "arn:aws:acm:ap-southeast-1:000000000000:certificate/a"
SIGNING = "arn:aws:lambda:ap-southeast-1:000000000000:code-signing-config:csc-0123456789abcdef0"


def made(plan: Plan, case: str, type_: str) -> list[dict[str, Any]]:
    """Return the values of a case's resources of a type."""
    own = f"module.{case}."
    return [resource["values"] for resource in resources(plan, type_) if resource["address"].startswith(own)]


def the(plan: Plan, case: str, type_: str) -> dict[str, Any]:
    (values,) = made(plan, case, type_)
    return values


def types(plan: Plan, case: str) -> Counter[str]:
    own = f"module.{case}."
    return Counter(resource["type"] for resource in resources(plan) if resource["address"].startswith(own))


def policies(plan: Plan, case: str) -> dict[str, dict[str, Any]]:
    """Return the statements of a case's role policies by their names."""
    own = f"module.{case}."
    return {
        statement["Sid"]: statement
        for address, statement in statements(plan, "aws_iam_role_policy")
        if address.startswith(own)
    }


@pytest.fixture(scope="module")
def lambdas(module_cases: ModuleCases) -> Plan:
    return module_cases(
        "lambda",
        {
            "off": {},
            "ready": {"provisioned_concurrency": "5", "reserved_concurrency": "10", "ephemeral_storage_mb": "1024"},
            "snapshot": {"snap_start": "true"},
            "signed": {
                "code_signing_config_arn": f'"{SIGNING}"',
                "package": '{ s3 = { bucket = "b", key = "k", version = "v" }, sha256_base64 = "a" }',
            },
            "gradual": {"gradual_deployment": '{ alarm_names = ["b", "a"] }', "provisioned_concurrency": "1"},
            "shared": {
                "network": (
                    '{ subnet_ids = ["subnet-0"], security_group_ids = ["sg-0"], owner_account_id = "111111111111" }'
                )
            },
        },
    )


def test_lambda(lambdas: Plan) -> None:
    off = the(lambdas, "off", "aws_lambda_function")
    assert (off["snap_start"], off["code_signing_config_arn"], off["ephemeral_storage"]) == ([], None, [{"size": 512}])
    assert set(types(lambdas, "off")) == {
        "aws_cloudwatch_log_group",
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_lambda_alias",
        "aws_lambda_event_source_mapping",
        "aws_lambda_function",
    }

    ready = the(lambdas, "ready", "aws_lambda_provisioned_concurrency_config")
    assert (ready["provisioned_concurrent_executions"], ready["qualifier"]) == (5, "live")
    assert the(lambdas, "ready", "aws_lambda_function")["ephemeral_storage"] == [{"size": 1024}]

    assert the(lambdas, "snapshot", "aws_lambda_function")["snap_start"][0]["apply_on"] == "PublishedVersions"

    signed = the(lambdas, "signed", "aws_lambda_function")
    assert signed["code_signing_config_arn"] == SIGNING
    assert (signed["filename"], signed["s3_bucket"], signed["s3_key"], signed["s3_object_version"]) == (
        None,
        "b",
        "k",
        "v",
    )

    # There is exactly one alias, with one name, however it is moved.
    for case in ("off", "ready", "snapshot", "signed", "gradual"):
        assert the(lambdas, case, "aws_lambda_alias")["name"] == "live"


def test_lambda_names_whose_network_it_may_use(lambdas: Plan) -> None:
    """The interfaces are the function's own account's; the subnets and groups are those of the VPC's owner."""
    owners = {
        case: {
            arn.split(":")[5].split("/")[0]: arn.split(":")[4] for arn in policies(lambdas, case)["Network"]["Resource"]
        }
        for case in ("off", "shared")
    }
    mine = "000000000000"
    assert owners["off"] == {"network-interface": mine, "security-group": mine, "subnet": mine}
    assert owners["shared"] == {"network-interface": mine, "security-group": "111111111111", "subnet": "111111111111"}


def test_lambda_gradual_deployment(lambdas: Plan) -> None:
    assert the(lambdas, "gradual", "aws_codedeploy_app")["compute_platform"] == "Lambda"
    group = the(lambdas, "gradual", "aws_codedeploy_deployment_group")
    assert group["deployment_config_name"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    assert group["deployment_style"] == [{"deployment_option": "WITH_TRAFFIC_CONTROL", "deployment_type": "BLUE_GREEN"}]
    (alarms,) = group["alarm_configuration"]
    assert (alarms["enabled"], alarms["alarms"]) == (True, ["a", "b"])
    (back,) = group["auto_rollback_configuration"]
    assert set(back["events"]) == {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"}
    # The function's own provisioned concurrency belongs to the same alias.
    assert the(lambdas, "gradual", "aws_lambda_provisioned_concurrency_config")["qualifier"] == "live"

    allowed = policies(lambdas, "gradual")
    assert set(allowed["Shift"]["Action"]) == {
        "lambda:GetAlias",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    }
    assert [arn.split(":function:")[1] for arn in allowed["Shift"]["Resource"]] == [
        "payment-example",
        "payment-example:*",
    ]
    assert allowed["Watch"]["Action"] == ["cloudwatch:DescribeAlarms"]
    trusts = [json.loads(role["assume_role_policy"]) for role in made(lambdas, "gradual", "aws_iam_role")]
    assert {trust["Statement"][0]["Principal"]["Service"] for trust in trusts} == {
        "codedeploy.amazonaws.com",
        "lambda.amazonaws.com",
    }


@pytest.fixture(scope="module")
def apis(module_cases: ModuleCases) -> Plan:
    domain = f'name = "pay.example.com", certificate_arn = "{CERTIFICATE}"'
    private = '{ type = "PRIVATE", vpc_endpoint_ids = ["vpce-2", "vpce-1"] }'
    return module_cases(
        "apigw",
        {
            "off": {},
            "waf": {
                "waf": '{ requests_per_address = 500, counted_rule_groups = ["AWSManagedRulesCommonRuleSet"] }',
            },
            "domain": {"custom_domain": f'{{ {domain}, hosted_zone_id = "Z1" }}'},
            "mutual": {
                "custom_domain": f'{{ {domain}, truststore = {{ uri = "s3://b/a.pem", version = "v" }} }}',
            },
            "private": {"endpoint": private},
            "private_with_keys": {"endpoint": private, "authorization": '"API_KEY"'},
            "cognito": {
                "authorization": '"COGNITO_USER_POOLS"',
                "cognito_user_pool_arns": '["arn:aws:cognito-idp:ap-southeast-1:000000000000:userpool/a"]',
            },
            "throttled": {"throttle": "{ routes = { read = { rate_limit = 7, burst_limit = 9 } } }"},
            "logged": {"execution_logs": "true"},
        },
    )


def test_apigw_off(apis: Plan) -> None:
    api = the(apis, "off", "aws_api_gateway_rest_api")
    assert api["endpoint_configuration"][0]["types"] == ["REGIONAL"]
    assert api["disable_execute_api_endpoint"] is False
    optional = {"wafv2", "domain_name", "rest_api_policy", "route53", "authorizer", "resource_policy", "api_key"}
    assert [type_ for type_ in types(apis, "off") if any(part in type_ for part in optional)] == []
    assert len(made(apis, "off", "aws_api_gateway_method_settings")) == 1


def test_apigw_execution_logs(apis: Plan) -> None:
    """Unless this group exists before the stage, API Gateway creates it, unencrypted and without a retention."""
    levels = {case: the(apis, case, "aws_api_gateway_method_settings")["settings"][0] for case in ("off", "logged")}
    assert {case: (own["logging_level"], own["data_trace_enabled"]) for case, own in levels.items()} == {
        "off": ("OFF", False),
        "logged": ("ERROR", False),
    }
    own = "module.logged.aws_cloudwatch_log_group.execution[0]"
    (group,) = [group for group in resources(apis, "aws_cloudwatch_log_group") if ".execution" in group["address"]]
    assert group["address"] == own
    # Its name has the API's id in it, and its key's ARN is known after the apply only.
    assert (group["unknown"]["name"], group["unknown"]["kms_key_id"]) == (True, True)
    assert group["values"]["retention_in_days"] == 14
    stage = apis["configuration"]["root_module"]["module_calls"]["logged"]["module"]["resources"]
    (depends_on,) = [one["depends_on"] for one in stage if one["address"] == "aws_api_gateway_stage.this"]
    assert depends_on == ["aws_cloudwatch_log_group.execution", "aws_lambda_permission.this"]


def test_apigw_waf(apis: Plan) -> None:
    acl = the(apis, "waf", "aws_wafv2_web_acl")
    assert (acl["scope"], acl["default_action"][0]["allow"] != []) == ("REGIONAL", True)
    rules = {rule["name"]: rule for rule in acl["rule"]}
    rate = rules["rate"]["statement"][0]["rate_based_statement"][0]
    assert (rate["limit"], rate["aggregate_key_type"], rules["rate"]["action"][0]["block"] != []) == (500, "IP", True)
    assert sorted(rules) == [
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "rate",
    ]
    assert len({rule["priority"] for rule in acl["rule"]}) == 4
    assert rules["AWSManagedRulesCommonRuleSet"]["override_action"][0]["count"] != []
    assert rules["AWSManagedRulesKnownBadInputsRuleSet"]["override_action"][0]["none"] != []
    # Samples would hold whole requests, and the log must not hold the caller's signature.
    assert {rule["visibility_config"][0]["sampled_requests_enabled"] for rule in acl["rule"]} == {False}
    logging = the(apis, "waf", "aws_wafv2_web_acl_logging_configuration")
    redacted = {
        field["single_header"][0]["name"] if part == "single_header" else part
        for field in logging["redacted_fields"]
        for part, value in field.items()
        if value
    }
    # The path, the query and the key contain the ids of payments and customers.
    assert redacted == {
        "authorization",
        "idempotency-key",
        "query_string",
        "uri_path",
        "x-amz-security-token",
        "x-api-key",
    }
    assert "aws-waf-logs-payment-example" in {group["name"] for group in made(apis, "waf", "aws_cloudwatch_log_group")}
    assert types(apis, "waf")["aws_wafv2_web_acl_association"] == 1
    (statement,) = json.loads(the(apis, "waf", "aws_cloudwatch_log_resource_policy")["policy_document"])["Statement"]
    assert statement["Principal"] == {"Service": "delivery.logs.amazonaws.com"}
    assert statement["Resource"].endswith(":log-group:aws-waf-logs-payment-example:*")


def test_apigw_custom_domain(apis: Plan) -> None:
    for case in ("domain", "mutual"):
        domain = the(apis, case, "aws_api_gateway_domain_name")
        assert (domain["security_policy"], domain["regional_certificate_arn"]) == ("TLS_1_2", CERTIFICATE)
        # The default endpoint would bypass the client certificate.
        assert the(apis, case, "aws_api_gateway_rest_api")["disable_execute_api_endpoint"] is True
        assert the(apis, case, "aws_api_gateway_base_path_mapping")["stage_name"] == "prod"
    assert the(apis, "domain", "aws_api_gateway_domain_name")["mutual_tls_authentication"] == []
    assert the(apis, "domain", "aws_route53_record")["type"] == "A"
    assert the(apis, "mutual", "aws_api_gateway_domain_name")["mutual_tls_authentication"] == [
        {"truststore_uri": "s3://b/a.pem", "truststore_version": "v"}
    ]
    assert made(apis, "mutual", "aws_route53_record") == []


def test_apigw_private(apis: Plan) -> None:
    effects = {}
    for case in ("private", "private_with_keys"):
        (endpoint,) = the(apis, case, "aws_api_gateway_rest_api")["endpoint_configuration"]
        assert (endpoint["types"], sorted(endpoint["vpc_endpoint_ids"])) == (["PRIVATE"], ["vpce-1", "vpce-2"])
        found = json.loads(the(apis, case, "aws_api_gateway_rest_api_policy")["policy"])["Statement"]
        effects[case] = [statement["Effect"] for statement in found]
        assert found[0]["Condition"] == {"StringNotEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}
    # An Allow would admit every signed caller of the account; without signatures, only an Allow admits anyone.
    assert effects == {"private": ["Deny"], "private_with_keys": ["Deny", "Allow"]}
    assert types(apis, "private_with_keys")["aws_api_gateway_usage_plan_key"] == 1
    assert {method["api_key_required"] for method in made(apis, "private_with_keys", "aws_api_gateway_method")} == {
        True
    }


def test_apigw_cognito(apis: Plan) -> None:
    assert the(apis, "cognito", "aws_api_gateway_authorizer")["type"] == "COGNITO_USER_POOLS"
    methods = made(apis, "cognito", "aws_api_gateway_method")
    assert {method["authorization"] for method in methods} == {"COGNITO_USER_POOLS"}


def test_apigw_route_throttle(apis: Plan) -> None:
    settings = {
        values["method_path"]: values["settings"][0]
        for values in made(apis, "throttled", "aws_api_gateway_method_settings")
    }
    assert sorted(settings) == ["*/*", "payments/{transaction_id}/GET"]
    own, general = settings["payments/{transaction_id}/GET"], settings["*/*"]
    assert (own["throttling_rate_limit"], own["throttling_burst_limit"]) == (7, 9)
    # A route's own settings replace all of the general ones, so those must be repeated here.
    throttle = {"throttling_rate_limit", "throttling_burst_limit"}
    assert {key: own[key] for key in own if key not in throttle} == {
        key: general[key] for key in general if key not in throttle
    }


def test_dynamodb(module_cases: ModuleCases) -> None:
    key = "arn:aws:kms:eu-west-1:000000000000:key/a"
    plan = module_cases(
        "dynamodb",
        {
            "off": {},
            "replicated": {"replicas": f'{{ eu-west-1 = {{ kms_key_arn = "{key}" }} }}'},
            "plain": {
                "point_in_time_recovery_days": "0",
                "deletion_protection": "false",
                "stream_view_type": "null",
                "ttl_attribute": '"expires_at"',
            },
        },
    )
    assert the(plan, "off", "aws_dynamodb_table")["replica"] == []
    assert the(plan, "off", "aws_dynamodb_table")["deletion_protection_enabled"] is True
    (replica,) = the(plan, "replicated", "aws_dynamodb_table")["replica"]
    assert (replica["region_name"], replica["kms_key_arn"]) == ("eu-west-1", key)
    assert (replica["point_in_time_recovery"], replica["propagate_tags"]) == (True, True)
    plain = the(plan, "plain", "aws_dynamodb_table")
    assert plain["point_in_time_recovery"][0]["enabled"] is False
    assert (plain["deletion_protection_enabled"], plain["stream_enabled"]) == (False, False)
    assert plain["ttl"] == [{"attribute_name": "expires_at", "enabled": True}]


def test_backup(module_cases: ModuleCases) -> None:
    away = "arn:aws:backup:eu-west-1:000000000000:backup-vault:away"
    plan = module_cases(
        "backup",
        {
            "off": {"cold_storage_after_days": "null", "lock": "null"},
            "near": {"copy_to_vault_arns": f'["{away.replace("eu-west-1", "ap-southeast-1")}"]'},
            "on": {
                "copy_to_vault_arns": f'["{away}"]',
                "lock": "{ min_retention_days = 35, changeable_for_days = 3 }",
            },
        },
    )
    (rule,) = the(plan, "off", "aws_backup_plan")["rule"]
    assert (rule["schedule"], rule["lifecycle"][0]["delete_after"]) == ("cron(0 18 * * ? *)", 365)
    assert (rule["lifecycle"][0]["cold_storage_after"], rule["copy_action"]) == (None, [])
    assert made(plan, "off", "aws_backup_vault_lock_configuration") == []

    (rule,) = the(plan, "on", "aws_backup_plan")["rule"]
    assert rule["lifecycle"][0]["cold_storage_after"] == 30
    assert [copy["destination_vault_arn"] for copy in rule["copy_action"]] == [away]
    lock = the(plan, "on", "aws_backup_vault_lock_configuration")
    assert (lock["min_retention_days"], lock["changeable_for_days"]) == (35, 3)

    (selected,) = the(plan, "on", "aws_backup_selection")["resources"]
    assert selected.endswith(":table/payment-example")
    allowed = policies(plan, "on")
    assert away in allowed["Vaults"]["Resource"]
    copies = {"CopiesOfBackups", "GrantsForCopies", "KeysOfCopies"}
    assert_may_back_up_only({name: one for name, one in allowed.items() if name not in copies}, selected)
    assert_may_back_up_only(policies(plan, "off"), selected)
    assert_may_copy_to_one_vault(allowed, away)
    # A vault of this region and account has the first vault's key: no other key of the account is open.
    assert copies - set(policies(plan, "near")) == {"GrantsForCopies", "KeysOfCopies"}


def assert_may_copy_to_one_vault(allowed: dict[str, Any], vault: str) -> None:
    copy = allowed["CopiesOfBackups"]
    assert copy["Action"] == ["backup:CopyFromBackupVault"]
    # The call is about the source recovery point, whose ARN does not name its vault.
    assert [arn.split(":", 3)[3] for arn in copy["Resource"]] == ["ap-southeast-1:000000000000:recovery-point:*"]
    assert copy["Condition"] == {"ForAllValues:ArnEquals": {"backup:CopyTargets": [vault]}}
    # Only the region of the key that encrypts the copy is known.
    for name in ("KeysOfCopies", "GrantsForCopies"):
        assert allowed[name]["Resource"] == ["arn:aws:kms:eu-west-1:000000000000:key/*"]
    assert allowed["GrantsForCopies"]["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def assert_may_back_up_only(allowed: dict[str, Any], table: str) -> None:
    assert allowed["Tables"]["Resource"] == [table]
    assert set(allowed) == {
        "Tables",
        "TheirBackups",
        "Vaults",
        "KeyVault",
        "KeyTablePaymentExample",
        "KeysThemselves",
        "GrantsOfServices",
        "TagsOfBackups",
    }
    # AWS Backup calls KMS itself, not through another service.
    assert allowed["KeysThemselves"]["Action"] == ["kms:DescribeKey"]
    assert set(allowed["KeysThemselves"]["Condition"]) == {"ForAnyValue:StringEquals"}
    # It may back up, but neither read nor write an item.
    actions = {action for statement in allowed.values() for action in statement["Action"]}
    assert {action for action in actions if action.startswith("dynamodb:")} == {
        "dynamodb:CreateBackup",
        "dynamodb:DeleteBackup",
        "dynamodb:DescribeBackup",
        "dynamodb:DescribeTable",
        "dynamodb:ListTagsOfResource",
        "dynamodb:StartAwsBackupJob",
    }
    for name in ("KeyVault", "KeyTablePaymentExample", "KeysThemselves", "GrantsOfServices"):
        assert "kms:ResourceAliases" in allowed[name]["Condition"]["ForAnyValue:StringEquals"]
