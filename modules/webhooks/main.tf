# Each endpoint has its own queue, function, role and secret. A slow or dead endpoint fills only its own queue and uses only
# its own concurrency. A compromised function can read only one secret and one queue.

locals {
  names = { for endpoint in keys(var.endpoints) : endpoint => "payment-webhook-${endpoint}-${var.suffix}" }

  secret_arns = {
    for endpoint, name in local.names : endpoint =>
    # Secrets Manager adds a hyphen and six characters, which are not known at plan.
    "arn:${var.context.partition}:secretsmanager:${var.context.region}:${var.context.account_id}:secret:${name}-??????"
  }

  # The delivery, and time to resolve the endpoint's address, read the secret and postpone the message.
  timeouts = { for endpoint, spec in var.endpoints : endpoint => spec.timeout_seconds + 15 }

  # A label on the secret's version marks its endpoint as switched off. It ends in the version's id.
  switched_off = "SWITCHED_OFF-*"
}

module "queue" {
  source   = "../sqs"
  for_each = var.endpoints

  context                       = var.context
  name                          = local.names[each.key]
  dead_letter_queue_name        = "payment-webhook-${each.key}-dlq-${var.suffix}"
  kms_key_arn                   = var.queue_key.arn
  consumer_timeout_seconds      = local.timeouts[each.key]
  max_receive_count             = length(each.value.retry_delays_seconds) + 1
  retention_seconds             = var.retention_seconds
  dead_letter_retention_seconds = 1209600
  senders                       = { topic = { service = "sns.amazonaws.com", arn = var.topic_arn } }
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.endpoints

  topic_arn            = var.topic_arn
  protocol             = "sqs"
  endpoint             = module.queue[each.key].arn
  filter_policy        = each.value.events == null ? null : jsonencode({ event_type = sort(each.value.events) })
  raw_message_delivery = true
  # Without this, SNS drops a message that the queue refuses because of its policy or its key.
  redrive_policy = jsonencode({ deadLetterTargetArn = module.queue[each.key].dead_letter.arn })
}

# You set the values by hand or with a script (docs/webhooks.md), so no plan and no state contains one.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:the receiver must learn of a new secret first; it is rotated with two valid ones
  for_each = var.endpoints

  name                    = local.names[each.key]
  description             = "Signs the webhooks to ${each.key}"
  kms_key_id              = var.secret_key.arn
  recovery_window_in_days = var.secret_recovery_days
}

module "function" {
  source   = "../lambda"
  for_each = var.endpoints

  context         = var.context
  name            = local.names[each.key]
  description     = "Delivers announcements to ${each.key} as signed webhooks."
  handler         = "payments.handlers.deliverer.handler"
  runtime         = var.function.runtime
  architecture    = var.function.architecture
  memory_mb       = var.function.memory_mb
  timeout_seconds = local.timeouts[each.key]
  package         = var.function.package
  layer_arns      = var.function.layer_arns
  kms_key_arn     = var.function.kms_key_arn
  kms_alias       = var.function.kms_alias
  logs            = var.function.logs
  network         = var.function.network
  environment = merge(var.function.environment, {
    ALLOWED_PRIVATE_CIDRS        = join(" ", var.allowed_private_cidrs)
    POWERTOOLS_METRICS_NAMESPACE = var.metrics_namespace
    POWERTOOLS_SERVICE_NAME      = "webhook-${each.key}"
    QUEUE_URL                    = module.queue[each.key].url
    RETRY_DELAYS_SECONDS         = join(" ", each.value.retry_delays_seconds)
    SECRET_NAME                  = aws_secretsmanager_secret.this[each.key].name
    SECRET_TTL_SECONDS           = tostring(var.secret_ttl_seconds)
    TIMEOUT_SECONDS              = tostring(each.value.timeout_seconds)
    WEBHOOK_URL                  = each.value.url
  })
  queue_sources = {
    endpoint = {
      queue_arn           = module.queue[each.key].arn
      kms_alias           = var.queue_key.alias
      maximum_concurrency = each.value.maximum_concurrency
    }
  }
  statements = {
    postpone = { actions = ["sqs:ChangeMessageVisibility"], resources = [module.queue[each.key].arn] }
    secret   = { actions = ["secretsmanager:GetSecretValue"], resources = [local.secret_arns[each.key]] }
    switch-off = {
      actions    = ["secretsmanager:UpdateSecretVersionStage"]
      resources  = [local.secret_arns[each.key]]
      conditions = [{ test = "StringLike", variable = "secretsmanager:VersionStage", values = [local.switched_off] }]
    }
  }
  key_uses = {
    secret-key = { alias = var.secret_key.alias, service = "secretsmanager", actions = ["kms:Decrypt"] }
  }
}
