"""The short form of ``make chaos``: payments and refunds under faults, and an audit that finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.run import Size, Target, run, zeros

if TYPE_CHECKING:
    from ops.client import Api
    from tests.e2e.conftest import Deployed

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_charged_twice_or_left_unsaid_under_faults(deployed: Deployed, api: Api) -> None:
    target = Target(deployed.stack, api, deployed.proxy, deployed.server)
    report, findings = run(target, Size(payments=120, seed=11, pause=0.7), lambda *_: None)
    assert zeros(report) == {}, findings
    assert report["acknowledged"] == report["posted"] == 120
    assert report["refunds_acknowledged"] > 0
    # The faults were there: each kind of the storm, and calls of every service that the functions talk to.
    assert {"worker killed", "gateway down", "queue paused"} <= report["faults"].keys()
    assert {"dynamodb", "sns", "sqs"} <= {kind.split()[0] for kind in report["faults"]}
