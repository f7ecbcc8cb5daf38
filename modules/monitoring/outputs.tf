output "alarm_names" {
  description = "Every alarm's name."
  value       = sort(concat([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name], [aws_cloudwatch_composite_alarm.flow.alarm_name]))
}

output "dashboard_name" {
  description = "The dashboard that shows a payment's way from left to right."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
