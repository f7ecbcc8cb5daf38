resource "aws_backup_vault" "this" {
  name        = var.name
  kms_key_arn = var.kms_key_arn
}

resource "aws_backup_vault_lock_configuration" "this" {
  count = var.lock == null ? 0 : 1

  backup_vault_name   = aws_backup_vault.this.name
  changeable_for_days = var.lock.changeable_for_days
  max_retention_days  = var.lock.max_retention_days
  min_retention_days  = var.lock.min_retention_days
}

resource "aws_backup_plan" "this" {
  name = var.name

  rule {
    rule_name         = "scheduled"
    target_vault_name = aws_backup_vault.this.name
    schedule          = var.schedule
    start_window      = 60
    completion_window = 480

    lifecycle {
      cold_storage_after = var.cold_storage_after_days
      delete_after       = var.retention_days
    }

    dynamic "copy_action" {
      for_each = var.copy_to_vault_arns

      content {
        destination_vault_arn = copy_action.value

        lifecycle {
          cold_storage_after = var.cold_storage_after_days
          delete_after       = var.retention_days
        }
      }
    }
  }
}

resource "aws_backup_selection" "this" {
  name         = var.name
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.this.arn
  resources    = [for name in sort(keys(var.tables)) : local.table_arns[name]]

  depends_on = [aws_iam_role_policy.this]
}
