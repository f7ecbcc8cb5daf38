# A payment's path from left to right: the API, the table, the stream, the queues, the charge, the announcement. Above
# it are the alarms to page on and the objectives. Below it are refunds, the reconciler, failures, money, the functions
# and the dead letters. Each part says what good looks like.
locals {
  # Metrics are JSON text here, because HCL has no list of lists of different lengths.
  way = [
    {
      title = "1. Accepted", good = "5XX at zero, the slow tail (right) under a second."
      metrics = concat(
        [for metric in ["Count", "4XXError", "5XXError"] : jsonencode(["AWS/ApiGateway", metric, "ApiName", var.api.name, "Stage", var.api.stage, { stat = "Sum" }])],
        [jsonencode(["AWS/ApiGateway", "Latency", "ApiName", var.api.name, "Stage", var.api.stage, { stat = "p99", yAxis = "right" }])],
        [for metric in local.flowing ? ["Accepted", "Replayed", "Refused"] : [] : jsonencode([var.metrics_namespace, metric, "service", var.roles.accepting, { stat = "Sum" }])],
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
      title = "3. Relayed", good = "Two messages for each payment; the stream's age (right) stays at a second or two."
      metrics = concat(
        local.flowing ? [jsonencode([var.metrics_namespace, "Relayed", "service", var.stream_function, { stat = "Sum" }])] : [],
        [jsonencode(["AWS/Lambda", "IteratorAge", "FunctionName", var.functions[var.stream_function].name, { stat = "Maximum", yAxis = "right" }])],
      )
    },
    {
      title = "4. Queued", good = "Depth returns to zero, and the oldest message (right) is seconds old."
      metrics = flatten([
        for queue in values(var.queues) : [
          jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.name, { stat = "Maximum" }]),
          jsonencode(["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.name, { stat = "Maximum", yAxis = "right" }]),
        ]
      ])
    },
    {
      title = "5. Charged", good = "As many are final as accepted, none is unknown, and the time to final (right) is seconds."
      metrics = local.flowing ? concat(
        [for metric in ["Processed", "Failed", "Unknown"] : jsonencode([var.metrics_namespace, metric, "service", var.roles.charging, { stat = "Sum" }])],
        [for stat in ["p50", "p99"] : jsonencode([var.metrics_namespace, "SecondsToFinal", "service", var.roles.charging, { stat = stat, yAxis = "right" }])],
      ) : []
    },
    {
      title   = "6. Announced", good = "As many as have become final."
      metrics = local.flowing ? [jsonencode([var.metrics_namespace, "Announced", "service", var.roles.announcing, { stat = "Sum" }])] : []
    },
  ]

  beside = [
    {
      title = "Refunds", good = "As many are final as accepted, and the time to final (right) is seconds."
      metrics = local.flowing ? concat(
        [jsonencode([var.metrics_namespace, "RefundAccepted", "service", var.roles.refunding, { stat = "Sum" }])],
        [for metric in ["Refunded", "RefundFailed", "RefundUnknown"] : jsonencode([var.metrics_namespace, metric, "service", var.roles.charging, { stat = "Sum" }])],
        [jsonencode([var.metrics_namespace, "RefundSecondsToFinal", "service", var.roles.charging, { stat = "p99", yAxis = "right" }])],
      ) : []
    },
    {
      title = "Reconciler", good = "The oldest open payment (right) is at zero; nothing is settled, redriven or contradicted."
      metrics = local.flowing ? concat(
        [
          for metric in ["ReconcilerSettled", "ReconcilerRedriven", "ReconcilerUnanswered", "ReconcilerFailed", "ReconcilerLeft", "Contradicted"] :
          jsonencode([var.metrics_namespace, metric, "service", var.roles.reconciling, { stat = "Sum" }])
        ],
        [
          jsonencode([var.metrics_namespace, "Contradicted", "service", var.roles.charging, { stat = "Sum" }]),
          jsonencode([var.metrics_namespace, "OldestOpenSeconds", "service", var.roles.reconciling, { stat = "Maximum", yAxis = "right" }]),
        ],
      ) : []
    },
    {
      # The reasons and currencies are known only once they occur.
      title   = "Why payments fail", good = "No reason stands out that did not yesterday."
      metrics = local.flowing ? [jsonencode([{ expression = "SEARCH('{\"${var.metrics_namespace}\",service,reason} MetricName=\"Failed\"', 'Sum')", id = "reasons" }])] : []
    },
    {
      title   = "Money", good = "The usual curve for the day, in minor units of each currency."
      metrics = local.flowing ? [jsonencode([{ expression = "SEARCH('{\"${var.metrics_namespace}\",service,currency} MetricName=(\"MoneyProcessed\" OR \"MoneyRefunded\")', 'Sum')", id = "money" }])] : []
    },
    {
      title = "Functions", good = "No errors, no throttles."
      metrics = flatten([
        for function in values(var.functions) : [
          for metric in ["Invocations", "Errors", "Throttles"] :
          jsonencode(["AWS/Lambda", metric, "FunctionName", function.name, { stat = "Sum" }])
        ]
      ])
    },
    {
      title = "Given up", good = "Empty. Any message here waits for a person."
      metrics = [
        for name in values(local.dead_letter_queues) :
        jsonencode(["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }])
      ]
    },
  ]

  # The promised shares, each next to its line.
  promised = [
    for key, objective in local.objectives : {
      title = "Promised: ${key}"
      metrics = concat(
        [jsonencode([{ expression = "100 * (1 - ${objective.bad_events} / ${objective.events})", id = "share", label = "good, %" }])],
        [
          for id, metric in objective.metrics :
          jsonencode(concat([metric.namespace, metric.name], flatten([for name, value in metric.dimensions : [name, value]]), [{ id = id, stat = metric.stat, visible = false }]))
        ],
      )
      line = 100 * (1 - objective.budget)
    }
  ]

  alarm_arn_base = "arn:${var.context.partition}:cloudwatch:${var.context.region}:${var.context.account_id}:alarm"
  paging_names   = concat([local.flow_alarm_name], sort(values(local.objective_alarm_names)))
  alarm_arns     = { for name in concat(local.paging_names, sort(values(local.alarm_names))) : name => "${local.alarm_arn_base}:${name}" }

  # The grid is 24 units wide. CloudWatch shows at most 100 alarms in one widget.
  width         = 4
  promise_width = floor(16 / length(local.promised))
  top           = 6
  middle        = local.top + 11
  bottom        = local.middle + 11
  head_widgets = concat(
    [{
      type = "alarm", x = 0, y = 0, width = 8, height = 6
      properties = {
        title  = "Are payments flowing, and as promised?"
        alarms = [for name in local.paging_names : local.alarm_arns[name]]
      }
    }],
    [
      for number, promise in local.promised : {
        type = "metric", x = 8 + number * local.promise_width, y = 0, width = local.promise_width, height = 6
        properties = {
          title       = promise.title
          region      = var.context.region
          view        = "timeSeries"
          period      = 300
          metrics     = [for metric in promise.metrics : jsondecode(metric)]
          annotations = { horizontal = [{ value = promise.line, label = "promised" }] }
          yAxis       = { left = { max = 100 } }
        }
      }
    ],
  )
  part_widgets = flatten([
    for row in [{ parts = local.way, y = local.top }, { parts = local.beside, y = local.middle }] : [
      for number, part in row.parts : [
        {
          type       = "text", x = number * local.width, y = row.y, width = local.width, height = 3
          properties = { markdown = "## ${part.title}\n${part.good}" }
        },
        {
          type = "metric", x = number * local.width, y = row.y + 3, width = local.width, height = 8
          properties = {
            title   = part.title
            region  = var.context.region
            view    = "timeSeries"
            period  = 60
            metrics = [for metric in part.metrics : jsondecode(metric)]
          }
        },
      ] if length(part.metrics) > 0
    ]
  ])
  alarm_widgets = [
    for number, names in chunklist(keys(local.alarm_arns), 100) : {
      type = "alarm", x = 0, y = local.bottom + number * 8, width = 24, height = 8
      properties = {
        title  = number == 0 ? "Every alarm" : "More alarms"
        alarms = [for name in names : local.alarm_arns[name]]
        sortBy = "stateUpdatedTimestamp"
      }
    }
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${var.suffix}"
  dashboard_body = jsonencode({ widgets = concat(local.head_widgets, local.part_widgets, local.alarm_widgets) })
}
