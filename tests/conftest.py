"""What must be set before a function's module is imported, as it is on Lambda; and asserts that explain themselves."""

import os

import pytest

os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Payments", "POWERTOOLS_SERVICE_NAME": "test"}
pytest.register_assert_rewrite("tests.support")
