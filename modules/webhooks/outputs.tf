output "alarm_names" {
  description = "Every alarm's name."
  value       = sort([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.alarm_name])
}

output "endpoints" {
  description = "Each endpoint's parts by its name: function, secret, and the URLs of its queue and dead-letter queue."
  value = {
    for endpoint, name in local.names : endpoint => {
      dead_letter_queue_url = module.queue[endpoint].dead_letter.url
      function_name         = module.function[endpoint].name
      queue_url             = module.queue[endpoint].url
      secret_name           = aws_secretsmanager_secret.this[endpoint].name
    }
  }
}

output "functions" {
  description = "The delivering functions, in the form that the monitoring module expects."
  value = {
    for endpoint, name in local.names : "webhook-${endpoint}" => {
      log_group_name       = module.function[endpoint].log_group_name
      name                 = name
      reserved_concurrency = -1
      timeout_seconds      = local.timeouts[endpoint]
    }
  }
}
