output "arn" {
  description = "The topic's ARN, known at plan."
  value       = local.arn
  depends_on  = [aws_sns_topic.this]
}

output "name" {
  description = "The topic's name."
  value       = var.name
}
