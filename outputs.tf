output "alarms_topic_arn" {
  description = "The SNS topic that every alarm reports to."
  value       = module.alarms.arn
}

output "announcements_topic_arn" {
  description = "The SNS topic of the announcements: a CloudEvent for every outcome."
  value       = module.announcements.arn
}

output "api_gateway_id" {
  description = "The REST API's id."
  value       = module.api.id
}

output "api_gateway_url" {
  description = "The API's base URL: add /payments."
  value       = module.api.url
}

output "api_stage_name" {
  description = "The API's stage."
  value       = module.api.stage_name
}

output "dashboard_name" {
  description = "The CloudWatch dashboard, which shows a payment's path from left to right."
  value       = module.monitoring.dashboard_name
}

output "deployments" {
  description = "With gradual_deployment, the inputs of each function's deployment; see modules/lambda."
  value = {
    for function, instance in module.function : function => instance.deployment if instance.deployment != null
  }
}

output "dynamodb_table_name" {
  description = "The payments table."
  value       = module.table.name
}

output "function_names" {
  description = "Each function's full name, by its key."
  value       = { for function, instance in module.function : function => instance.name }
}

output "gateway" {
  description = <<-EOT
    The payment gateway: its name, the names of the secrets that need a value, by use, the address for its events, and
    the function that compares its records with the table. A gateway without one of these has null.
  EOT
  value = {
    comparer_function_name = try(local.function_names[local.gateway.roles.comparing], null)
    name                   = var.gateway
    secret_names           = { for use in keys(local.gateway.secrets) : use => local.gateway_secret_names[use] }
    webhook_url            = one([for route in values(local.gateway.routes) : "${module.api.url}${route.path}"])
  }
}

output "internet_functions" {
  description = <<-EOT
    The functions that reach the internet, by their keys (webhooks: the functions that deliver them). All others reach
    only the VPC's endpoints.
  EOT
  value       = module.network.internet_functions
}

output "processor_dlq_url" {
  description = "The dead-letter queue for announcements that could not be published."
  value       = module.queue["processor_to_notifier"].dead_letter.url
}

output "processor_queue_url" {
  description = "The queue from the processor's outcome to the notifier."
  value       = module.queue["processor_to_notifier"].url
}

output "reconciler_function_name" {
  description = "The function that an operator can call by hand, at its alias live, to reconcile now."
  value       = module.function["reconciler"].name
}

output "region" {
  description = "The region of the stack."
  value       = var.region
}

output "relay_dlq_url" {
  description = "The queue that names the stream records that the relay could not deliver."
  value       = module.relay_dead_letter_queue.url
}

output "simulator_ledger_table_name" {
  description = "The simulator gateway's own books; null with a real gateway."
  value       = one(module.simulator_ledger[*].name)
}

output "validator_dlq_url" {
  description = "The dead-letter queue for payments that could not be charged."
  value       = module.queue["validator_to_processor"].dead_letter.url
}

output "validator_queue_url" {
  description = "The queue from the validator's payment to the processor."
  value       = module.queue["validator_to_processor"].url
}

output "vpc_id" {
  description = "The VPC of the functions."
  value       = module.network.vpc_id
}
