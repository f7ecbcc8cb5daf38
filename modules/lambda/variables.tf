variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id, of which ARNs are built."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "architecture" {
  description = "The processor architecture: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "description" {
  description = "What the function does, in a sentence."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The function's environment variables. No secrets: they can be read by whoever may read the function's configuration."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "handler" {
  description = "The function to call, as package.module.function."
  type        = string
  nullable    = false
}

variable "kms_alias" {
  description = "The alias (without alias/) of the key that encrypts the environment."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the environment."
  type        = string
  nullable    = false
}

variable "layer_arns" {
  description = "The ARNs of the layer versions that the function uses."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "logs" {
  description = "How long the function's log is kept, in days, the key that encrypts it, and the least level that is logged."
  type = object({
    kms_key_arn    = string
    level          = optional(string, "INFO")
    retention_days = number
  })
  nullable = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.logs.level)
    error_message = "logs.level must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }
}

variable "memory_mb" {
  description = "The function's memory in MB; its share of a processor grows with it."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must be from 128 to 10240."
  }
}

variable "name" {
  description = "The function's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores."
  }
}

variable "network" {
  description = "The subnets and the security groups that the function runs in; null for none."
  type = object({
    security_group_ids = list(string)
    subnet_ids         = list(string)
  })
  default = null
}

variable "package" {
  description = "The zip of the function's code and its SHA-256 in base64."
  type = object({
    path          = string
    sha256_base64 = string
  })
  nullable = false
}

variable "queue_sources" {
  description = "The queues that feed the function, by a name of your choice: the queue's ARN and its key's alias, how many messages make a batch, how long a batch is gathered, and how many batches are worked on at once."
  type = map(object({
    batch_size              = optional(number, 10)
    batching_window_seconds = optional(number, 0)
    kms_alias               = string
    maximum_concurrency     = optional(number)
    queue_arn               = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for source in values(var.queue_sources) : coalesce(source.maximum_concurrency, 2) >= 2 && coalesce(source.maximum_concurrency, 2) <= 1000])
    error_message = "queue_sources: maximum_concurrency must be from 2 to 1000."
  }

  validation {
    condition     = alltrue([for source in values(var.queue_sources) : source.batch_size >= 1 && source.batch_size <= (source.batching_window_seconds > 0 ? 10000 : 10)])
    error_message = "queue_sources: batch_size must be from 1 to 10, or to 10000 with a batching window."
  }
}

variable "reserved_concurrency" {
  description = "How many instances are kept for this function, which is also the most it gets; -1 reserves none and bounds nothing."
  type        = number
  default     = -1
  nullable    = false

  validation {
    condition     = var.reserved_concurrency >= -1
    error_message = "reserved_concurrency must be -1 (none) or more."
  }
}

variable "runtime" {
  description = "The Python runtime."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    condition     = can(regex("^python3\\.[0-9]+$", var.runtime))
    error_message = "runtime must be a Python runtime, such as python3.13."
  }
}

variable "schedule" {
  description = "When the function is called by itself, as EventBridge writes it: rate(5 minutes) or cron(0 4 * * ? *); null for never."
  type        = string
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(rate|cron)\\([^()]+\\)$", var.schedule))
    error_message = "schedule must be rate(…) or cron(…), such as rate(5 minutes)."
  }
}

variable "statements" {
  description = "What the function may do, by a name of your choice: actions, resources and conditions. Stars are refused."
  type = map(object({
    actions = list(string)
    conditions = optional(list(object({
      test     = string
      values   = list(string)
      variable = string
    })), [])
    resources = list(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue(flatten([for statement in values(var.statements) : [for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z0-9]+$", action))]]))
    error_message = "statements: name each action in full, such as dynamodb:PutItem; a star is refused."
  }

  validation {
    condition     = alltrue(flatten([for statement in values(var.statements) : [for resource in statement.resources : resource != "*"]]))
    error_message = "statements: name the resources by their ARNs; a bare star is refused."
  }
}

variable "stream_sources" {
  description = "The table streams that feed the function, by a name of your choice: the stream's ARN and the pattern that policies name it by, its key's alias, event filters as JSON, batch size and window, how often and how long a batch is retried, and the queue that is told of what was given up."
  type = map(object({
    batch_size                 = optional(number, 10)
    batching_window_seconds    = optional(number, 0)
    filters                    = optional(list(string), [])
    kms_alias                  = string
    maximum_record_age_seconds = optional(number, 82800)
    maximum_retry_attempts     = optional(number, 10000)
    on_failure_kms_alias       = string
    on_failure_queue_arn       = string
    parallelization_factor     = optional(number, 1)
    stream_arn                 = string
    stream_arn_pattern         = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for source in values(var.stream_sources) : source.maximum_record_age_seconds >= 60 && source.maximum_record_age_seconds <= 86400])
    error_message = "stream_sources: maximum_record_age_seconds must be from 60 to 86400: the stream itself forgets after a day, silently."
  }

  validation {
    condition     = alltrue([for source in values(var.stream_sources) : source.parallelization_factor >= 1 && source.parallelization_factor <= 10])
    error_message = "stream_sources: parallelization_factor must be from 1 to 10."
  }
}

variable "timeout_seconds" {
  description = "How long a call may take, in seconds."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be from 1 to 900."
  }
}
