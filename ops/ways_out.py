"""What to do about the errors of AWS that a deployment meets and whose text does not say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where the resource is: Terraform's address stands in parentheses, before the file.
_ADDRESS = r"(?=.*\((?P<address>[^ ]+), [^ ]+:\d+\))?"

# The sentence of an error, as a pattern, and its way out. {terraform} is how to call Terraform's import by hand; the
# other names are groups of the pattern.
_KNOWN = {
    rf"Secrets Manager Secret \((?P<name>[^)]+)\){_ADDRESS}.*already scheduled for deletion": (
        "The secret {name} was deleted, and can still be restored. To use it again: "
        "aws secretsmanager restore-secret --secret-id {name}, then {terraform} '{address}' ARN, with the ARN that "
        "this printed. To delete it for good: "
        "aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery. "
        "Then deploy again (docs/destroy.md)."
    ),
    r"CloudWatch Logs role ARN must be set in account settings": (
        "No role lets API Gateway write logs in this account and region. Apply bootstrap/ once, then deploy again."
    ),
    rf"Log Group \((?P<name>API-Gateway-Execution-Logs_[^)]+)\){_ADDRESS}.*already exists": (
        "API Gateway has already created this log group. Import it, then deploy again: {terraform} '{address}' {name}"
    ),
    r"decreases account's UnreservedConcurrentExecution below its minimum": (
        "The functions reserve more than the account has left. Set account_concurrency to what this prints: "
        "aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions"
    ),
    r"NotAvailableInZone|contain availability zone Lambda doesn't support": (
        "One of the stack's availability zones lacks a service. `aws ec2 describe-subnets` shows its id: add it to "
        "network.exclude_zone_ids, then deploy again (modules/network)."
    ),
    r"creating IAM Role \((?P<name>[^)]+)\).*EntityAlreadyExists": (
        "The role {name} exists. Roles are the same in all regions: if another region has a stack of this name, see "
        "region_in_role_names in docs/destroy.md. After an interrupted deployment, see docs/operations.md."
    ),
}


def ways_out(errors: Iterable[str], variables: str, workspace: str | None) -> list[str]:
    """Return a sentence for each error of Terraform that has a known way out, in order and without repeats.

    ``variables`` is the file of the environment's variables, as a person would give it in the root folder.
    """
    terraform = f"{f'TF_WORKSPACE={workspace} ' if workspace else ''}terraform import -var-file={variables}"
    found = (
        way.format(terraform=terraform, **{name: value or "ADDRESS" for name, value in match.groupdict().items()})
        for error in errors
        for pattern, way in _KNOWN.items()
        if (match := re.search(pattern, error))
    )
    return list(dict.fromkeys(found))
