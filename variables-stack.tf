# The name and the place of the stack.

variable "cost_center" {
  description = "The CostCenter tag of every resource."
  type        = string
  default     = "engineering"
  nullable    = false
}

variable "environment_suffix" {
  description = "The end of every name, so that several stacks can share an account: dev, prod, pr-123."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.environment_suffix))
    error_message = <<-EOT
      environment_suffix must be 1 to 20 lower-case letters, digits and hyphens, with no hyphen at either end.
    EOT
  }
}

variable "project" {
  description = "The Project tag of every resource."
  type        = string
  default     = "payment-processing"
  nullable    = false
}

variable "region" {
  description = "The AWS region of the whole stack."
  type        = string
  default     = "ap-southeast-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region's code, such as ap-southeast-1."
  }
}

variable "region_in_role_names" {
  description = <<-EOT
    Whether the names of the IAM roles end in a short form of the region, such as apse1. An account has its roles for all
    regions together, so a second stack with the same environment_suffix in another region needs it. Set it before the
    first apply: in a running stack it replaces every role.
  EOT
  type        = bool
  default     = false
  nullable    = false
}
