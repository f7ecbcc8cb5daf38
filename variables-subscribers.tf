# Who is notified of outcomes.

variable "allowed_private_cidrs" {
  description = <<-EOT
    Private networks that webhooks may be sent to, for a receiver on the same laptop as the embedded AWS. In an AWS
    account, webhooks go to public addresses only.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.allowed_private_cidrs) == 0 || local.embedded
    error_message = <<-EOT
      allowed_private_cidrs must be empty in an AWS account: otherwise a webhook's URL could reach addresses that
      only this network reaches. It is for the embedded AWS.
    EOT
  }
}

variable "announcement_subscriptions" {
  description = <<-EOT
    Who receives the announcements (CloudEvents), by a name of your choice: the SNS protocol, the endpoint, and a filter
    policy as JSON over the message attributes event_type, currency and status.
  EOT
  type = map(object({
    protocol      = string
    endpoint      = string
    filter_policy = optional(string)
    raw           = optional(bool, false)
  }))
  default  = {}
  nullable = false
}

variable "event_bus" {
  description = "Whether the announcements are also put on an EventBridge bus of this stack's own."
  type        = bool
  default     = false
  nullable    = false
}

variable "webhook_secret_ttl_seconds" {
  description = <<-EOT
    For how long the delivering functions cache a webhook's secret, in seconds: a new secret, and switching an endpoint
    on, can take that long to have effect.
  EOT
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.webhook_secret_ttl_seconds >= 1 && var.webhook_secret_ttl_seconds <= 3600
    error_message = "webhook_secret_ttl_seconds must be from 1 to 3600."
  }
}

variable "webhooks" {
  description = <<-EOT
    The HTTPS endpoints that get outcomes as signed webhooks (docs/webhooks.md), by a name of your choice. Each has the
    URL, the events to send (null for all), how many batches of ten are delivered at once, and the time limit of a
    delivery. Its delays between retries are in seconds.
  EOT
  type = map(object({
    events               = optional(set(string))
    maximum_concurrency  = optional(number, 5)
    retry_delays_seconds = optional(list(number), [30, 60, 300, 900, 3600, 10800, 21600, 39600])
    timeout_seconds      = optional(number, 15)
    url                  = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(var.webhooks) <= 20
    error_message = <<-EOT
      webhooks must have at most 20 endpoints: for more, let the receivers subscribe to the announcements topic or to
      the event bus.
    EOT
  }

  validation {
    condition     = alltrue([for endpoint in values(var.webhooks) : startswith(endpoint.url, "https://")])
    error_message = "webhooks: url must begin with https://."
  }

  validation {
    condition = length(setsubtract(
      flatten([for endpoint in values(var.webhooks) : [for event in coalesce(endpoint.events, []) : event]]),
      local.webhook_events,
    )) == 0
    error_message = <<-EOT
      webhooks: events has a name that is not one of the announced events: ${join(", ", sort(local.webhook_events))}.
    EOT
  }

  validation {
    condition = length(var.allowed_private_cidrs) > 0 || alltrue([
      for endpoint in values(var.webhooks) : can(regex("^https://[^/:]+(:443)?(/|$)", endpoint.url))
    ])
    error_message = "webhooks: url must use port 443, the only one that the functions' security group allows."
  }
}
