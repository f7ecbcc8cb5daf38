# The data: the table, its backups, the queues, the keys and the secrets.

variable "backup" {
  description = <<-EOT
    Backups of the payments table by AWS Backup, in addition to point-in-time recovery: the schedule, the retention, and
    when they move to cold storage. Vaults of other regions or accounts can get a copy, and a lock can keep everyone from
    deleting one early. Null for none. See modules/backup.
  EOT
  type = object({
    cold_storage_after_days = optional(number)
    copy_to_vault_arns      = optional(set(string), [])
    lock = optional(object({
      changeable_for_days = optional(number)
      max_retention_days  = optional(number)
      min_retention_days  = number
    }))
    retention_days = optional(number, 365)
    schedule       = optional(string, "cron(0 18 * * ? *)")
  })
  default = null

  validation {
    condition     = var.backup == null || try(var.backup.retention_days >= 35, false)
    error_message = <<-EOT
      backup.retention_days must be 35 or more: point-in-time recovery already covers every second until then.
    EOT
  }
}

variable "key_deletion_window_days" {
  description = "For how many days the deletion of a KMS key can be cancelled."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.key_deletion_window_days >= 7 && var.key_deletion_window_days <= 30
    error_message = "key_deletion_window_days must be from 7 to 30."
  }
}

variable "queues" {
  description = <<-EOT
    Both queues: how often a message is received before it goes to the dead-letter queue, and how long the queue and the
    dead-letter queue keep a message, in seconds. A message that is being processed stays hidden for six times its
    consumer's time-out.
  EOT
  type = object({
    batch_size                    = optional(number, 10)
    dead_letter_retention_seconds = optional(number, 1209600)
    max_receive_count             = optional(number, 3)
    retention_seconds             = optional(number, 345600)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.queues.max_receive_count >= 2 && var.queues.max_receive_count <= 1000
    error_message = <<-EOT
      queues.max_receive_count must be from 2 to 1000: with 1, a single failure of the gateway would send a message to
      the dead-letter queue.
    EOT
  }

  validation {
    condition     = var.queues.batch_size >= 1 && var.queues.batch_size <= 10
    error_message = "queues.batch_size must be from 1 to 10."
  }

  validation {
    condition = (
      var.queues.retention_seconds >= 3600 &&
      var.queues.retention_seconds < var.queues.dead_letter_retention_seconds &&
      var.queues.dead_letter_retention_seconds <= 1209600
    )
    error_message = <<-EOT
      queues.retention_seconds must be at least 3600 and less than queues.dead_letter_retention_seconds (at most
      1209600): a dead letter's age counts from its first sending.
    EOT
  }
}

variable "restored" {
  description = <<-EOT
    Whether the payments table was restored from a backup. While it is true, every charge and refund is first looked up
    at the gateway, since a lost one may be requested again. Set it before the restored table is used
    (docs/operations.md says when it may be false again).
  EOT
  type        = bool
  default     = false
  nullable    = false
}

variable "secret_recovery_days" {
  description = <<-EOT
    For how many days a deleted secret can be restored: 7 to 30, or 0 to delete it at once. Until then AWS creates no
    secret of the same name, so a stack that was destroyed cannot be deployed again (docs/destroy.md).
  EOT
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = (
      var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    )
    error_message = "secret_recovery_days must be 0, or from 7 to 30."
  }
}

variable "table" {
  description = <<-EOT
    The payments table: days of point-in-time recovery (0 for none, or 1 to 35) and protection from deletion.
  EOT
  type = object({
    deletion_protection         = optional(bool, true)
    point_in_time_recovery_days = optional(number, 35)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.table.point_in_time_recovery_days >= 0 && var.table.point_in_time_recovery_days <= 35
    error_message = "table.point_in_time_recovery_days must be from 0 (off) to 35."
  }
}

variable "table_replicas" {
  description = <<-EOT
    Replicas of the payments table in other regions, each with a KMS key of that region. Writes to them appear in the
    one stream too, so only this stack's region may accept payments. Taking a region out deletes its replica with all
    items; to use one for a takeover, see docs/destroy.md.
  EOT
  type        = map(object({ kms_key_arn = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = !contains(keys(var.table_replicas), var.region)
    error_message = "table_replicas names the stack's own region, which already has the table."
  }

  validation {
    condition = alltrue([
      for region, replica in var.table_replicas :
      can(regex("^arn:[^:]+:kms:${region}:[0-9]{12}:key/", replica.kms_key_arn))
    ])
    error_message = "table_replicas: kms_key_arn must be the ARN of a key in the replica's own region."
  }
}
