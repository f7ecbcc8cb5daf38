output "plan_id" {
  description = "The backup plan's id."
  value       = aws_backup_plan.this.id
}

output "role_arn" {
  description = "The ARN of the role that creates the backups. It may not restore."
  value       = aws_iam_role.this.arn
}

output "vault_arn" {
  description = "The vault's ARN."
  value       = aws_backup_vault.this.arn
}

output "vault_name" {
  description = "The vault's name."
  value       = var.name
  depends_on  = [aws_backup_vault.this]
}
