"""The inputs that each module refuses, with its message: every validation with a value that breaks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local import ROOT
from local.hcl import Module
from tests.support.plan import Cases

pytestmark = pytest.mark.plan

LOCK = "{ min_retention_days = %s }"
DOMAIN = '{ name = "pay.example.com", certificate_arn = "arn:aws:acm:ap-southeast-1:000000000000:certificate/a"%s }'
ROUTE = '{ a = { function_name = "a", %s } }'
KEY_USE = '{ %s = { alias = "a", service = "sqs", actions = ["%s"] } }'
QUEUE = '{ a = { queue_arn = "arn:aws:sqs:ap-southeast-1:000000000000:a", kms_alias = "a", %s } }'
STREAM = (
    '{ a = { stream_arn = "a", stream_arn_pattern = "a", kms_alias = "a", on_failure_kms_alias = "a", '
    'on_failure_queue_arn = "a", %s } }'
)

MONITORED = '{ payments = { name = "a", dead_letter_queue_name = "b" } }'
ROLES = (
    '{ accepting = "worker", announcing = "worker", charging = "%s", reconciling = "worker", refunding = "worker", '
    "reconcile_minutes = %s }"
)
WATCHED = '{ a = { name = "a", timeout_seconds = %s, log_group_name = "a" } }'

HOOK = '{ shop = { url = "https://a.example/", %s } }'

# By module: the arguments with their values, and a part of the message.
REFUSED: dict[str, list[tuple[dict[str, str], str]]] = {
    "apigw": [
        ({"authorization": '"TRUST"'}, "authorization must be AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE"),
        ({"authorization": '"API_KEY"', "usage_plan": "null"}, "authorization is API_KEY, which needs a usage_plan"),
        (
            {"authorization": '"COGNITO_USER_POOLS"', "cognito_user_pool_arns": "[]"},
            "cognito_user_pool_arns must name at least one user pool",
        ),
        ({"custom_domain": DOMAIN.replace("pay.example.com", "Pay") % ""}, "name must be a full domain name"),
        ({"custom_domain": DOMAIN.replace("southeast-1", "south-1") % ""}, "a certificate in ACM of the API's region"),
        ({"custom_domain": DOMAIN % ', truststore = { uri = "a.pem" }'}, "truststore.uri must be s3://BUCKET/KEY"),
        ({"custom_domain": DOMAIN % ', base_path = "a/b"'}, "base_path must be one segment without slashes"),
        (
            {"custom_domain": DOMAIN % "", "endpoint": '{ type = "PRIVATE", vpc_endpoint_ids = ["vpce-1"] }'},
            "custom_domain needs endpoint.type REGIONAL",
        ),
        ({"endpoint": '{ type = "EDGE" }'}, "endpoint: type must be PRIVATE or REGIONAL"),
        ({"endpoint": '{ type = "PRIVATE" }'}, "vpc_endpoint_ids belongs to type PRIVATE, which needs at least one"),
        ({"endpoint": '{ vpc_endpoint_ids = ["vpce-1"] }'}, "vpc_endpoint_ids belongs to type PRIVATE"),
        ({"endpoint": '{ type = "PRIVATE", vpc_endpoint_ids = ["eni-1"] }'}, "which begin with vpce-"),
        ({"routes": ROUTE % 'method = "LOOK", path = "/a"'}, "method must be DELETE, GET, HEAD, PATCH, POST or PUT"),
        ({"routes": ROUTE % 'method = "GET", path = "a"'}, "path must be one to four segments"),
        ({"routes": ROUTE % 'method = "GET", path = "/a", request_schema = "{"'}, "request_schema must be JSON"),
        (
            {"routes": '{ for name in [1, 2] : name => { function_name = "a", method = "GET", path = "/a" } }'},
            "two routes have the same method and path",
        ),
        ({"stage_name": '"pro d"'}, "stage_name must be 1 to 128 letters"),
        ({"throttle": "{ rate_limit = 0 }"}, "rate_limit must be above 0"),
        ({"throttle": "{ routes = { read = { rate_limit = 0, burst_limit = 1 } } }"}, "rate_limit must be above 0"),
        ({"throttle": "{ routes = { pay = { rate_limit = 1, burst_limit = 1 } } }"}, "not one of the API's routes"),
        ({"usage_plan": '{ quota_limit = 1, quota_period = "YEAR" }'}, "quota_period must be DAY, WEEK or MONTH"),
        ({"waf": "{ requests_per_address = 9 }"}, "requests_per_address must be from 10"),
        ({"waf": '{ managed_rule_groups = ["Mine"] }'}, "whose names begin with AWSManagedRules"),
        ({"waf": '{ counted_rule_groups = ["Mine"] }'}, "counted_rule_groups must be among managed_rule_groups"),
    ],
    "backup": [
        ({"cold_storage_after_days": "300"}, "at least 90 less than retention_days"),
        ({"copy_to_vault_arns": '["there"]'}, "copy_to_vault_arns must be ARNs of backup vaults"),
        (
            {
                "copy_to_vault_arns": '["arn:aws:backup:ap-southeast-1:${local.context.account_id}'
                ':backup-vault:payment-backup-example"]'
            },
            "copy_to_vault_arns names the vault itself",
        ),
        ({"lock": LOCK % "400"}, "retention_days must lie between min_retention_days"),
        ({"lock": LOCK % "1, changeable_for_days = 1"}, "changeable_for_days must be 3 or more"),
        ({"name": '"a b"'}, "name must be 2 to 50 letters"),
        ({"retention_days": "0", "cold_storage_after_days": "null", "lock": "null"}, "retention_days must be from 1"),
        ({"schedule": '"daily"'}, "schedule must be cron(…) with six fields"),
        ({"tables": "{}"}, "tables must name at least one table"),
    ],
    "dynamodb": [
        ({"attributes": '{ transaction_id = "X", customer_id = "S", created_at = "S" }'}, "a type must be S, N or B"),
        ({"hash_key": '"nobody"'}, "hash_key must be one of attributes"),
        ({"indexes": '{ a = { hash_key = "nobody" } }'}, "hash_key and range_key must be among attributes"),
        ({"indexes": '{ a = { hash_key = "customer_id", projection_type = "X" } }'}, "projection_type must be ALL"),
        ({"name": '"a"'}, "name must be 3 to 255 letters"),
        ({"point_in_time_recovery_days": "36"}, "point_in_time_recovery_days must be from 0 (off) to 35"),
        (
            {"replicas": '{ eu-west-1 = { kms_key_arn = "a" } }', "stream_view_type": '"KEYS_ONLY"'},
            'replicas need stream_view_type = "NEW_AND_OLD_IMAGES"',
        ),
        ({"stream_view_type": '"ALL"'}, "stream_view_type must be KEYS_ONLY"),
    ],
    "eventbus": [
        ({"max_receive_count": "1"}, "max_receive_count must be from 2 to 1000"),
        ({"name": '"a b"'}, "name must be 1 to 59 letters"),
    ],
    "kms": [
        ({"keys": '{ a = { alias = "alias/x", description = "x" } }'}, "is written without the leading alias/"),
        (
            {"keys": '{ a = { alias = "x", description = "x", deletion_window_days = 1 } }'},
            "deletion_window_days must be from 7 to 30",
        ),
        (
            {
                "keys": '{ a = { alias = "x", description = "x", '
                'grants = [{ sid = "A", services = ["sns.amazonaws.com"], actions = ["kms:Decrypt"] }] } }'
            },
            "a grant to a service needs at least one condition",
        ),
    ],
    "lambda": [
        ({"architecture": '"vax"'}, "architecture must be arm64 or x86_64"),
        ({"code_signing_config_arn": '"mine"'}, "must be the ARN of a code signing configuration"),
        ({"ephemeral_storage_mb": "100"}, "ephemeral_storage_mb must be from 512 to 10240"),
        ({"gradual_deployment": "{ alarm_names = [] }"}, "alarm_names must name 1 to 10 alarms"),
        (
            {"gradual_deployment": '{ alarm_names = ["a"], traffic_shift = "CodeDeployDefault.Slowly" }'},
            "traffic_shift must be one of CodeDeploy's own for Lambda",
        ),
        ({"key_uses": KEY_USE % ("a", "kms:*")}, "name each action of KMS in full"),
        ({"key_uses": KEY_USE % ("read", "kms:Decrypt")}, "key_uses and statements must not share a name"),
        ({"logs": '{ retention_days = 1, kms_key_arn = "a", level = "LOUD" }'}, "logs.level must be TRACE"),
        ({"memory_mb": "64"}, "memory_mb must be from 128 to 10240"),
        ({"name": '"a b"'}, "name must be 1 to 64 letters"),
        ({"schedule": '"every day"'}, "schedule must be rate"),
        ({"package": '{ sha256_base64 = "a" }'}, "package must have a path or an s3, and not both"),
        ({"provisioned_concurrency": "-1"}, "provisioned_concurrency must be 0 (none) or a whole number"),
        ({"provisioned_concurrency": "5", "reserved_concurrency": "4"}, "must not be above reserved_concurrency"),
        ({"queue_sources": QUEUE % "maximum_concurrency = 1"}, "maximum_concurrency must be from 2 to 1000"),
        ({"queue_sources": QUEUE % "batch_size = 11"}, "batch_size must be from 1 to 10"),
        ({"reserved_concurrency": "-2"}, "reserved_concurrency must be -1 (none) or more"),
        ({"runtime": '"cobol"'}, "runtime must be a Python runtime"),
        (
            {"snap_start": "true", "provisioned_concurrency": "1"},
            "snap_start cannot be combined with provisioned_concurrency",
        ),
        (
            {"snap_start": "true", "ephemeral_storage_mb": "1024"},
            "provisioned_concurrency, nor with ephemeral_storage_mb above 512",
        ),
        ({"snap_start": "true", "runtime": '"python3.11"'}, "snap_start needs runtime python3.12 or newer"),
        ({"statements": '{ a = { actions = ["s3:*"], resources = ["a"] } }'}, "a star is refused"),
        ({"statements": '{ a = { actions = ["s3:GetObject"], resources = ["*"] } }'}, "a bare star is refused"),
        ({"stream_sources": STREAM % "maximum_record_age_seconds = 1"}, "maximum_record_age_seconds must be from 60"),
        ({"stream_sources": STREAM % "parallelization_factor = 11"}, "parallelization_factor must be from 1 to 10"),
        ({"timeout_seconds": "901"}, "timeout_seconds must be from 1 to 900"),
    ],
    "monitoring": [
        ({"dead_letter_queues": '{ payments = "a" }', "queues": MONITORED}, "must not share a key"),
        ({"functions": WATCHED % 0, "stream_function": '"a"', "roles": "null"}, "timeout_seconds must be above 0"),
        ({"name": '"a b"'}, "name must be 1 to 64 letters"),
        ({"objectives": "{ payments_share = 0.9 }"}, "api_share and payments_share must be at least 0.94 and below 1"),
        ({"objectives": "{ minimum_events = 0 }"}, "minimum_events must be at least 1, and payments_seconds above 0"),
        ({"roles": ROLES % ("nobody", 5)}, "roles names a function that is not one of functions"),
        ({"roles": ROLES % ("worker", 0)}, "reconcile_minutes must be a whole number from 1 to 1440"),
        ({"stream_function": '"nobody"'}, "stream_function must be one of functions"),
        ({"suffix": '"a b"'}, "suffix must be 1 to 64 letters"),
        ({"thresholds": "{ duration_share = 2 }"}, "duration_share must be above 0 and at most 1"),
        ({"thresholds": "{ errors = 0 }"}, "thresholds must all be above 0"),
    ],
    "network": [
        ({"availability_zone_ids": '["a"]'}, "availability_zone_ids must be empty, or name az_count different zones"),
        ({"exclude_zone_ids": '["us-east-1e"]'}, "exclude_zone_ids must be ids of availability zones"),
        ({"az_count": "7"}, "az_count must be from 1 to 6"),
        ({"cidr_block": '"10.0.0.0/8"'}, "cidr_block must be an IPv4 block from /16 to /24"),
        (
            {"functions": '{ a = ["dynamodb", "kms"] }', "nat": "{}"},
            "nat.mode is none, and some functions call what has no endpoint here: ",
        ),
        ({"gateway_endpoints": '["sqs"]'}, "gateway_endpoints may hold dynamodb and s3"),
        ({"interface_endpoints": '["https://sqs"]'}, "interface_endpoints must be the short names"),
        ({"nat": '{ mode = "magic" }'}, "nat.mode must be none, instance, gateway or gateway_per_az"),
        ({"nat": '{ mode = "instance", instance_type = "t3.nano" }'}, "nat.instance_type must be a Graviton type"),
    ],
    "sns": [
        ({"name": '"a b"'}, "name must be 1 to 256 letters"),
        ({"publishers": '{ a = "nobody" }'}, "publishers must be service principals"),
        ({"subscriptions": '{ a = { protocol = "http", endpoint = "http://a" } }'}, "Plain http is refused"),
    ],
    "sqs": [
        ({"batching_window_seconds": "301"}, "batching_window_seconds must be from 0 to 300"),
        ({"consumer_timeout_seconds": "901"}, "consumer_timeout_seconds must be from 1 to 900"),
        ({"dead_letter_retention_seconds": "345600"}, "must be more than retention_seconds"),
        ({"max_receive_count": "0"}, "max_receive_count must be from 1 to 1000"),
        ({"name": '"a b"'}, "name must be 1 to 80 letters"),
        ({"receive_wait_seconds": "0"}, "receive_wait_seconds must be from 1 to 20"),
        ({"retention_seconds": "1"}, "retention_seconds must be from 60"),
        (
            {"senders": '{ a = { service = "sns.amazonaws.com", arn = "arn:aws:sns:*" } }'},
            "senders must name a service principal",
        ),
    ],
    "webhooks": [
        ({"allowed_private_cidrs": '["loopback"]'}, "allowed_private_cidrs must be CIDR blocks"),
        *(
            (
                {"allowed_private_cidrs": f'["10.0.0.0/8", "{block}"]'},
                "allowed_private_cidrs must lie within 10.0.0.0/8",
            )
            for block in (
                "0.0.0.0/0",
                "10.0.0.0/7",
                "169.254.0.0/16",
                "fd00:ec2::254/128",
                "::/0",
                "::ffff:169.254.169.254/128",
                "169.254.169.254/32",
                "172.0.0.0/8",
            )
        ),
        ({"endpoints": '{ the-dlq = { url = "https://a.example/" } }'}, "a name is 2 to 20 lower-case letters"),
        ({"endpoints": '{ shop = { url = "http://a.example/" } }'}, "url must be https://host/path"),
        ({"endpoints": '{ shop = { url = "https://u:p@a.example/" } }'}, "url must be https://host/path"),
        ({"endpoints": HOOK % "events = []"}, "events must name at least one event"),
        ({"endpoints": HOOK % "maximum_concurrency = 1"}, "maximum_concurrency must be from 2 to 1000"),
        ({"endpoints": HOOK % "retry_delays_seconds = []"}, "retry_delays_seconds must have from 1 to 20 delays"),
        ({"endpoints": HOOK % "retry_delays_seconds = [43200]"}, "must be a whole number from 1 to 39600"),
        ({"endpoints": HOOK % "timeout_seconds = 60"}, "timeout_seconds must be a whole number from 1 to 30"),
        ({"retention_seconds": "120000"}, "must be at most half of retention_seconds"),
        ({"retention_seconds": "1209600"}, "retention_seconds must be at least 3600 and less than 1209600"),
        ({"secret_recovery_days": "3"}, "secret_recovery_days must be 0, or from 7 to 30"),
        ({"secret_ttl_seconds": "0"}, "secret_ttl_seconds must be from 1 to 3600"),
        ({"suffix": '"Prod_"'}, "suffix must be 1 to 20 lower-case letters"),
        ({"thresholds": "{ failed_deliveries = 0 }"}, "thresholds must all be above 0"),
        ({"thresholds": "{ hidden_messages = 100000 }"}, "hidden_messages must be below 100000"),
    ],
}


@pytest.mark.parametrize("module", sorted(REFUSED))
def test_bad_values_are_refused_with_a_reason(
    module_refusals: Callable[[str, Cases], dict[str, str]], module: str
) -> None:
    cases = {f"case_{number}": arguments for number, (arguments, _) in enumerate(REFUSED[module])}
    told = module_refusals(module, cases)
    expected = {f"case_{number}": message for number, (_, message) in enumerate(REFUSED[module])}
    assert {case: told[case] for case, message in expected.items() if message not in told[case]} == {}


def test_every_validation_of_a_module_is_tried() -> None:
    """Each module's messages, apart from values filled in at run time, are matched by a case above."""
    for module, cases in REFUSED.items():
        variables = Module(ROOT / "modules" / module)
        messages = [rule["error_message"] for rule in variables.nested("variable", inside="validation")]
        assert messages
        missing = [message for message in messages if not any(part in message for _, part in cases)]
        assert missing == [], module
