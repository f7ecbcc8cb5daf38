# A laptop with the embedded AWS. Short time-outs, so you can watch a retry.
environment_suffix       = "local"
layer_dir                = "build/layer-local"
log_retention_days       = 1
key_deletion_window_days = 7
secret_recovery_days     = 0

functions = {
  processor = { timeout_seconds = 5 }
  notifier  = { timeout_seconds = 5 }
}

# The embedded AWS loses a rule's prefix list, which is how a security group refers to a gateway endpoint.
network = {
  gateway_endpoints = []
  nat               = { mode = "gateway" }
}

table = {
  deletion_protection = false
}

# The embedded AWS refuses a saved query. Here, python -m local.story shows a payment's story.
saved_queries = false
