# The cheapest stack that is still complete: one small NAT instance instead of interface endpoints.
environment_suffix       = "dev"
log_retention_days       = 14
key_deletion_window_days = 7
secret_recovery_days     = 0

network = {
  availability_zone_count = 2
  interface_endpoints     = []
  nat                     = { mode = "instance" }
}

table = {
  deletion_protection         = false
  point_in_time_recovery_days = 1
}
