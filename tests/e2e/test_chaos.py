"""The short form of ``make chaos``: payments and refunds under faults, and an audit that finds nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chaos.run import PATIENCE_SECONDS, Size, SystemUnderTest, run, zeros

if TYPE_CHECKING:
    from ops.client import Api
    from tests.support.deployed import Deployed

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_charged_twice_or_left_unsaid_under_faults(deployed: Deployed, api: Api) -> None:
    stack = deployed.stack
    # An earlier dead letter that no redrive can process does not belong to this run.
    dead = {"QueueUrl": stack.outputs["relay_dlq_url"]}
    stack.sqs.send_message(**dead, MessageBody=json.dumps({"reason": "no payment", "sequence_number": "1"}))
    try:
        target = SystemUnderTest(stack, api, deployed.proxy, deployed.server)
        report, findings = run(target, Size(payments=120, seed=11, pause=0.7), lambda *_: None)
    finally:
        stack.sqs.purge_queue(**dead)
    assert zeros(report) == {}, (report, findings)
    # It did not end by a time-out.
    assert report["drain_seconds"] < PATIENCE_SECONDS
    assert report["acknowledged"] == report["posted"] == 120
    assert report["refunds_acknowledged"] > 0
    # The faults did occur: each kind of event, and faults in calls to every service that the functions use.
    assert {"worker killed", "gateway down", "queue paused"} <= report["faults"].keys()
    assert {"dynamodb", "sns", "sqs"} <= {kind.split()[0] for kind in report["faults"]}
