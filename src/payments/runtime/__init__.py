"""Lambda and AWS: clients, calls, secrets, settings, logs and metrics, queue batches, the handler wrapper."""
