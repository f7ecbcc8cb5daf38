locals {
  arn_end    = "${var.context.region}:${var.context.account_id}"
  table_arns = { for name in keys(var.tables) : name => "arn:${var.context.partition}:dynamodb:${local.arn_end}:table/${name}" }

  # The regions and accounts of the copies. A recovery point's ARN does not name its vault.
  copy_places   = distinct([for arn in sort(var.copy_to_vault_arns) : join(":", slice(split(":", arn), 3, 5))])
  copy_key_arns = [for place in local.copy_places : "arn:${var.context.partition}:kms:${place}:key/*" if place != local.arn_end]
  own_places    = distinct([for place in concat([local.arn_end], local.copy_places) : place if endswith(place, ":${var.context.account_id}")])

  # By alias, because a key's id is known only after the first apply, and through the one service that uses it.
  key_uses = merge(
    { vault = { alias = var.kms_alias, service = "backup" } },
    { for name, table in var.tables : "table-${name}" => { alias = table.kms_alias, service = "dynamodb" } },
  )
  aliases = distinct([for key in values(local.key_uses) : "alias/${key.alias}"])
}

resource "aws_iam_role" "this" {
  name        = "${var.name}${var.context.role_suffix}"
  description = "What AWS Backup may do to back up what ${var.name} selects"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "backup.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "back-up"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Tables"
          Effect   = "Allow"
          Action   = ["dynamodb:CreateBackup", "dynamodb:DescribeTable", "dynamodb:ListTagsOfResource", "dynamodb:StartAwsBackupJob"]
          Resource = values(local.table_arns)
        },
        {
          Sid      = "TheirBackups"
          Effect   = "Allow"
          Action   = ["dynamodb:DeleteBackup", "dynamodb:DescribeBackup"]
          Resource = [for arn in values(local.table_arns) : "${arn}/backup/*"]
        },
        {
          Sid      = "Vaults"
          Effect   = "Allow"
          Action   = ["backup:CopyIntoBackupVault", "backup:DescribeBackupVault"]
          Resource = concat(["arn:${var.context.partition}:backup:${local.arn_end}:backup-vault:${var.name}"], sort(var.copy_to_vault_arns))
        },
        {
          # A backup gets the tags of its table.
          Sid      = "TagsOfBackups"
          Effect   = "Allow"
          Action   = ["backup:TagResource"]
          Resource = [for place in local.own_places : "arn:${var.context.partition}:backup:${place}:recovery-point:*"]
        },
      ],
      length(var.copy_to_vault_arns) == 0 ? [] : [{
        Sid       = "CopiesOfBackups"
        Effect    = "Allow"
        Action    = ["backup:CopyFromBackupVault"]
        Resource  = "arn:${var.context.partition}:backup:${local.arn_end}:recovery-point:*"
        Condition = { "ForAllValues:ArnEquals" = { "backup:CopyTargets" = sort(var.copy_to_vault_arns) } }
      }],
      # The alias of another vault's key is not known here. In another account, that key's policy decides as well.
      length(local.copy_key_arns) == 0 ? [] : [{
        Sid      = "KeysOfCopies"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey"]
        Resource = local.copy_key_arns
      }],
      length(local.copy_key_arns) == 0 ? [] : [{
        Sid       = "GrantsForCopies"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = local.copy_key_arns
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      }],
      [for use, key in local.key_uses : {
        Sid      = replace(title(replace("key-${use}", "/[^A-Za-z0-9]/", " ")), " ", "")
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource = "arn:${var.context.partition}:kms:${local.arn_end}:key/*"
        Condition = {
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = ["alias/${key.alias}"] }
          StringEquals               = { "kms:ViaService" = ["${key.service}.${var.context.region}.amazonaws.com"] }
        }
      }],
      # AWS Backup describes a key itself, and not through another service.
      [{
        Sid       = "KeysThemselves"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey"]
        Resource  = "arn:${var.context.partition}:kms:${local.arn_end}:key/*"
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = local.aliases } }
      }],
      # A grant that an AWS service creates for itself cannot be tied to that service.
      [{
        Sid      = "GrantsOfServices"
        Effect   = "Allow"
        Action   = ["kms:CreateGrant"]
        Resource = "arn:${var.context.partition}:kms:${local.arn_end}:key/*"
        Condition = {
          Bool                       = { "kms:GrantIsForAWSResource" = "true" }
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = local.aliases }
        }
      }],
    )
  })
}
