# One map of alarms, built from the topology. Each alarm says what it means and names its runbook. An idle system raises
# none: missing data is never a breach. A failure or a standstill raises its alarm after one period. Anything that
# varies with the traffic must last for two periods of three. Alarms on several metrics are in objectives.tf and
# flow.tf.
locals {
  at_once = { period = 300, periods = 1, breaching = 1 }
  minute  = { period = 60, periods = 1, breaching = 1 }
  lasting = { period = 300, periods = 3, breaching = 2 }

  # Keys have underscores; names that people read have hyphens.
  function_alarms = merge([
    for key, function in var.functions : {
      "${replace(key, "_", "-")}-errors" = {
        runbook   = "function-errors", text = "Calls of ${function.name} failed."
        metric    = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = function.name } }
        threshold = var.thresholds.errors, when = local.at_once
      }
      "${replace(key, "_", "-")}-logged-errors" = {
        runbook   = "logged-errors", text = "${function.name} logged an error."
        metric    = { namespace = var.metrics_namespace, name = "LoggedErrors-${key}", stat = "Sum", dimensions = {} }
        threshold = var.thresholds.errors, when = local.at_once
      }
      "${replace(key, "_", "-")}-throttles" = {
        runbook   = "function-throttles", text = "${function.name} was throttled."
        metric    = { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = { FunctionName = function.name } }
        threshold = var.thresholds.throttles, when = local.at_once
      }
      "${replace(key, "_", "-")}-duration" = {
        runbook   = "function-duration", text = "${function.name} came near its time-out of ${function.timeout_seconds} s."
        metric    = { namespace = "AWS/Lambda", name = "Duration", stat = "Maximum", dimensions = { FunctionName = function.name } }
        threshold = function.timeout_seconds * 1000 * var.thresholds.duration_share, when = local.at_once
      }
    }
  ]...)

  # A reserve of one is full whenever the function runs, so its throttles have to show the problem.
  concurrency_alarms = {
    for key, function in var.functions : "${replace(key, "_", "-")}-concurrency" => {
      runbook   = "function-concurrency", text = "${function.name} came near its reserve of ${function.reserved_concurrency}."
      metric    = { namespace = "AWS/Lambda", name = "ConcurrentExecutions", stat = "Maximum", dimensions = { FunctionName = function.name } }
      threshold = function.reserved_concurrency * var.thresholds.concurrency_share, when = local.at_once
    } if function.reserved_concurrency > 1
  }

  stream_alarms = {
    "${replace(var.stream_function, "_", "-")}-iterator-age" = {
      runbook   = "stream-age", text = "${var.functions[var.stream_function].name} does not keep up with the table's stream."
      metric    = { namespace = "AWS/Lambda", name = "IteratorAge", stat = "Maximum", dimensions = { FunctionName = var.functions[var.stream_function].name } }
      threshold = var.thresholds.iterator_age_ms, when = local.minute
    }
  }

  queue_depth_alarms = {
    for key, queue in var.queues : "${replace(key, "_", "-")}-depth" => {
      runbook   = "queue-depth", text = "Messages pile up in ${queue.name}."
      metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = queue.name } }
      threshold = var.thresholds.waiting_messages, when = local.lasting
    }
  }

  queue_age_alarms = {
    for key, queue in var.queues : "${replace(key, "_", "-")}-age" => {
      runbook   = "queue-age", text = "The oldest message in ${queue.name} has waited too long."
      metric    = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = queue.name } }
      threshold = coalesce(queue.maximum_age_seconds, var.thresholds.oldest_message_seconds), when = local.minute
    }
  }

  dead_letter_queues = merge({ for key, queue in var.queues : key => queue.dead_letter_queue_name }, var.dead_letter_queues)
  dead_letter_alarms = {
    for key, name in local.dead_letter_queues : "${replace(key, "_", "-")}-dead-letters" => {
      runbook = "dead-letters", text = "Something is in ${name}: it is not tried again until someone acts."
      # Not NumberOfMessagesSent, which does not count messages that SQS itself moves to a dead-letter queue.
      metric    = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = name } }
      threshold = var.thresholds.dead_letters, when = local.minute
    }
  }

  api_dimensions = { ApiName = var.api.name, Stage = var.api.stage }
  api_alarms = {
    "api-5xx" = {
      runbook   = "api-5xx", text = "${var.api.name} answered 5XX."
      metric    = { namespace = "AWS/ApiGateway", name = "5XXError", stat = "Sum", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_5xx, when = local.at_once
    }
    "api-4xx" = {
      runbook   = "api-4xx", text = "${var.api.name} refuses unusually many requests."
      metric    = { namespace = "AWS/ApiGateway", name = "4XXError", stat = "Sum", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_4xx, when = local.lasting
    }
    "api-latency" = {
      runbook   = "api-latency", text = "${var.api.name} answers slowly."
      metric    = { namespace = "AWS/ApiGateway", name = "Latency", stat = "p99", dimensions = local.api_dimensions }
      threshold = var.thresholds.api_p99_ms, when = local.lasting
    }
  }

  table_alarms = merge(flatten([
    for key, table in var.tables : concat(
      # DynamoDB reports its failures for each operation, so an alarm on the table's name alone would never see one.
      [for operation in table.operations : {
        "table-${replace(key, "_", "-")}-${operation}-system-errors" = {
          runbook   = "table-errors", text = "DynamoDB failed at ${operation} on ${table.name}."
          metric    = { namespace = "AWS/DynamoDB", name = "SystemErrors", stat = "Sum", dimensions = { TableName = table.name, Operation = operation } }
          threshold = var.thresholds.table_errors, when = local.at_once
        }
      }],
      [for kind in ["Read", "Write"] : {
        "table-${replace(key, "_", "-")}-${lower(kind)}-throttles" = {
          runbook   = "table-throttles", text = "${kind}s of ${table.name} were throttled."
          metric    = { namespace = "AWS/DynamoDB", name = "${kind}ThrottleEvents", stat = "Sum", dimensions = { TableName = table.name } }
          threshold = var.thresholds.throttles, when = local.at_once
        }
      }],
      [for index in table.indexes : {
        "table-${replace(key, "_", "-")}-${index}-throttles" = {
          runbook   = "table-throttles", text = "Writes of the index ${index} of ${table.name} were throttled, which holds up the table's own."
          metric    = { namespace = "AWS/DynamoDB", name = "WriteThrottleEvents", stat = "Sum", dimensions = { TableName = table.name, GlobalSecondaryIndexName = index } }
          threshold = var.thresholds.throttles, when = local.at_once
        }
      }],
    )
  ])...)

  alarms = merge(
    local.function_alarms, local.concurrency_alarms, local.stream_alarms, local.queue_depth_alarms, local.queue_age_alarms,
    local.dead_letter_alarms, local.api_alarms, local.table_alarms, local.reconciler_alarms, local.comparison_alarms, local.dispute_alarms,
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
  period              = each.value.when.period
  evaluation_periods  = each.value.when.periods
  datapoints_to_alarm = each.value.when.breaching
  # If missing data is a problem, it notifies without being a breach. A metric that never existed, in a new stack,
  # raises nothing.
  treat_missing_data        = try(each.value.silence_is_news, false) ? "missing" : "notBreaching"
  alarm_actions             = [var.alarm_topic_arn]
  ok_actions                = [var.alarm_topic_arn]
  insufficient_data_actions = try(each.value.silence_is_news, false) ? [var.alarm_topic_arn] : []
}

# Alarms on an expression over several metrics. CloudWatch charges for each metric.
resource "aws_cloudwatch_metric_alarm" "math" {
  for_each = merge(local.flow_math_alarms, local.objective_alarms)

  alarm_name          = "${var.name}-${each.key}-${var.suffix}"
  alarm_description   = "${each.value.text} Runbook: ${var.runbooks}/${each.value.runbook}.md"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.when.periods
  datapoints_to_alarm = each.value.when.breaching
  treat_missing_data  = "notBreaching"
  # A window of an objective notifies only together with its pair: one window alone is too weak a sign.
  alarm_actions = each.value.speaks ? [var.alarm_topic_arn] : []
  ok_actions    = each.value.speaks ? [var.alarm_topic_arn] : []

  metric_query {
    id          = "value"
    expression  = each.value.expression
    label       = each.value.text
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = each.value.when.period
      }
    }
  }
}
