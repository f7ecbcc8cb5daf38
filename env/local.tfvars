# A laptop: the embedded AWS. Short time-outs, so that a retry can be watched.
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

# The embedded AWS refuses a saved query. python -m local.story tells a payment's story here.
saved_queries = false
