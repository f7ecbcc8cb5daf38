"""Each function is in the security group that it needs. Only AWS itself can show that no packet goes elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops.stack import Stack

pytestmark = pytest.mark.e2e


def test_each_function_is_in_the_group_that_it_needs(stack: Stack) -> None:
    groups = {group["GroupId"]: group for group in stack.client("ec2").describe_security_groups()["SecurityGroups"]}
    found = {}
    for function, name in stack.outputs["function_names"].items():
        (group,) = stack.functions.get_function_configuration(FunctionName=name)["VpcConfig"]["SecurityGroupIds"]
        found[function] = groups[group]
    outside = set(stack.outputs["internet_functions"])
    # The local stack has both kinds: SQS and SNS have an endpoint there, and DynamoDB has none.
    assert {"relay", "notifier"} == set(found) - outside
    for function, group in found.items():
        # The embedded AWS keeps a new group's rule for all protocols, which Terraform removes on AWS.
        https = [rule for rule in group["IpPermissionsEgress"] if rule["IpProtocol"] == "tcp"]
        blocks = {block["CidrIp"] for rule in https for block in rule["IpRanges"]}
        assert group["GroupName"] == f"payment-local-{'functions' if function in outside else 'endpoints-only'}"
        assert blocks == ({"0.0.0.0/0"} if function in outside else set()), function
