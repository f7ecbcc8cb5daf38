variable "api_gateway_logs" {
  description = "Whether to set the role with which API Gateway writes logs in this account and region; false if something else sets it."
  type        = bool
  default     = true
  nullable    = false
}

variable "bucket_name" {
  description = "The bucket's name; null for terraform-state-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be 3 to 63 lower-case letters, digits and hyphens. A dot would break its TLS certificate."
  }
}

variable "old_version_days" {
  description = "How long an overwritten state can still be restored, in days."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.old_version_days >= 30
    error_message = "old_version_days must be 30 or more: a lost resource is often noticed late."
  }
}

variable "region" {
  description = "The region of the state."
  type        = string
  default     = "ap-southeast-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region's code, such as ap-southeast-1."
  }
}

variable "tags" {
  description = "The tags of every resource here."
  type        = map(string)
  default     = { Project = "payment-processing", CostCenter = "engineering" }
  nullable    = false
}
