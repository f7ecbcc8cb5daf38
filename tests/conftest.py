"""Set what Lambda sets before a function's module is imported, and rewrite the asserts of the support modules."""

import os

import pytest

os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Payments", "POWERTOOLS_SERVICE_NAME": "test"}
pytest.register_assert_rewrite("tests.support")
