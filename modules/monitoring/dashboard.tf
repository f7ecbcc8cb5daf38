# A payment's way from left to right: the API, the table, the stream, the queues and who works on them, the letters
# that were given up. Each column says what good looks like; above them stands every alarm.
locals {
  # Metrics are JSON text here, because lists of unlike length cannot stand in one list.
  columns = [
    {
      title = "1. Accepted", good = "5XX at zero, the slow tail under a second."
      metrics = concat(
        [for metric in ["Count", "4XXError", "5XXError"] : jsonencode(["AWS/ApiGateway", metric, "ApiName", var.api.name, "Stage", var.api.stage, { stat = "Sum" }])],
        [jsonencode(["AWS/ApiGateway", "Latency", "ApiName", var.api.name, "Stage", var.api.stage, { stat = "p99", yAxis = "right" }])],
      )
    },
    {
      title = "2. Stored", good = "No throttles, no system errors."
      metrics = flatten([
        for table in values(var.tables) : concat(
          [
            for metric in ["ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"] :
            jsonencode(["AWS/DynamoDB", metric, "TableName", table.name, { stat = "Sum" }])
          ],
          [
            for operation in table.operations :
            jsonencode(["AWS/DynamoDB", "SystemErrors", "TableName", table.name, "Operation", operation, { stat = "Sum" }])
          ],
        )
      ])
    },
    {
      title   = "3. Relayed", good = "The stream's age stays at a second or two."
      metrics = [jsonencode(["AWS/Lambda", "IteratorAge", "FunctionName", var.functions[var.stream_function].name, { stat = "Maximum" }])]
    },
    {
      title = "4. Queued", good = "Depth comes back to zero, the oldest message is seconds old."
      metrics = flatten([
        for queue in values(var.queues) : [
          jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.name, { stat = "Maximum" }]),
          jsonencode(["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.name, { stat = "Maximum", yAxis = "right" }]),
        ]
      ])
    },
    {
      title = "5. Worked on", good = "No errors, no throttles."
      metrics = flatten([
        for function in values(var.functions) : [
          for metric in ["Invocations", "Errors", "Throttles"] :
          jsonencode(["AWS/Lambda", metric, "FunctionName", function.name, { stat = "Sum" }])
        ]
      ])
    },
    {
      title = "6. Given up", good = "Empty. Anything here waits for a person."
      metrics = [
        for name in values(local.dead_letter_queues) :
        jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }])
      ]
    },
  ]

  alarm_arn_base = "arn:${var.context.partition}:cloudwatch:${var.context.region}:${var.context.account_id}:alarm"
  alarm_arns     = { for name in concat([local.flow_alarm_name], sort(values(local.alarm_names))) : name => "${local.alarm_arn_base}:${name}" }

  # The grid is 24 wide. CloudWatch shows at most 100 alarms in one widget.
  width = 4
  alarm_widgets = [
    for number, names in chunklist(keys(local.alarm_arns), 100) : {
      type = "alarm", x = 0, y = number * 6, width = 24, height = 6
      properties = {
        title  = number == 0 ? "Alarms" : "More alarms"
        alarms = [for name in names : local.alarm_arns[name]]
        sortBy = "stateUpdatedTimestamp"
      }
    }
  ]
  top = 6 * length(local.alarm_widgets)
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${var.suffix}"
  dashboard_body = jsonencode({
    widgets = concat(local.alarm_widgets, flatten([
      for number, column in local.columns : [
        {
          type       = "text", x = number * local.width, y = local.top, width = local.width, height = 3
          properties = { markdown = "## ${column.title}\n${column.good}" }
        },
        {
          type = "metric", x = number * local.width, y = local.top + 3, width = local.width, height = 8
          properties = {
            title   = column.title
            region  = var.context.region
            view    = "timeSeries"
            period  = 60
            metrics = [for metric in column.metrics : jsondecode(metric)]
          }
        },
      ]
    ]))
  })
}
