# Backups of the payments table by AWS Backup, if var.backup is set.

# The backups have their own key, so they stay readable if the table's key is lost.
module "backup_key" {
  source = "./modules/kms"
  count  = var.backup == null ? 0 : 1

  context = local.context
  keys = {
    backup = {
      alias                = local.backup_name
      description          = "The backups of the payments table"
      deletion_window_days = var.key_deletion_window_days
    }
  }
}

module "backup" {
  source = "./modules/backup"
  count  = var.backup == null ? 0 : 1

  context                 = local.context
  name                    = local.backup_name
  kms_key_arn             = module.backup_key[0].keys["backup"].arn
  kms_alias               = local.backup_name
  tables                  = { (module.table.name) = { kms_alias = local.key_aliases.dynamodb } }
  schedule                = var.backup.schedule
  retention_days          = var.backup.retention_days
  cold_storage_after_days = var.backup.cold_storage_after_days
  copy_to_vault_arns      = var.backup.copy_to_vault_arns
  lock                    = var.backup.lock
}
