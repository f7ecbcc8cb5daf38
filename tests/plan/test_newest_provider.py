"""Check, by argument names, that the modules would work with the newest major version of the AWS provider."""

from __future__ import annotations

import json

import pytest

from local import ROOT
from local.hcl import load
from tests.plan.newest_provider import FILE, used

pytestmark = pytest.mark.plan

# The package has a web ACL rule's statement as one value, so it does not name these six.
NOT_NAMED = {
    "aggregate_key_type",
    "evaluation_window_sec",
    "limit",
    "managed_rule_group_statement",
    "rate_based_statement",
    "vendor_name",
}


# What the modules use although it is deprecated, and why.
DEPRECATED = {
    # An index's key_schema is not in 5.100, which the modules allow.
    "resource aws_dynamodb_table": {"TableGlobalSecondaryIndex.hash_key", "TableGlobalSecondaryIndex.range_key"},
}


def test_the_modules_use_no_argument_that_the_newest_provider_does_not_know() -> None:
    known = json.loads(FILE.read_text(encoding="utf-8"))["arguments"]
    given = used()
    assert len(given) > 50
    assert [name for name in sorted(given) if not known.get(name)] == [], "Write newest_provider.json again."
    unknown = {name: sorted(arguments - set(known[name])) for name, arguments in given.items()}
    assert set(unknown["resource aws_wafv2_web_acl"]) == NOT_NAMED
    del unknown["resource aws_wafv2_web_acl"]
    assert {name: arguments for name, arguments in unknown.items() if arguments} == {}


def test_the_modules_use_no_argument_that_it_wants_to_drop_but_these() -> None:
    marked: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8"))["deprecated"]
    given = used()
    found = {
        name: {
            mark for mark in marks if {last := mark.rpartition(".")[2], last.removesuffix("s")} & given.get(name, set())
        }
        for name, marks in marked.items()
    }
    assert {name: marks for name, marks in found.items() if marks} == DEPRECATED


def test_the_modules_allow_that_version() -> None:
    major = int(json.loads(FILE.read_text(encoding="utf-8"))["version"].split(".")[0])
    files = sorted(ROOT.glob("modules/*/versions.tf"))
    required = [settings for file in files for settings in load(file)["terraform"][0]["required_providers"]]
    assert len(files) == len(list(ROOT.glob("modules/*")))
    assert {settings["aws"]["version"].rpartition(",")[2].strip() for settings in required} == {f"< {major + 1}.0"}
