output "arn" {
  description = "The queue's ARN, known at plan."
  value       = local.arn
  depends_on  = [aws_sqs_queue.this]
}

output "dead_letter" {
  description = "The dead-letter queue's ARN, name and URL; null without one."
  value = var.dead_letter_queue_name == null ? null : {
    arn  = "${local.arn_base}:${var.dead_letter_queue_name}"
    name = var.dead_letter_queue_name
    url  = aws_sqs_queue.dead_letter[0].url
  }
}

output "name" {
  description = "The queue's name."
  value       = var.name
}

output "url" {
  description = "The queue's URL."
  value       = aws_sqs_queue.this.url
}
