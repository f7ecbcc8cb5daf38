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

variable "alarm_name" {
  description = "The name of the alarm on messages in the dead-letter queue."
  type        = string
  nullable    = false
}

variable "alarm_topic_arn" {
  description = "The SNS topic that the alarm reports to."
  type        = string
  nullable    = false
}

variable "dead_letter_queue_name" {
  description = "The name of the dead-letter queue, for messages that did not reach the bus."
  type        = string
  nullable    = false
}

variable "max_receive_count" {
  description = "How often a message is tried before it goes to the dead-letter queue."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 2 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be from 2 to 1000."
  }
}

variable "name" {
  description = "The name of the bus and of the pipe that feeds it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,59}$", var.name))
    error_message = "name must be 1 to 59 letters, digits, hyphens and underscores."
  }
}

variable "queue_key" {
  description = "The key that encrypts the queue, by ARN and alias (without alias/). Its policy must let the topic's SNS use it."
  type = object({
    alias = string
    arn   = string
  })
  nullable = false
}

variable "queue_name" {
  description = "The name of the queue between the topic and the pipe."
  type        = string
  nullable    = false
}

variable "runbooks" {
  description = "The folder or URL of the runbooks, for the alarm's description."
  type        = string
  default     = "docs/runbooks"
  nullable    = false
}

variable "topic_arn" {
  description = "The SNS topic whose messages (CloudEvents) go to the bus."
  type        = string
  nullable    = false
}
