output "arn" {
  description = "The table's ARN, known at plan."
  value       = local.arn
  depends_on  = [aws_dynamodb_table.this]
}

output "name" {
  description = "The table's name."
  value       = var.name
  depends_on  = [aws_dynamodb_table.this]
}

output "stream_arn" {
  description = "The stream's ARN, which AWS chooses; null without a stream."
  value       = var.stream_view_type == null ? null : aws_dynamodb_table.this.stream_arn
}

output "stream_arn_pattern" {
  description = "A pattern that matches the ARN of any stream of this table, for policies; known at plan."
  value       = "${local.arn}/stream/*"
  depends_on  = [aws_dynamodb_table.this]
}
