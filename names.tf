# Every name and every ARN is built here, once. Built from names, they are known at plan: policies, triggers and
# dashboards then stand in the plan in full, where tests and scanners can read them, and no two modules form a cycle.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  context = {
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
    region     = var.region
  }

  # The credentials say where a stack is, not its name: no AWS account has this id.
  embedded = local.context.account_id == "000000000000"

  production = startswith(var.environment_suffix, "prod")

  arn_base = {
    for service in ["dynamodb", "logs", "sns", "sqs", "cloudwatch"] :
    service => "arn:${local.context.partition}:${service}:${var.region}:${local.context.account_id}"
  }

  core_functions  = ["validator", "refunder", "relay", "processor", "notifier", "reader", "reconciler"]
  known_functions = concat(local.core_functions, ["stripe_webhook", "stripe_comparer"])
  function_names = {
    for function in concat(local.core_functions, keys(local.stripe_functions)) :
    function => "payment-${replace(function, "_", "-")}-${var.environment_suffix}"
  }

  queue_names = {
    validator_to_processor = "payment-validator-to-processor-${var.environment_suffix}"
    processor_to_notifier  = "payment-processor-to-notifier-${var.environment_suffix}"
  }
  dead_letter_queue_names = {
    validator_to_processor = "payment-validator-dlq-${var.environment_suffix}"
    processor_to_notifier  = "payment-processor-dlq-${var.environment_suffix}"
    relay                  = "payment-relay-dlq-${var.environment_suffix}"
  }

  table_name            = "payment-transactions-${var.environment_suffix}"
  customer_index_name   = "customer-index"
  open_index_name       = "open-index"
  gateway_index_name    = "gateway-index"
  charged_index_name    = "charged-index"
  simulator_ledger_name = "payment-simulator-ledger-${var.environment_suffix}"

  topic_names = {
    announcements = "payment-announcements-${var.environment_suffix}"
    alarms        = "payment-alarms-${var.environment_suffix}"
  }

  key_aliases = {
    for use in ["dynamodb", "lambda", "logs", "sns", "sqs"] : use => "payment-${use}-${var.environment_suffix}"
  }

  api_name     = "payment-api-${var.environment_suffix}"
  network_name = "payment-${var.environment_suffix}"

  # What of this stack CloudWatch may use the stack's keys for.
  alarm_pattern = "payment-*-${var.environment_suffix}"
  log_group_patterns = [
    "/aws/lambda/payment-*-${var.environment_suffix}",
    "/aws/apigateway/${local.api_name}",
    "/aws/vpc/${local.network_name}",
    "aws-waf-logs-${local.api_name}",
  ]

  table_arn         = "${local.arn_base.dynamodb}:table/${local.table_name}"
  ledger_arn        = "${local.arn_base.dynamodb}:table/${local.simulator_ledger_name}"
  queue_arns        = { for queue, name in local.queue_names : queue => "${local.arn_base.sqs}:${name}" }
  relay_dlq_arn     = "${local.arn_base.sqs}:${local.dead_letter_queue_names.relay}"
  announcements_arn = "${local.arn_base.sns}:${local.topic_names.announcements}"
}
