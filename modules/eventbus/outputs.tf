output "arn" {
  description = "The bus's ARN, known at plan."
  value       = local.bus_arn
  depends_on  = [aws_cloudwatch_event_bus.this]
}

output "dead_letter_queue_url" {
  description = "The URL of the dead-letter queue, for messages that did not reach the bus."
  value       = module.queue.dead_letter.url
}

output "name" {
  description = "The bus's name."
  value       = aws_cloudwatch_event_bus.this.name
}

output "queue_url" {
  description = "The URL of the queue between the topic and the bus."
  value       = module.queue.url
}
