# Topic, queue, pipe, bus: no code, and no function that calls a second service. SNS cannot send to a bus itself.

locals {
  bus_arn  = "arn:${var.context.partition}:events:${var.context.region}:${var.context.account_id}:event-bus/${var.name}"
  pipe_arn = "arn:${var.context.partition}:pipes:${var.context.region}:${var.context.account_id}:pipe/${var.name}"

  dead_letters_alarm = {
    runbook = "event-bus-dead-letters", text = "Events could not be put on the bus ${var.name}."
  }
}

resource "aws_cloudwatch_event_bus" "this" {
  name        = var.name
  description = "The announcements, for rules"
}

module "queue" {
  source = "../sqs"

  context                       = var.context
  name                          = var.queue_name
  dead_letter_queue_name        = var.dead_letter_queue_name
  kms_key_arn                   = var.queue_key.arn
  max_receive_count             = var.max_receive_count
  retention_seconds             = 345600
  dead_letter_retention_seconds = 1209600
  senders                       = { topic = { service = "sns.amazonaws.com", arn = var.topic_arn } }
}

resource "aws_sns_topic_subscription" "this" {
  topic_arn            = var.topic_arn
  protocol             = "sqs"
  endpoint             = module.queue.arn
  raw_message_delivery = true
  # Without this, SNS drops a message that the queue refuses because of its policy or its key.
  redrive_policy = jsonencode({ deadLetterTargetArn = module.queue.dead_letter.arn })
}

resource "aws_iam_role" "pipe" {
  name        = "${var.name}-pipe${var.context.role_suffix}"
  description = "What the pipe to the bus ${var.name} may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pipes.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id, "aws:SourceArn" = local.pipe_arn } }
    }]
  })
}

resource "aws_iam_role_policy" "pipe" {
  name = "work"
  role = aws_iam_role.pipe.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Take"
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        Resource = [module.queue.arn]
      },
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = ["arn:${var.context.partition}:kms:${var.context.region}:${var.context.account_id}:key/*"]
        Condition = {
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = ["alias/${var.queue_key.alias}"] }
          StringEquals               = { "kms:ViaService" = ["sqs.${var.context.region}.amazonaws.com"] }
        }
      },
      {
        Sid      = "Put"
        Effect   = "Allow"
        Action   = ["events:PutEvents"]
        Resource = [local.bus_arn]
      },
    ]
  })
}

resource "aws_pipes_pipe" "this" {
  name        = var.name
  description = "The announcements to the bus"
  role_arn    = aws_iam_role.pipe.arn
  source      = module.queue.arn
  target      = local.bus_arn

  source_parameters {
    sqs_queue_parameters {
      batch_size = 10
    }
  }

  # The event's detail is the whole CloudEvent, the same that every other receiver gets.
  target_parameters {
    input_template = "<$.body>"

    eventbridge_event_bus_parameters {
      detail_type = "$.body.type"
      source      = "$.body.source"
    }
  }

  depends_on = [aws_cloudwatch_event_bus.this, aws_iam_role_policy.pipe]
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = var.alarm_name
  alarm_description   = "${local.dead_letters_alarm.text} Runbook: ${var.runbooks}/${local.dead_letters_alarm.runbook}.md"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = module.queue.dead_letter.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
