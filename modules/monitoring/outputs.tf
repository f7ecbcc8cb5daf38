output "alarm_arns" {
  description = "Every alarm's ARN by its name, known at plan."
  value       = local.alarm_arns
  depends_on  = [aws_cloudwatch_composite_alarm.flow, aws_cloudwatch_composite_alarm.objective]
}

output "alarm_names" {
  description = "Every alarm's name."
  value       = sort(keys(local.alarm_arns))
  depends_on  = [aws_cloudwatch_composite_alarm.flow, aws_cloudwatch_composite_alarm.objective]
}

output "dashboard_name" {
  description = "The dashboard, which shows the payment flow from left to right."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "flow_alarm_name" {
  description = "The composite alarm to page on: accepted payments are stuck."
  value       = aws_cloudwatch_composite_alarm.flow.alarm_name
}

output "objective_alarm_names" {
  description = "The composite alarms for error budgets that burn too fast: page on the fast ones, read the slow ones by day."
  value       = { for key, alarm in aws_cloudwatch_composite_alarm.objective : key => alarm.alarm_name }
}
