# Limits of a payment, and when the reconciler looks at it.

variable "amount_limits" {
  description = <<-EOT
    The largest amount that a payment may have, by currency, as a decimal in the currency's major unit, such as { EUR =
    "10000.00" }. Other currencies have no limit but 12 digits of minor units.
  EOT
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for currency, amount in var.amount_limits :
      can(regex("^[A-Z]{3}$", currency)) && can(regex("^(0|[1-9][0-9]*)(\\.[0-9]+)?$", amount))
    ])
    error_message = "amount_limits must map ISO 4217 codes to decimal numbers, such as { EUR = \"10000.00\" }."
  }

  validation {
    condition     = length(setsubtract(keys(var.amount_limits), keys(local.currencies))) == 0
    error_message = "amount_limits has a key that is not the code of an ISO 4217 currency."
  }

  validation {
    condition = alltrue([
      for currency, amount in var.amount_limits :
      length(try(split(".", amount)[1], "")) <= try(local.currencies[currency], 4)
    ])
    error_message = "amount_limits has an amount with more decimals than its currency has."
  }
}

variable "default_currency" {
  description = "The ISO 4217 code of the currency of a payment that names none."
  type        = string
  default     = "USD"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.default_currency))
    error_message = "default_currency must be an ISO 4217 code of three capital letters, such as USD or JPY."
  }

  validation {
    condition     = contains(keys(local.currencies), var.default_currency)
    error_message = "default_currency is not the code of an ISO 4217 currency that payments can use."
  }
}

variable "reconciler" {
  description = <<-EOT
    How often the reconciler runs, and the least age of the payments that it looks at, both in minutes. The age should
    be more than a payment takes to reach its dead-letter queue: until then, retries may still succeed.
  EOT
  type = object({
    interval_minutes   = optional(number, 5)
    older_than_minutes = optional(number, 15)
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      var.reconciler.interval_minutes >= 1 && var.reconciler.interval_minutes <= 1440 &&
      floor(var.reconciler.interval_minutes) == var.reconciler.interval_minutes
    )
    error_message = "reconciler.interval_minutes must be a whole number from 1 to 1440."
  }

  validation {
    condition = (
      var.reconciler.older_than_minutes >= 1 && var.reconciler.older_than_minutes <= 1380 &&
      floor(var.reconciler.older_than_minutes) == var.reconciler.older_than_minutes
    )
    error_message = <<-EOT
      reconciler.older_than_minutes must be a whole number from 1 to 1380: gateways forget an idempotency key after a
      day.
    EOT
  }
}
