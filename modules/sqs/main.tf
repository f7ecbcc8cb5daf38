locals {
  arn_base = "arn:${var.context.partition}:sqs:${var.context.region}:${var.context.account_id}"
  arn      = "${local.arn_base}:${var.name}"

  # AWS recommends this much. With less, a message could be delivered again while it is still being processed.
  visibility_timeout_seconds = 6 * var.consumer_timeout_seconds + var.batching_window_seconds

  policies = {
    for name in compact([var.name, var.dead_letter_queue_name]) : name => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [{
          Sid       = "OnlyOverTLS"
          Effect    = "Deny"
          Principal = "*"
          Action    = "sqs:*"
          Resource  = "${local.arn_base}:${name}"
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        }],
        [for sender, source in var.senders : {
          Sid       = "Sender${title(sender)}"
          Effect    = "Allow"
          Principal = { Service = source.service }
          Action    = "sqs:SendMessage"
          Resource  = "${local.arn_base}:${name}"
          Condition = { ArnEquals = { "aws:SourceArn" = source.arn } }
        }],
      )
    })
  }
}

resource "aws_sqs_queue" "this" {
  name                              = var.name
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = 300
  message_retention_seconds         = var.retention_seconds
  policy                            = local.policies[var.name]
  receive_wait_time_seconds         = var.receive_wait_seconds
  visibility_timeout_seconds        = local.visibility_timeout_seconds
}

# Separate from the queue, so Terraform creates both queues at the same time. Each takes almost half a minute.
resource "aws_sqs_queue_redrive_policy" "this" {
  count = var.dead_letter_queue_name == null ? 0 : 1

  queue_url = aws_sqs_queue.this.url
  redrive_policy = jsonencode({
    deadLetterTargetArn = "${local.arn_base}:${var.dead_letter_queue_name}"
    maxReceiveCount     = var.max_receive_count
  })

  # The ARN above is built from a name, so that a plan shows it. Terraform needs the dependency in words.
  depends_on = [aws_sqs_queue.dead_letter]
}

resource "aws_sqs_queue" "dead_letter" {
  count = var.dead_letter_queue_name == null ? 0 : 1

  name                              = var.dead_letter_queue_name
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = 300
  message_retention_seconds         = var.dead_letter_retention_seconds
  policy                            = local.policies[var.dead_letter_queue_name]
  receive_wait_time_seconds         = var.receive_wait_seconds
  visibility_timeout_seconds        = local.visibility_timeout_seconds
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arn]
  })
}
