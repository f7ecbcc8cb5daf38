"""The plan of each module's example, and the inputs that each module refuses."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from local import ROOT
from tests.support.plan import Cases, Plan, one, redrives, resources, statements

pytestmark = pytest.mark.plan

ModulePlan = Callable[..., Plan]
ModuleCases = Callable[[str, Cases], Plan]


def test_kms(module_plan: ModulePlan) -> None:
    plan = module_plan("kms")
    keys = {key["address"].split('"')[1]: key["values"] for key in resources(plan, "aws_kms_key")}
    assert {key["enable_key_rotation"] for key in keys.values()} == {True}
    assert {key["deletion_window_in_days"] for key in keys.values()} == {30}
    assert sorted(alias["values"]["name"] for alias in resources(plan, "aws_kms_alias")) == [
        "alias/payment-logs-example",
        "alias/payment-sqs-example",
    ]
    account, grant = json.loads(keys["logs"]["policy"])["Statement"]
    assert account["Principal"]["AWS"].endswith(":root")
    assert grant["Principal"] == {"Service": ["logs.ap-southeast-1.amazonaws.com"]}
    assert list(grant["Condition"]) == ["ArnLike"]
    assert len(json.loads(keys["sqs"]["policy"])["Statement"]) == 1


def test_network(module_plan: ModulePlan) -> None:
    plan = module_plan("network")
    assert one(plan, "aws_vpc")["enable_dns_hostnames"] is True
    subnets = {subnet["values"]["cidr_block"] for subnet in resources(plan, "aws_subnet")}
    assert subnets == {"10.0.0.0/20", "10.0.16.0/20", "10.0.128.0/20", "10.0.144.0/20"}
    closed = one(plan, "aws_default_security_group")
    assert not closed.get("ingress")
    assert not closed.get("egress")
    template = one(plan, "aws_launch_template")
    assert template["metadata_options"][0]["http_tokens"] == "required"
    assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    assert one(plan, "aws_network_interface")["source_dest_check"] is False
    group = one(plan, "aws_autoscaling_group")
    assert (group["min_size"], group["max_size"], group["desired_capacity"]) == (1, 1, 1)
    endpoints = {
        r["values"]["service_name"].rsplit(".", 1)[1]: r["values"] for r in resources(plan, "aws_vpc_endpoint")
    }
    assert {name: endpoint["vpc_endpoint_type"] for name, endpoint in endpoints.items()} == {
        "dynamodb": "Gateway",
        "sns": "Interface",
        "sqs": "Interface",
    }
    egress = [rule["values"] for rule in resources(plan, "aws_vpc_security_group_egress_rule")]
    assert {(rule["from_port"], rule["to_port"], rule["ip_protocol"]) for rule in egress} == {(443, 443, "tcp")}
    assert one(plan, "aws_flow_log")["traffic_type"] == "ALL"


def test_dynamodb(module_plan: ModulePlan) -> None:
    table = one(module_plan("dynamodb"), "aws_dynamodb_table")
    assert table["billing_mode"] == "PAY_PER_REQUEST"
    assert table["deletion_protection_enabled"] is True
    assert table["point_in_time_recovery"] == [{"enabled": True, "recovery_period_in_days": 35}]
    assert table["server_side_encryption"][0]["enabled"] is True
    assert table["stream_view_type"] == "NEW_AND_OLD_IMAGES"
    (index,) = table["global_secondary_index"]
    assert (index["name"], index["projection_type"]) == ("customer-index", "KEYS_ONLY")


def test_sqs(module_plan: ModulePlan) -> None:
    plan = module_plan("sqs")
    queues = {queue["values"]["name"]: queue["values"] for queue in resources(plan, "aws_sqs_queue")}
    queue, dead_letter = queues["payment-example"], queues["payment-example-dlq"]
    redrive = redrives(plan)["payment-example"]
    assert redrive["deadLetterTargetArn"].endswith(":payment-example-dlq")
    assert redrive["maxReceiveCount"] == 3
    allowed = json.loads(dead_letter["redrive_allow_policy"])
    assert allowed["redrivePermission"] == "byQueue"
    assert allowed["sourceQueueArns"][0].endswith(":payment-example")
    assert (queue["visibility_timeout_seconds"], queue["receive_wait_time_seconds"]) == (180, 20)
    assert (queue["message_retention_seconds"], dead_letter["message_retention_seconds"]) == (345600, 1209600)
    for values in queues.values():
        (statement,) = json.loads(values["policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"].endswith(f":{values['name']}")


def test_sns(module_plan: ModulePlan) -> None:
    plan = module_plan("sns")
    deny, publisher = [statement for _, statement in statements(plan, "aws_sns_topic_policy")]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert publisher["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert list(publisher["Condition"]["StringEquals"]) == ["aws:SourceAccount"]
    assert json.loads(one(plan, "aws_sns_topic_subscription")["filter_policy"]) == {"status": ["processed"]}


def test_lambda(module_plan: ModulePlan) -> None:
    plan = module_plan("lambda")
    function = one(plan, "aws_lambda_function")
    assert function["publish"] is True
    assert function["architectures"] == ["arm64"]
    assert function["logging_config"][0]["log_format"] == "JSON"
    assert function["tracing_config"] == [{"mode": "Active"}]
    assert one(plan, "aws_cloudwatch_log_group")["name"] == "/aws/lambda/payment-example"
    assert one(plan, "aws_lambda_alias")["name"] == "live"
    (trust,) = json.loads(one(plan, "aws_iam_role")["assume_role_policy"])["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert list(trust["Condition"]["StringEquals"]) == ["aws:SourceAccount"]
    mappings = {
        mapping["address"].split(".")[-1].split("[")[0]: mapping["values"]
        for mapping in resources(plan, "aws_lambda_event_source_mapping")
    }
    assert mappings["queue"]["function_response_types"] == ["ReportBatchItemFailures"]
    assert mappings["queue"]["scaling_config"] == [{"maximum_concurrency": 5}]
    stream = mappings["stream"]
    assert stream["bisect_batch_on_function_error"] is True
    assert stream["starting_position"] == "TRIM_HORIZON"
    assert stream["maximum_record_age_in_seconds"] == 82800
    assert stream["destination_config"][0]["on_failure"][0]["destination_arn"].endswith(":payment-function-example-dlq")
    assert json.loads(stream["filter_criteria"][0]["filter"][0]["pattern"]) == {"eventName": ["INSERT"]}


def test_apigw(module_plan: ModulePlan) -> None:
    plan = module_plan("apigw")
    methods = {
        method["values"]["http_method"]: method["values"] for method in resources(plan, "aws_api_gateway_method")
    }
    assert {method["authorization"] for method in methods.values()} == {"AWS_IAM"}
    assert methods["GET"]["request_parameters"] == {"method.request.path.transaction_id": True}
    responses = {r["values"]["response_type"]: r["values"] for r in resources(plan, "aws_api_gateway_gateway_response")}
    assert len(responses) == 21
    for response in responses.values():
        problem = json.loads(response["response_templates"]["application/json"])
        assert problem["type"].startswith("/problems/")
        assert {"title", "detail", "instance"} <= set(problem)
        assert str(problem.get("status", "")) == (response["status_code"] or "")
        assert response["response_parameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        # The request's content must not be repeated.
        assert "validationErrorString" not in json.dumps(response)
    for throttled in ("THROTTLED", "QUOTA_EXCEEDED"):
        assert responses[throttled]["status_code"] == "429"
        assert "gatewayresponse.header.Retry-After" in responses[throttled]["response_parameters"]
    settings = one(plan, "aws_api_gateway_method_settings")["settings"][0]
    assert (settings["throttling_rate_limit"], settings["data_trace_enabled"]) == (100, False)
    stage = one(plan, "aws_api_gateway_stage")
    assert stage["xray_tracing_enabled"] is True
    assert json.loads(stage["access_log_settings"][0]["format"])["requestId"] == "$context.requestId"


DOMAIN = '{ name = "pay.example.com", certificate_arn = "arn:aws:acm:ap-southeast-1:000000000000:certificate/a"%s }'
PRIVATE = '{ type = "PRIVATE", vpc_endpoint_ids = ["vpce-2", "vpce-1"] }'


def test_a_new_deployment_exactly_when_something_served_has_changed(module_cases: ModuleCases) -> None:
    """API Gateway serves a snapshot: changes of its content need a new deployment; other changes must not cause one."""
    routes = """{ for name in ["read"] : name => {
      method = "%s", path = "/payments", function_name = "payment-example"
      request_schema = jsonencode({ type = "%s" }), headers = { "X" = %s }
    } }"""
    # All at once: an unchanged hash shows that it covers none of them.
    same = {
        "description": '"Another"',
        "logs": "{ retention_days = 30, kms_key_arn = aws_kms_key.example.arn }",
        "stage_name": '"v2"',
        "throttle": "{ rate_limit = 1, burst_limit = 1, routes = { read = { rate_limit = 1, burst_limit = 1 } } }",
        "usage_plan": "null",
        "waf": "{}",
    }
    other: Cases = {
        "other_authorization": {"authorization": '"NONE"'},
        "other_pools": {
            "authorization": '"COGNITO_USER_POOLS"',
            "cognito_user_pool_arns": '["arn:aws:cognito-idp:eu-west-1:000000000000:userpool/a"]',
        },
        "other_routes": {"routes": routes % ("PUT", "object", "true")},
        "other_method": {"routes": routes % ("POST", "object", "true")},
        "other_model": {"routes": routes % ("PUT", "string", "true")},
        "other_header": {"routes": routes % ("PUT", "object", "false")},
        # These are served too: the closed address and the resource policy take effect at the next deployment.
        "other_address": {"custom_domain": DOMAIN % ""},
        "other_policy": {"endpoint": PRIVATE},
    }
    plan = module_cases("apigw", {"as_it_is": {}, "same": same, **other})
    served = {
        resource["address"].split(".")[1]: resource["values"]["triggers"]["served"]
        for resource in resources(plan, "aws_api_gateway_deployment")
    }
    assert served["same"] == served["as_it_is"]
    assert len({served[case] for case in ["as_it_is", *other]}) == 1 + len(other)


def test_a_gateway_response_is_served_too() -> None:
    """No variable changes the gateway responses, so the source must show that the trigger covers them."""
    stage = (ROOT / "modules" / "apigw" / "stage.tf").read_text(encoding="utf-8")
    trigger = stage.split("served = sha256(jsonencode({", 1)[1].split("}))", 1)[0]
    assert "gateway_responses = local.gateway_responses" in trigger


def test_no_module_has_a_star_action(module_plan: ModulePlan) -> None:
    found = [
        (module, action)
        for module in ("lambda", "network", "sns")
        for type_ in ("aws_iam_role_policy", "aws_sns_topic_policy")
        for _, statement in statements(module_plan(module), type_)
        for action in statement["Action"]
    ]
    assert len(found) > 10
    assert [pair for pair in found if "*" in pair[1]] == []
