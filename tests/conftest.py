"""What must stand in the environment before a function's module is imported, as it does on Lambda."""

import os

os.environ |= {"POWERTOOLS_METRICS_NAMESPACE": "Payments", "POWERTOOLS_SERVICE_NAME": "test"}
