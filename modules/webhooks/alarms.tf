# A receiver's problems are not ours, so none of these is part of the alarm that payments are stuck. SQS ignores a
# message that was received three times in the age of the oldest one. So the age shows our problems, and the failures
# the endpoint's.
locals {
  minute  = { period = 60, periods = 1, breaching = 1 }
  lasting = { period = 300, periods = 3, breaching = 2 }

  alarms = merge([
    for endpoint, name in local.names : {
      "${endpoint}-failing" = {
        runbook   = "webhook-failing", text = "Webhooks to ${endpoint} keep failing. They are retried after growing delays."
        metric    = { namespace = var.metrics_namespace, name = "WebhookFailed", stat = "Sum", dimensions = { service = "webhook-${endpoint}" } }
        threshold = var.thresholds.failed_deliveries, when = local.lasting
      }
      "${endpoint}-switched-off" = {
        runbook   = "webhook-switched-off", text = "The endpoint ${endpoint} answered 410 and is switched off."
        metric    = { namespace = var.metrics_namespace, name = "WebhookSwitchedOff", stat = "Sum", dimensions = { service = "webhook-${endpoint}" } }
        threshold = 1, when = local.minute
      }
      "${endpoint}-age" = {
        runbook   = "webhook-age", text = "Webhooks to ${endpoint} wait too long for their first delivery."
        metric    = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = name } }
        threshold = var.thresholds.oldest_message_seconds, when = local.minute
      }
      # A message that is never received expires and reaches no dead-letter queue. Half of the retention remains to act.
      "${endpoint}-expiring" = {
        runbook   = "webhook-expiring", text = "Webhooks to ${endpoint} have waited for half of their queue's retention."
        metric    = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = name } }
        threshold = var.retention_seconds / 2, when = local.minute
      }
      "${endpoint}-hidden" = {
        runbook   = "webhook-hidden", text = "Too many webhooks to ${endpoint} wait for a retry, so they go to the dead-letter queue sooner."
        metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesNotVisible", stat = "Maximum", dimensions = { QueueName = name } }
        threshold = var.thresholds.hidden_messages, when = local.minute
      }
      "${endpoint}-dead-letters" = {
        runbook   = "webhook-dead-letters", text = "Webhooks to ${endpoint} were given up."
        metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = module.queue[endpoint].dead_letter.name } }
        threshold = 1, when = local.minute
      }
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "payment-webhook-${each.key}-${var.suffix}"
  alarm_description   = "${each.value.text} Runbook: ${var.runbooks}/${each.value.runbook}.md"
  namespace           = each.value.metric.namespace
  metric_name         = each.value.metric.name
  dimensions          = each.value.metric.dimensions
  statistic           = each.value.metric.stat
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = each.value.when.period
  evaluation_periods  = each.value.when.periods
  datapoints_to_alarm = each.value.when.breaching
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
