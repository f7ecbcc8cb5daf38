# The payment gateway.

variable "gateway" {
  description = <<-EOT
    The payment gateway that the processor charges: simulator (deterministic, moves no money) or stripe (docs/stripe.md;
    it needs a NAT mode).
  EOT
  type        = string
  default     = "simulator"
  nullable    = false

  validation {
    condition     = contains(local.gateway_names, var.gateway)
    error_message = "gateway must be ${join(" or ", local.gateway_names)}."
  }
}

variable "production_moves_no_money" {
  description = <<-EOT
    Whether the simulator may be the gateway if environment_suffix begins with prod: payments are then reported as
    processed, and nobody is charged.
  EOT
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.production_moves_no_money || var.gateway != "simulator" || !local.production
    error_message = <<-EOT
      gateway is simulator, which moves no money, and environment_suffix begins with prod. Set gateway to "stripe",
      choose another environment_suffix, or set production_moves_no_money to true.
    EOT
  }
}

variable "stripe_address" {
  description = "The address of a fake Stripe on the same laptop as the embedded AWS; null for Stripe's own."
  type        = string
  default     = null

  validation {
    condition     = var.stripe_address == null || local.embedded
    error_message = <<-EOT
      stripe_address must be null in an AWS account: the API key would be sent to it. It is for the embedded AWS.
    EOT
  }
}

variable "stripe_webhook_throttle" {
  description = <<-EOT
    How many of Stripe's events the route accepts per second at a steady rate, and how many at once. The route has no AWS
    authorization, so it has its own limits. Stripe sends a refused event again.
  EOT
  type = object({
    burst_limit = optional(number, 50)
    rate_limit  = optional(number, 25)
  })
  default  = {}
  nullable = false
}
