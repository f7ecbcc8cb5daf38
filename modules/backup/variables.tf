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

variable "cold_storage_after_days" {
  description = "The number of days until a backup moves to cold storage, where it stays for at least 90 days; null for never."
  type        = number
  default     = null

  validation {
    condition     = try(var.cold_storage_after_days >= 1 && var.cold_storage_after_days + 90 <= var.retention_days, var.cold_storage_after_days == null)
    error_message = "cold_storage_after_days must be at least 1 and at least 90 less than retention_days."
  }
}

variable "copy_to_vault_arns" {
  description = "Vaults in other regions or accounts that receive a copy of every backup."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.copy_to_vault_arns : can(regex("^arn:[^:]+:backup:[^:]+:[0-9]{12}:backup-vault:.+$", arn))])
    error_message = "copy_to_vault_arns must be ARNs of backup vaults."
  }

  validation {
    condition     = !contains(var.copy_to_vault_arns, "arn:${var.context.partition}:backup:${var.context.region}:${var.context.account_id}:backup-vault:${var.name}")
    error_message = "copy_to_vault_arns names the vault itself."
  }
}

variable "kms_alias" {
  description = "The alias (without alias/) of the key that encrypts the backups."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the backups. With a separate key they outlive the table's key."
  type        = string
  nullable    = false
}

variable "lock" {
  description = "The minimum and maximum retention of a backup in this vault, in days: nobody can delete one sooner. With changeable_for_days (3 or more) nobody can remove the lock itself after that time, not even AWS. Null for no lock."
  type = object({
    changeable_for_days = optional(number)
    max_retention_days  = optional(number)
    min_retention_days  = number
  })
  default = null

  validation {
    condition     = var.lock == null || try(var.lock.min_retention_days >= 1 && var.lock.min_retention_days <= var.retention_days && coalesce(var.lock.max_retention_days, var.retention_days) >= var.retention_days, false)
    error_message = "lock: retention_days must lie between min_retention_days (1 or more) and max_retention_days, or every backup would fail."
  }

  validation {
    condition     = try(coalesce(var.lock.changeable_for_days, 3), 3) >= 3
    error_message = "lock: changeable_for_days must be 3 or more, or null for a lock that can be taken away."
  }
}

variable "name" {
  description = "The name of the vault, the plan and the role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{2,50}$", var.name))
    error_message = "name must be 2 to 50 letters, digits, hyphens and underscores."
  }
}

variable "retention_days" {
  description = "A backup's retention, in days."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 36500
    error_message = "retention_days must be from 1 to 36500."
  }
}

variable "schedule" {
  description = "The schedule of the backups: cron(…) in UTC with six fields."
  type        = string
  default     = "cron(0 18 * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^cron\\(([^ )]+ ){5}[^ )]+\\)$", var.schedule))
    error_message = "schedule must be cron(…) with six fields, such as cron(0 18 * * ? *)."
  }
}

variable "tables" {
  description = "The tables to back up, by their names, each with the alias (without alias/) of its key."
  type        = map(object({ kms_alias = string }))
  nullable    = false

  validation {
    condition     = length(var.tables) > 0
    error_message = "tables must name at least one table."
  }
}
