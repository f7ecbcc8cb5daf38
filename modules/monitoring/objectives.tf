# The objectives, and how fast their error budgets burn. A burn rate of 1 uses up a month's budget in a month. Each alarm
# needs a long window, which shows that it matters, and a short one, which shows that it still continues (Google's SRE
# workbook, chapter 5). Fast: 2 % of a month's budget within an hour. Slow: 5 % within six hours.
locals {
  burns = {
    fast = { rate = 14.4, long = 3600, short = 300 }
    slow = { rate = 6, long = 21600, short = 1800 }
  }

  objectives = {
    for key, objective in {
      api = {
        runbook    = "objective-api", text = "API calls fail with 5XX"
        budget     = 1 - var.objectives.api_share
        metrics    = { for id, name in { all = "Count", bad = "5XXError" } : id => { namespace = "AWS/ApiGateway", name = name, stat = "Sum", dimensions = local.api_dimensions } }
        events     = "FILL(all, 0)"
        bad_events = "FILL(bad, 0)"
      }
      payments = {
        runbook = "objective-payments", text = "Payments do not become final within ${var.objectives.payments_seconds} s"
        budget  = 1 - var.objectives.payments_share
        metrics = {
          final   = merge(local.part.charging, { name = "SecondsToFinal", stat = "SampleCount" })
          soon    = merge(local.part.charging, { name = "SecondsToFinal", stat = "TC(:${var.objectives.payments_seconds})" })
          unknown = merge(local.part.charging, { name = "Unknown", stat = "Sum" })
        }
        # A payment counts as late if the gateway's final answer is unknown, even if it arrives later.
        events     = "(FILL(final, 0) + FILL(unknown, 0))"
        bad_events = "(FILL(final, 0) + FILL(unknown, 0) - FILL(soon, 0))"
      }
    } : key => objective if key == "api" || local.flowing
  }

  objective_alarms = merge(flatten([
    for key, objective in local.objectives : [
      for speed, burn in local.burns : [
        for window in ["long", "short"] : {
          "objective-${key}-${speed}-${window}" = {
            runbook = objective.runbook
            text    = "${objective.text}: the error budget burns ${speed}, over ${burn[window] / 60} min."
            metrics = objective.metrics
            # No event means no share. Among few, one bad event is a large share, so the long window waits for more.
            expression = "IF(${objective.events} >= ${window == "long" ? var.objectives.minimum_events : 1}, ${objective.bad_events} / ${objective.events}, 0)"
            # Rounded: 1 - 0.999 is not quite 0.001.
            threshold = tonumber(format("%.6f", burn.rate * objective.budget))
            when      = { period = burn[window], periods = 1, breaching = 1 }
            speaks    = false
          }
        }
      ]
    ]
  ])...)

  objective_pairs = merge([
    for key, objective in local.objectives : {
      for speed, burn in local.burns : "objective-${key}-${speed}" => {
        runbook = objective.runbook
        text    = "${objective.text}: the error budget burns ${burn.rate} times as fast as it may."
      }
    }
  ]...)
  objective_alarm_names = { for key in keys(local.objective_pairs) : key => "${var.name}-${key}-${var.suffix}" }
}

resource "aws_cloudwatch_composite_alarm" "objective" {
  for_each = local.objective_pairs

  alarm_name        = local.objective_alarm_names[each.key]
  alarm_description = "${each.value.text} Runbook: ${var.runbooks}/${each.value.runbook}.md"
  alarm_rule        = join(" AND ", [for window in ["long", "short"] : "ALARM(\"${local.alarm_names["${each.key}-${window}"]}\")"])
  alarm_actions     = [var.alarm_topic_arn]
  ok_actions        = [var.alarm_topic_arn]

  depends_on = [aws_cloudwatch_metric_alarm.math]
}
