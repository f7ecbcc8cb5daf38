# One map of alarms, made from the topology. Each says what it means and names its page in the runbooks. None is raised by
# an idle system: silence is never a breach.
locals {
  seconds = 300

  function_alarms = merge([
    for key, function in var.functions : {
      "${key}-errors" = {
        runbook   = "function-errors", text = "${function.name} failed."
        metric    = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = function.name } }
        threshold = var.thresholds.errors
      }
      "${key}-logged-errors" = {
        runbook   = "logged-errors", text = "${function.name} logged an error."
        metric    = { namespace = "${var.metrics_namespace}/${var.suffix}", name = "LoggedErrors-${key}", stat = "Sum", dimensions = {} }
        threshold = var.thresholds.errors
      }
      "${key}-throttles" = {
        runbook   = "function-throttles", text = "${function.name} was throttled."
        metric    = { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = { FunctionName = function.name } }
        threshold = var.thresholds.throttles
      }
      "${key}-duration" = {
        runbook   = "function-duration", text = "${function.name} came near its time-out of ${function.timeout_seconds} s."
        metric    = { namespace = "AWS/Lambda", name = "Duration", stat = "Maximum", dimensions = { FunctionName = function.name } }
        threshold = function.timeout_seconds * 1000 * var.thresholds.duration_share
      }
    }
  ]...)

  concurrency_alarms = {
    for key, function in var.functions : "${key}-concurrency" => {
      runbook   = "function-concurrency", text = "${function.name} came near its reserve of ${function.reserved_concurrency}."
      metric    = { namespace = "AWS/Lambda", name = "ConcurrentExecutions", stat = "Maximum", dimensions = { FunctionName = function.name } }
      threshold = function.reserved_concurrency * var.thresholds.concurrency_share
    } if function.reserved_concurrency > 0
  }

  stream_alarms = {
    "${var.stream_function}-iterator-age" = {
      runbook   = "stream-age", text = "The table's stream is not being kept up with."
      metric    = { namespace = "AWS/Lambda", name = "IteratorAge", stat = "Maximum", dimensions = { FunctionName = var.functions[var.stream_function].name } }
      threshold = var.thresholds.iterator_age_ms
    }
  }

  queue_alarms = merge([
    for key, queue in var.queues : {
      "${replace(key, "_", "-")}-depth" = {
        runbook   = "queue-depth", text = "Messages pile up in ${queue.name}."
        metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = queue.name } }
        threshold = var.thresholds.waiting_messages
      }
      "${replace(key, "_", "-")}-age" = {
        runbook   = "queue-age", text = "The oldest message in ${queue.name} has waited too long."
        metric    = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = queue.name } }
        threshold = var.thresholds.oldest_message_second
      }
    }
  ]...)

  dead_letter_alarms = {
    for key, name in merge({ for key, queue in var.queues : key => queue.dead_letter_queue_name }, var.dead_letter_queues) :
    "${replace(key, "_", "-")}-dead-letters" => {
      runbook   = "dead-letters", text = "Something is in ${name}: it will not be tried again until someone acts."
      metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = name } }
      threshold = 1
    }
  }

  api_dimensions = { ApiName = var.api.name, Stage = var.api.stage }
  api_alarms = {
    "api-5xx" = {
      runbook   = "api-5xx", text = "${var.api.name} answered 5XX."
      metric    = { namespace = "AWS/ApiGateway", name = "5XXError", stat = "Sum", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_5xx
    }
    "api-4xx" = {
      runbook   = "api-4xx", text = "${var.api.name} refused unusually much."
      metric    = { namespace = "AWS/ApiGateway", name = "4XXError", stat = "Sum", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_4xx
    }
    "api-latency" = {
      runbook   = "api-latency", text = "${var.api.name} answers slowly."
      metric    = { namespace = "AWS/ApiGateway", name = "Latency", stat = "p99", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_p99_ms
    }
  }

  table_alarms = merge(flatten([
    for key, table in var.tables : concat(
      [{
        "${key}-system-errors" = {
          runbook   = "table-errors", text = "DynamoDB failed on ${table.name}."
          metric    = { namespace = "AWS/DynamoDB", name = "SystemErrors", stat = "Sum", dimensions = { TableName = table.name } }
          threshold = var.thresholds.table_errors
        }
        "${key}-throttles" = {
          runbook   = "table-throttles", text = "${table.name} was throttled."
          metric    = { namespace = "AWS/DynamoDB", name = "ThrottledRequests", stat = "Sum", dimensions = { TableName = table.name } }
          threshold = var.thresholds.throttles
        }
      }],
      [for index in table.indexes : {
        "${key}-${index}-throttles" = {
          runbook   = "table-throttles", text = "The index ${index} of ${table.name} was throttled, and holds up the table's writes."
          metric    = { namespace = "AWS/DynamoDB", name = "WriteThrottleEvents", stat = "Sum", dimensions = { TableName = table.name, GlobalSecondaryIndexName = index } }
          threshold = var.thresholds.throttles
        }
      }],
    )
  ])...)

  alarms = merge(
    local.function_alarms, local.concurrency_alarms, local.stream_alarms, local.queue_alarms, local.dead_letter_alarms,
    local.api_alarms, local.table_alarms,
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}-${var.suffix}"
  alarm_description   = "${each.value.text} Runbook: ${var.runbooks}/${each.value.runbook}.md"
  namespace           = each.value.metric.namespace
  metric_name         = each.value.metric.name
  dimensions          = each.value.metric.dimensions
  statistic           = startswith(each.value.metric.stat, "p") ? null : each.value.metric.stat
  extended_statistic  = startswith(each.value.metric.stat, "p") ? each.value.metric.stat : null
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = local.seconds
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

locals {
  # Raised together, they say that money stands still: letters given up, a stream or a queue that is not kept up with.
  flow_alarms = sort(concat(
    keys(local.stream_alarms), keys(local.dead_letter_alarms), [for key in keys(local.queue_alarms) : key if endswith(key, "-age")],
  ))
}

resource "aws_cloudwatch_composite_alarm" "flow" {
  alarm_name        = "${var.name}-flow-${var.suffix}"
  alarm_description = "Payments are not flowing. Runbook: ${var.runbooks}/flow.md"
  alarm_rule        = join(" OR ", [for key in local.flow_alarms : "ALARM(\"${var.name}-${key}-${var.suffix}\")"])
  alarm_actions     = [var.alarm_topic_arn]
  ok_actions        = [var.alarm_topic_arn]

  depends_on = [aws_cloudwatch_metric_alarm.this]
}
