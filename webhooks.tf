# Receivers of the announcements in addition to the topic's own subscribers: HTTPS endpoints, by signed webhooks, and an
# EventBridge bus. Nothing here exists unless var.webhooks or var.event_bus is set.

locals {
  # The events that the relay and the notifier announce.
  webhook_events = [
    "gateway.difference", "payment.dispute_closed", "payment.disputed", "payment.failed", "payment.processed",
    "payment.refund_failed", "payment.refund_unknown", "payment.refunded", "payment.unknown",
  ]
}

module "subscriber_keys" {
  source = "./modules/kms"

  context = local.context
  keys = merge(
    length(var.webhooks) == 0 && !var.event_bus ? {} : {
      subscribers = {
        alias                = local.subscriber_key_aliases.subscribers
        description          = "The queues that the announcements topic feeds"
        deletion_window_days = var.key_deletion_window_days
        grants = [{
          sid      = "AnnouncementsOfThisStack"
          services = ["sns.amazonaws.com"]
          actions  = ["kms:Decrypt", "kms:GenerateDataKey"]
          conditions = [
            { test = "StringEquals", variable = "aws:SourceAccount", values = [local.context.account_id] },
            { test = "ArnEquals", variable = "aws:SourceArn", values = [local.announcements_arn] },
          ]
        }]
      }
    },
    length(var.webhooks) == 0 && length(local.gateway.secrets) == 0 ? {} : {
      secrets = {
        alias                = local.subscriber_key_aliases.secrets
        description          = "The secrets of the webhooks and of the payment gateway"
        deletion_window_days = var.key_deletion_window_days
        grants               = []
      }
    },
  )
}

module "webhooks" {
  source = "./modules/webhooks"

  context               = local.context
  suffix                = var.environment_suffix
  endpoints             = var.webhooks
  allowed_private_cidrs = var.allowed_private_cidrs
  topic_arn             = module.announcements.arn
  alarm_topic_arn       = module.alarms.arn
  metrics_namespace     = local.metrics_namespace
  queue_key = {
    arn   = try(module.subscriber_keys.keys["subscribers"].arn, "")
    alias = local.subscriber_key_aliases.subscribers
  }
  secret_key = {
    arn   = try(module.subscriber_keys.keys["secrets"].arn, "")
    alias = local.subscriber_key_aliases.secrets
  }
  secret_recovery_days = var.secret_recovery_days
  secret_ttl_seconds   = var.webhook_secret_ttl_seconds
  retention_seconds    = var.queues.retention_seconds
  function = {
    architecture = var.runtime.architecture
    runtime      = var.runtime.name
    memory_mb    = var.function_defaults.memory_mb
    package = {
      path          = data.archive_file.functions.output_path
      sha256_base64 = data.archive_file.functions.output_base64sha256
    }
    layer_arns = [aws_lambda_layer_version.dependencies.arn]
    environment = {
      ENVIRONMENT          = var.environment_suffix
      POWERTOOLS_LOG_LEVEL = var.log_level
    }
    kms_key_arn = module.keys.keys["lambda"].arn
    kms_alias   = local.key_aliases.lambda
    logs = {
      retention_days = var.log_retention_days
      kms_key_arn    = module.keys.keys["logs"].arn
      level          = var.log_level
    }
    network = {
      subnet_ids         = module.network.private_subnet_ids
      security_group_ids = length(var.webhooks) > 0 ? [module.network.function_security_group_ids["webhooks"]] : []
    }
  }
}

module "event_bus" {
  source = "./modules/eventbus"
  count  = var.event_bus ? 1 : 0

  context                = local.context
  name                   = local.event_bus_names.bus
  queue_name             = local.event_bus_names.queue
  dead_letter_queue_name = local.event_bus_names.dead_letter_queue
  alarm_name             = local.event_bus_names.alarm
  topic_arn              = module.announcements.arn
  alarm_topic_arn        = module.alarms.arn
  queue_key = {
    arn   = module.subscriber_keys.keys["subscribers"].arn
    alias = local.subscriber_key_aliases.subscribers
  }
}

output "event_bus_dlq_url" {
  description = "The URL of the queue for announcements that could not be put on the bus; null without a bus."
  value       = one(module.event_bus[*].dead_letter_queue_url)
}

output "event_bus_name" {
  description = "The EventBridge bus of the announcements; null without one."
  value       = one(module.event_bus[*].name)
}

output "event_bus_queue_url" {
  description = "The URL of the queue between the topic and the bus; null without a bus."
  value       = one(module.event_bus[*].queue_url)
}

output "webhooks" {
  description = "The parts of each webhook endpoint: its function, secret, queue and dead-letter queue."
  value       = module.webhooks.endpoints
}
