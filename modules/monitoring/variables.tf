variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id, of which ARNs are built."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "alarm_topic_arn" {
  description = "The SNS topic that every alarm reports to."
  type        = string
  nullable    = false
}

variable "api" {
  description = "The REST API's name and stage."
  type = object({
    name  = string
    stage = string
  })
  nullable = false
}

variable "dead_letter_queues" {
  description = "Further queues that should stay empty, by a name of your choice."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "functions" {
  description = "The functions by a name of your choice: full name, time-out, reserved concurrency (-1 for none) and log group."
  type = map(object({
    log_group_name       = string
    name                 = string
    reserved_concurrency = optional(number, -1)
    timeout_seconds      = number
  }))
  nullable = false
}

variable "metrics_namespace" {
  description = "The namespace of the metrics that the functions write."
  type        = string
  default     = "Payments"
  nullable    = false
}

variable "name" {
  description = "The beginning of every alarm's name."
  type        = string
  nullable    = false
}

variable "queues" {
  description = "The queues by a name of your choice: full name, and the dead-letter queue's."
  type = map(object({
    dead_letter_queue_name = string
    name                   = string
  }))
  nullable = false
}

variable "runbooks" {
  description = "Where the runbooks are, as every alarm's description names them: a folder or a URL."
  type        = string
  default     = "docs/runbooks"
  nullable    = false
}

variable "stream_function" {
  description = "Which of functions is fed by the table's stream."
  type        = string
  nullable    = false

  validation {
    condition     = contains(keys(var.functions), var.stream_function)
    error_message = "stream_function must be one of functions."
  }
}

variable "suffix" {
  description = "The end of every alarm's name."
  type        = string
  nullable    = false
}

variable "tables" {
  description = "The tables by a name of your choice: full name and indexes."
  type = map(object({
    indexes = optional(list(string), [])
    name    = string
  }))
  nullable = false
}

variable "thresholds" {
  description = <<-EOT
    When to wake someone: errors and throttles of a function in five minutes; the share of its time-out and of its
    reserve (0 to 1) that is too near; messages waiting, and the age of the oldest and of the stream in milliseconds
    and seconds; 5XX, 4XX answers in five minutes; the API's slow tail in milliseconds; throttles and system errors of a table.
  EOT
  type = object({
    api_4xx               = optional(number, 100)
    api_5xx               = optional(number, 1)
    api_p99_ms            = optional(number, 3000)
    concurrency_share     = optional(number, 0.8)
    duration_share        = optional(number, 0.8)
    errors                = optional(number, 1)
    iterator_age_ms       = optional(number, 60000)
    oldest_message_second = optional(number, 600)
    table_errors          = optional(number, 1)
    throttles             = optional(number, 1)
    waiting_messages      = optional(number, 1000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for share in [var.thresholds.concurrency_share, var.thresholds.duration_share] : share > 0 && share <= 1])
    error_message = "thresholds: concurrency_share and duration_share must be above 0 and at most 1."
  }

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0])
    error_message = "thresholds must all be above 0, or an idle system would raise the alarm."
  }
}
