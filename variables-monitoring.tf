# Objectives, alarm thresholds, and who is notified.

variable "alarm_emails" {
  description = "E-mail addresses that every alarm notifies. Each has to confirm its subscription once."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails holds something that is not an e-mail address. Write each as name@example.com."
  }
}

variable "log_retention_days" {
  description = "How long every log group keeps its events, in days: one of the values that CloudWatch Logs accepts."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ], var.log_retention_days)
    error_message = <<-EOT
      log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192,
      2557, 2922, 3288, 3653.
    EOT
  }
}

variable "objectives" {
  description = <<-EOT
    The objectives: the share of payments that becomes final within payments_seconds, and the share of API calls that is
    answered without 5XX. minimum_events is how many payments or calls the long window needs before an alarm can be
    raised. See modules/monitoring.
  EOT
  type = object({
    api_share        = optional(number, 0.999)
    minimum_events   = optional(number, 20)
    payments_seconds = optional(number, 60)
    payments_share   = optional(number, 0.999)
  })
  default  = {}
  nullable = false
}

variable "saved_queries" {
  description = <<-EOT
    Whether to save the Logs Insights query that shows one payment's whole story; false if CloudWatch Logs does not
    accept it, as on the embedded AWS.
  EOT
  type        = bool
  default     = true
  nullable    = false
}

variable "thresholds" {
  description = <<-EOT
    When to raise an alarm; modules/monitoring/README.md explains each threshold and its default. All must be
    above 0.
  EOT
  type = object({
    api_4xx                = optional(number, 100)
    api_5xx                = optional(number, 1)
    api_p99_ms             = optional(number, 3000)
    concurrency_share      = optional(number, 0.8)
    contradictions         = optional(number, 1)
    dead_letters           = optional(number, 1)
    disputes               = optional(number, 1)
    duration_share         = optional(number, 0.8)
    errors                 = optional(number, 1)
    gateway_differences    = optional(number, 1)
    iterator_age_ms        = optional(number, 60000)
    oldest_message_seconds = optional(number, 600)
    open_payment_seconds   = optional(number, 3600)
    reconciler_failed      = optional(number, 1)
    reconciler_left        = optional(number, 1)
    table_errors           = optional(number, 1)
    throttles              = optional(number, 1)
    waiting_messages       = optional(number, 1000)
  })
  default  = {}
  nullable = false
}
