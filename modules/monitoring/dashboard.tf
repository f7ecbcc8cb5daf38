# A payment's way from left to right: the API, the table, the stream, the queues and who works on them, the letters
# that were given up. Each column's first widget says what good looks like.
locals {
  columns = [
    {
      title = "1. Accepted", good = "5XX at zero, the slow tail under a second.",
      metrics = concat(
        [for metric in ["Count", "4XXError", "5XXError"] : ["AWS/ApiGateway", metric, "ApiName", var.api.name, "Stage", var.api.stage, { stat = "Sum" }]],
        [["AWS/ApiGateway", "Latency", "ApiName", var.api.name, "Stage", var.api.stage, { stat = "p99", yAxis = "right" }]],
      )
    },
    {
      title = "2. Stored", good = "No throttles, no system errors.",
      metrics = flatten([
        for table in values(var.tables) : [
          for metric in ["ConsumedWriteCapacityUnits", "ThrottledRequests", "SystemErrors"] :
          jsonencode(["AWS/DynamoDB", metric, "TableName", table.name, { stat = "Sum" }])
        ]
      ])
    },
    {
      title   = "3. Relayed", good = "The stream's age stays below a second or two.",
      metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", var.functions[var.stream_function].name, { stat = "Maximum" }]]
    },
    {
      title = "4. Queued", good = "Depth comes back to zero, the oldest message is seconds old.",
      metrics = flatten([
        for queue in values(var.queues) : [
          for metric in ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"] :
          jsonencode(["AWS/SQS", metric, "QueueName", queue.name, { stat = "Maximum" }])
        ]
      ])
    },
    {
      title = "5. Worked on", good = "No errors, no throttles.",
      metrics = flatten([
        for function in values(var.functions) : [
          for metric in ["Invocations", "Errors", "Throttles"] :
          jsonencode(["AWS/Lambda", metric, "FunctionName", function.name, { stat = "Sum" }])
        ]
      ])
    },
    {
      title = "6. Given up", good = "Empty. Anything here waits for a person.",
      metrics = [
        for name in concat([for queue in values(var.queues) : queue.dead_letter_queue_name], values(var.dead_letter_queues)) :
        jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }])
      ]
    },
  ]

  width = 4
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${var.suffix}"
  dashboard_body = jsonencode({
    widgets = flatten([
      for number, column in local.columns : [
        {
          type       = "text", x = number * local.width, y = 0, width = local.width, height = 3
          properties = { markdown = "## ${column.title}\n${column.good}" }
        },
        {
          type = "metric", x = number * local.width, y = 3, width = local.width, height = 8
          properties = {
            title   = column.title
            region  = var.context.region
            view    = "timeSeries"
            period  = 60
            metrics = [for metric in column.metrics : try(jsondecode(metric), metric)]
          }
        },
      ]
    ])
  })
}
