variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
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
  description = "Further queues that should stay empty, by a name of your choice (the key); the value is the queue's full name."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.dead_letter_queues), keys(var.queues))) == 0
    error_message = "dead_letter_queues and queues must not share a key: the alarms are named by it. Choose another key."
  }
}

variable "functions" {
  description = "The functions by a name of your choice, which is also the dimension `service` of their metrics: full name, time-out, reserved concurrency (-1 for none) and log group."
  type = map(object({
    log_group_name       = string
    name                 = string
    reserved_concurrency = optional(number, -1)
    timeout_seconds      = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for function in values(var.functions) : function.timeout_seconds > 0])
    error_message = "functions: timeout_seconds must be above 0; give the function's own time-out."
  }
}

variable "metrics_namespace" {
  description = "The namespace of the functions' metrics. Two stacks in an account must not share it."
  type        = string
  default     = "Payments"
  nullable    = false
}

variable "name" {
  description = "The prefix of the names of the alarms and the dashboard."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores, as a dashboard's name allows."
  }
}

variable "objectives" {
  description = <<-EOT
    The promises. payments: the share that becomes final within payments_seconds. api: the share of calls without a 5XX.
    minimum_events: how many payments or calls the long window needs before an alarm may be raised; with fewer, a single
    bad one would be a large share. The README says how fast the error budget must burn.
  EOT
  type = object({
    api_share        = optional(number, 0.999)
    minimum_events   = optional(number, 20)
    payments_seconds = optional(number, 60)
    payments_share   = optional(number, 0.999)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for share in [var.objectives.api_share, var.objectives.payments_share] : share >= 0.94 && share < 1])
    error_message = "objectives: api_share and payments_share must be at least 0.94 and below 1: with less, a fast burn could never be seen, and 1 leaves no budget to burn."
  }

  validation {
    condition     = var.objectives.minimum_events >= 1 && var.objectives.payments_seconds > 0
    error_message = "objectives: minimum_events must be at least 1, and payments_seconds above 0."
  }
}

variable "queues" {
  description = "The queues by a name of your choice: full name, the dead-letter queue's full name, and the highest age of a message in seconds (null: thresholds.oldest_message_seconds)."
  type = map(object({
    dead_letter_queue_name = string
    maximum_age_seconds    = optional(number)
    name                   = string
  }))
  nullable = false
}

variable "roles" {
  description = <<-EOT
    Which of functions write which payment metrics, by their keys; null if none does. accepting: Accepted. refunding:
    RefundAccepted. charging: Processed, Failed, Unknown, SecondsToFinal and Contradicted, and the same for refunds.
    announcing: Announced. reconciling: Reconciler*, OldestOpenSeconds, and the same as charging, every
    reconcile_minutes. hearing: Contradicted, if the gateway sends events; the relay then writes Disputed. comparing:
    ComparisonDifference, if the gateway's records are compared. The relay's metrics are those of stream_function.
  EOT
  type = object({
    accepting         = string
    announcing        = string
    charging          = string
    comparing         = optional(string)
    hearing           = optional(string)
    reconcile_minutes = number
    reconciling       = string
    refunding         = string
  })
  default = null

  validation {
    condition     = var.roles == null || length(setsubtract([for role, function in coalesce(var.roles, {}) : function if role != "reconcile_minutes" && function != null], keys(var.functions))) == 0
    error_message = "roles names a function that is not one of functions."
  }

  validation {
    condition     = var.roles == null || try(var.roles.reconcile_minutes >= 1 && var.roles.reconcile_minutes <= 1440 && floor(var.roles.reconcile_minutes) == var.roles.reconcile_minutes, false)
    error_message = "roles: reconcile_minutes must be a whole number from 1 to 1440."
  }
}

variable "runbooks" {
  description = "The folder or URL of the runbooks, for the alarms' descriptions."
  type        = string
  default     = "docs/runbooks"
  nullable    = false
}

variable "saved_queries" {
  description = "Whether to save the Logs Insights queries; false if CloudWatch Logs does not accept them."
  type        = bool
  default     = true
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
  description = "The suffix of the names of the alarms and the dashboard: the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.suffix))
    error_message = "suffix must be 1 to 64 letters, digits, hyphens and underscores, as a dashboard's name allows."
  }
}

variable "tables" {
  description = "The tables by a name of your choice: full name, indexes, and the operations that the functions use (DynamoDB reports its failures by operation)."
  type = map(object({
    indexes    = optional(list(string), [])
    name       = string
    operations = optional(list(string), ["BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem"])
  }))
  nullable = false
}

variable "thresholds" {
  description = "When to raise an alarm. The README explains each threshold and its default. All must be above 0."
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

  validation {
    condition     = alltrue([for share in [var.thresholds.concurrency_share, var.thresholds.duration_share] : share > 0 && share <= 1])
    error_message = "thresholds: concurrency_share and duration_share must be above 0 and at most 1."
  }

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0])
    error_message = "thresholds must all be above 0, or an idle system would raise the alarm."
  }
}
