variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them. role_suffix ends the names of the roles, which an account has once for all regions."
  type = object({
    account_id  = string
    partition   = string
    region      = string
    role_suffix = optional(string, "")
  })
  nullable = false
}

variable "alarm_topic_arn" {
  description = "The SNS topic that every alarm reports to."
  type        = string
  nullable    = false
}

variable "allowed_private_cidrs" {
  description = "Private networks that endpoints may be in: for tests with a receiver on the same machine or in the same network. Each lies within 10.0.0.0/8, 127.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, or is ::1/128."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for block in var.allowed_private_cidrs : can(cidrhost(block, 0))])
    error_message = "allowed_private_cidrs must be CIDR blocks, such as 127.0.0.0/8."
  }

  validation {
    condition = alltrue([for block in var.allowed_private_cidrs : anytrue([
      for private in ["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128"] :
      try(tonumber(split("/", block)[1]) >= tonumber(split("/", private)[1]) && cidrhost("${split("/", block)[0]}/${split("/", private)[1]}", 0) == cidrhost(private, 0), !can(cidrhost(block, 0)))
    ])])
    error_message = "allowed_private_cidrs must lie within 10.0.0.0/8, 127.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, or be ::1/128. Anything wider would let a webhook's URL reach other addresses of the network, such as those that hold credentials (169.254.0.0/16, fd00:ec2::/32)."
  }
}

variable "endpoints" {
  description = <<-EOT
    The endpoints by a name of your choice. Each has the URL, the events to send (null for all), how many batches of ten
    are delivered at once, and the time-out of a delivery. Its delays after each failure are in seconds. After the last delay
    and one more failure a message goes to the endpoint's dead-letter queue.
  EOT
  type = map(object({
    events               = optional(set(string))
    maximum_concurrency  = optional(number, 5)
    retry_delays_seconds = optional(list(number), [30, 60, 300, 900, 3600, 10800, 21600, 39600])
    timeout_seconds      = optional(number, 15)
    url                  = string
  }))
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.endpoints) : can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", name)) && !endswith(name, "-dlq")])
    error_message = "endpoints: a name is 2 to 20 lower-case letters, digits and hyphens, and does not end in -dlq, as the dead-letter queues do."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : can(regex("^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[!-\"$-~]*)?$", endpoint.url))])
    error_message = "endpoints: url must be https://host/path, the host in lower case, without a user and without a fragment."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.events == null || try(length(endpoint.events), 0) > 0])
    error_message = "endpoints: events must name at least one event, or be null for all."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.maximum_concurrency >= 2 && endpoint.maximum_concurrency <= 1000])
    error_message = "endpoints: maximum_concurrency must be from 2 to 1000, as Lambda demands of a queue's mapping."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : length(endpoint.retry_delays_seconds) >= 1 && length(endpoint.retry_delays_seconds) <= 20])
    error_message = "endpoints: retry_delays_seconds must have from 1 to 20 delays."
  }

  validation {
    condition     = alltrue(flatten([for endpoint in values(var.endpoints) : [for delay in endpoint.retry_delays_seconds : delay >= 1 && delay <= 39600 && floor(delay) == delay]]))
    error_message = "endpoints: each of retry_delays_seconds must be a whole number from 1 to 39600 (11 hours): SQS hides a message for at most 12 hours from when it was received."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : 2 * sum(concat([0], endpoint.retry_delays_seconds)) <= var.retention_seconds])
    error_message = "endpoints: the retry_delays_seconds together must be at most half of retention_seconds, or the delays of a message that waited behind others are cut short."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.timeout_seconds >= 1 && endpoint.timeout_seconds <= 30 && floor(endpoint.timeout_seconds) == endpoint.timeout_seconds])
    error_message = "endpoints: timeout_seconds must be a whole number from 1 to 30."
  }
}

variable "function" {
  description = "The settings shared by the delivering functions: package, layers, runtime, architecture, memory, environment, log, network, and the key of their environment by ARN and alias (without alias/)."
  type = object({
    architecture = optional(string, "arm64")
    environment  = optional(map(string), {})
    kms_alias    = string
    kms_key_arn  = string
    layer_arns   = optional(list(string), [])
    logs = object({
      kms_key_arn    = string
      level          = optional(string, "INFO")
      retention_days = number
    })
    memory_mb = optional(number, 512)
    network = optional(object({
      security_group_ids = list(string)
      subnet_ids         = list(string)
    }))
    package = object({
      path          = string
      sha256_base64 = string
    })
    runtime = optional(string, "python3.13")
  })
  nullable = false
}

variable "metrics_namespace" {
  description = "The namespace of the delivering functions' metrics. No other environment may use it."
  type        = string
  nullable    = false
}

variable "queue_key" {
  description = "The key that encrypts the queues, by ARN and alias (without alias/). Its policy must let the topic's SNS use it."
  type = object({
    alias = string
    arn   = string
  })
  nullable = false
}

variable "retention_seconds" {
  description = "How long an endpoint's queue keeps a message, in seconds."
  type        = number
  default     = 345600
  nullable    = false

  validation {
    condition     = var.retention_seconds >= 3600 && var.retention_seconds < 1209600
    error_message = "retention_seconds must be at least 3600 and less than 1209600 (14 days), for which the dead-letter queue keeps a message."
  }
}

variable "runbooks" {
  description = "The folder or URL of the runbooks, for the alarms' descriptions."
  type        = string
  default     = "docs/runbooks"
  nullable    = false
}

variable "secret_key" {
  description = "The key that encrypts the secrets, by ARN and alias (without alias/)."
  type = object({
    alias = string
    arn   = string
  })
  nullable = false
}

variable "secret_recovery_days" {
  description = "For how many days a deleted secret can still be restored; 0 deletes at once."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0, or from 7 to 30."
  }
}

variable "secret_ttl_seconds" {
  description = "For how long a function caches a secret, in seconds."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.secret_ttl_seconds >= 1 && var.secret_ttl_seconds <= 3600
    error_message = "secret_ttl_seconds must be from 1 to 3600: a withdrawn secret is used no longer than that."
  }
}

variable "suffix" {
  description = "The suffix of all names: the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.suffix))
    error_message = "suffix must be 1 to 20 lower-case letters, digits and hyphens, with no hyphen at either end."
  }
}

variable "thresholds" {
  description = "When to raise an alarm: failed_deliveries to an endpoint in five minutes, in two of three such periods; hidden_messages that wait for a retry; oldest_message_seconds that a message may wait for its first delivery."
  type = object({
    failed_deliveries      = optional(number, 10)
    hidden_messages        = optional(number, 50000)
    oldest_message_seconds = optional(number, 600)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0])
    error_message = "thresholds must all be above 0, or an idle system would raise the alarm."
  }

  validation {
    condition     = var.thresholds.hidden_messages < 100000
    error_message = "thresholds.hidden_messages must be below 100000: the function hides no more messages than that."
  }
}

variable "topic_arn" {
  description = "The SNS topic whose messages are delivered. They have the message attribute event_type."
  type        = string
  nullable    = false
}
