# The most robust set-up: a NAT gateway and the endpoints in every zone, a year of logs.
environment_suffix = "prod"
log_retention_days = 365

# Real money. Until Stripe's key is in its secret (docs/stripe.md), payments are accepted and wait. The simulator would
# report them as processed and charge nobody, so a stack with this name refuses it unless production_moves_no_money is true.
gateway = "stripe"

network = {
  # With Secrets Manager's endpoint, the function that receives Stripe's events needs no access to the internet.
  interface_endpoints = ["secretsmanager", "sns", "sqs"]
  nat                 = { mode = "gateway_per_az" }
}

# The reserves below are made when this is the account's quota of concurrent executions: at least 340. It prints yours:
# aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions
account_concurrency = null

functions = {
  validator = { reserved_concurrency = 100 }
  relay     = { reserved_concurrency = 20 }
  processor = { reserved_concurrency = 50, maximum_concurrency = 40 }
  notifier  = { reserved_concurrency = 20, maximum_concurrency = 10 }
  reader    = { reserved_concurrency = 50 }
}

queues = {
  max_receive_count = 5
}
