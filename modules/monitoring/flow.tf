# Whether payments flow: the functions' own metrics, and one alarm to page on.
locals {
  # A function's own metrics have its key as the dimension service.
  own = {
    for key in keys(var.functions) : key => { namespace = var.metrics_namespace, dimensions = { service = key } }
  }
  # Without roles the locals below are still built, but empty, and no alarm uses them.
  flowing = var.roles != null
  part = {
    for role in ["accepting", "charging", "reconciling", "refunding"] :
    role => try(local.own[var.roles[role]], { namespace = var.metrics_namespace, dimensions = {} })
  }
  reconcile_seconds = 60 * try(var.roles.reconcile_minutes, 5)

  contradicting = {
    for id, function in { charged = try(var.roles.charging, null), heard = try(var.roles.hearing, null), reconciled = try(var.roles.reconciling, null) } :
    id => function if function != null
  }

  comparison_alarms = { for function in try(var.roles.comparing[*], []) : "gateway-differences" => {
    runbook   = "gateway-differences", text = "The gateway's books and the table differ."
    metric    = merge(local.own[function], { name = "ComparisonDifference", stat = "Sum" })
    threshold = var.thresholds.gateway_differences, when = local.at_once
  } }

  # The relay counts disputes from the table's stream. If it fails, it receives the batch again.
  dispute_alarms = { for key, alarm in { "disputes" = {
    runbook   = "disputes", text = "A customer disputes a charge. It must be answered within days."
    metric    = merge(local.own[var.stream_function], { name = "Disputed", stat = "Sum" })
    threshold = var.thresholds.disputes, when = local.at_once
  } } : key => alarm if try(var.roles.hearing, null) != null }

  reconciler_alarms = { for key, alarm in {
    # The reconciler writes this metric at every run, so missing data is a problem. Runs look at an old payment less and
    # less often, so one breach in three periods is enough.
    "open-payments" = {
      runbook         = "open-payments", text = "A payment or a refund has not become final for too long, or the reconciler does not run."
      metric          = merge(local.part.reconciling, { name = "OldestOpenSeconds", stat = "Maximum" })
      threshold       = var.thresholds.open_payment_seconds
      when            = { period = local.reconcile_seconds, periods = 3, breaching = 1 }
      silence_is_news = true
    }
    "reconciler-failed" = {
      runbook   = "reconciler", text = "The reconciler could not work on a payment."
      metric    = merge(local.part.reconciling, { name = "ReconcilerFailed", stat = "Sum" })
      threshold = var.thresholds.reconciler_failed, when = local.at_once
    }
    # Once is normal after an outage: the list is long, and the next run continues with it.
    "reconciler-left" = {
      runbook   = "reconciler", text = "The reconciler does not get through what is open."
      metric    = merge(local.part.reconciling, { name = "ReconcilerLeft", stat = "Sum" })
      threshold = var.thresholds.reconciler_left
      when      = { period = max(300, local.reconcile_seconds), periods = 2, breaching = 2 }
    }
  } : key => alarm if local.flowing }

  flow_math_alarms = { for key, alarm in {
    "contradictions" = {
      runbook    = "contradictions", text = "The gateway contradicts the table."
      metrics    = { for id, function in local.contradicting : id => merge(local.own[function], { name = "Contradicted", stat = "Sum" }) }
      expression = join(" + ", [for id in keys(local.contradicting) : "FILL(${id}, 0)"])
      threshold  = var.thresholds.contradictions, when = local.at_once, speaks = true
    }
    # A stream's mapping that is disabled or may not read calls no function, so it has no iterator age. This alarm compares
    # accepted with relayed instead. Two periods, because a payment accepted at the end of one is relayed in the next.
    "standstill" = {
      runbook = "standstill", text = "Payments or refunds are accepted, but none is relayed: is the stream's mapping disabled?"
      metrics = {
        accepted = merge(local.part.accepting, { name = "Accepted", stat = "Sum" })
        refunds  = merge(local.part.refunding, { name = "RefundAccepted", stat = "Sum" })
        relayed  = merge(local.own[var.stream_function], { name = "Relayed", stat = "Sum" })
      }
      expression = "IF(FILL(accepted, 0) + FILL(refunds, 0) > 0 AND FILL(relayed, 0) == 0, 1, 0)"
      threshold  = 1, when = { period = 300, periods = 2, breaching = 2 }, speaks = true
    }
  } : key => alarm if local.flowing }

  metric_alarms   = merge(local.alarms, local.flow_math_alarms, local.objective_alarms)
  alarm_names     = { for key in keys(local.metric_alarms) : key => "${var.name}-${key}-${var.suffix}" }
  flow_alarm_name = "${var.name}-flow-${var.suffix}"

  # Each of these means that accepted payments are stuck: nothing reads the stream or a queue fast enough, there is a dead
  # letter, or a payment has been open for too long.
  flow_alarms = sort(concat(
    keys(local.stream_alarms), keys(local.queue_age_alarms), keys(local.dead_letter_alarms),
    local.flowing ? ["open-payments", "standstill"] : [],
  ))
}

# The one alarm to page on. The others have the details.
resource "aws_cloudwatch_composite_alarm" "flow" {
  alarm_name        = local.flow_alarm_name
  alarm_description = "Payments are not flowing. Runbook: ${var.runbooks}/flow.md"
  alarm_rule        = join(" OR ", [for key in local.flow_alarms : "ALARM(\"${local.alarm_names[key]}\")"])
  alarm_actions     = [var.alarm_topic_arn]
  ok_actions        = [var.alarm_topic_arn]

  depends_on = [aws_cloudwatch_metric_alarm.this, aws_cloudwatch_metric_alarm.math]
}
