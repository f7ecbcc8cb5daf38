"""The HTTP API: requests, answers, problems, and the operations that the OpenAPI document describes."""
