variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "batching_window_seconds" {
  description = "The batching window of the consumer's mapping, in seconds."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.batching_window_seconds >= 0 && var.batching_window_seconds <= 300
    error_message = "batching_window_seconds must be from 0 to 300, as Lambda allows."
  }
}

variable "consumer_timeout_seconds" {
  description = "The consumer's time-out, in seconds. A message stays hidden for six times as long while it is processed."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.consumer_timeout_seconds >= 1 && var.consumer_timeout_seconds <= 900
    error_message = "consumer_timeout_seconds must be from 1 to 900, as Lambda allows."
  }
}

variable "dead_letter_queue_name" {
  description = "The name of the dead-letter queue; null for a queue that is itself a dead-letter queue or an on-failure destination."
  type        = string
  default     = null
}

variable "dead_letter_retention_seconds" {
  description = "How long the dead-letter queue keeps a message, in seconds, counted from when it was first sent to the queue."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dead_letter_retention_seconds <= 1209600 && (var.dead_letter_queue_name == null || var.dead_letter_retention_seconds > var.retention_seconds)
    error_message = "dead_letter_retention_seconds must be more than retention_seconds and at most 1209600 (14 days): a dead letter's age counts from its first sending, so it would be gone before anyone looks."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the messages."
  type        = string
  nullable    = false
}

variable "max_receive_count" {
  description = "How often a message is received before it goes to the dead-letter queue."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be from 1 to 1000."
  }
}

variable "name" {
  description = "The queue's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.name))
    error_message = "name must be 1 to 80 letters, digits, hyphens and underscores."
  }
}

variable "receive_wait_seconds" {
  description = "How long a receive waits for a message (long polling), in seconds."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.receive_wait_seconds >= 1 && var.receive_wait_seconds <= 20
    error_message = "receive_wait_seconds must be from 1 to 20: with 0 an empty queue is asked, and paid for, without end."
  }
}

variable "retention_seconds" {
  description = "How long the queue keeps a message, in seconds."
  type        = number
  default     = 345600
  nullable    = false

  validation {
    condition     = var.retention_seconds >= 60 && var.retention_seconds <= 1209600
    error_message = "retention_seconds must be from 60 to 1209600 (14 days)."
  }
}

variable "senders" {
  description = "AWS resources that may send to the queue and its dead-letter queue, by a name of your choice: the service principal and the resource's ARN. Roles get access by their own policies."
  type = map(object({
    arn     = string
    service = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for source in values(var.senders) : endswith(source.service, ".amazonaws.com") && can(regex("^arn:[a-z-]+:[a-z0-9-]+:[^*]+$", source.arn))])
    error_message = "senders must name a service principal, such as sns.amazonaws.com, and one resource by its whole ARN: with a star, other accounts' resources could send."
  }
}
