variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the messages."
  type        = string
  nullable    = false
}

variable "name" {
  description = "The topic's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,256}$", var.name))
    error_message = "name must be 1 to 256 letters, digits, hyphens and underscores."
  }
}

variable "publishers" {
  description = "AWS services that may publish for this account, as service principals by a name of your choice. Roles get access by their own policies."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for service in values(var.publishers) : endswith(service, ".amazonaws.com")])
    error_message = "publishers must be service principals, such as cloudwatch.amazonaws.com."
  }
}

variable "subscriptions" {
  description = "Who receives the messages, by a name of your choice: protocol, endpoint, a filter policy as JSON over the message attributes, and whether a queue gets the raw message."
  type = map(object({
    endpoint      = string
    filter_policy = optional(string)
    protocol      = string
    raw           = optional(bool, false)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for subscription in values(var.subscriptions) : contains(["email", "email-json", "https", "lambda", "sms", "sqs"], subscription.protocol)])
    error_message = "subscriptions: protocol must be email, email-json, https, lambda, sms or sqs. Plain http is refused."
  }
}
