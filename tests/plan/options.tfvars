# All options that are off by default, at once.
environment_suffix = "options"

account_concurrency = 1000

backup = {
  cold_storage_after_days = 30
  copy_to_vault_arns      = ["arn:aws:backup:eu-west-1:000000000000:backup-vault:away"]
  lock                    = { min_retention_days = 35 }
}

custom_domain = {
  name            = "pay.example.com"
  certificate_arn = "arn:aws:acm:ap-southeast-1:000000000000:certificate/a"
  hosted_zone_id  = "Z00000000000000000000"
  truststore      = { uri = "s3://trusted/clients.pem", version = "1" }
}

functions = {
  processor = { reserved_concurrency = 50, maximum_concurrency = 40 }
}

function_starts = {
  validator = { provisioned_concurrency = 5 }
  reader    = { snap_start = true }
}

gradual_deployment = { functions = ["validator", "processor"] }

log_level = "WARN"

restored = true

route_throttles = {
  create_payment = { rate_limit = 50, burst_limit = 100 }
}

table_replicas = {
  eu-west-1 = { kms_key_arn = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000" }
}

waf = { counted_rule_groups = ["AWSManagedRulesCommonRuleSet"] }

api = {
  execution_logs = true
}
