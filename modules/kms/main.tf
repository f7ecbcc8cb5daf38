resource "aws_kms_key" "this" {
  for_each = var.keys

  description             = each.value.description
  deletion_window_in_days = each.value.deletion_window_days
  enable_key_rotation     = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      # Without this statement only a role named here could change the key again. The roles have their rights in their
      # own policies.
      [{
        Sid       = "AccountDecidesByIAM"
        Effect    = "Allow"
        Principal = { AWS = "arn:${var.context.partition}:iam::${var.context.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }],
      [for grant in each.value.grants : {
        Sid       = grant.sid
        Effect    = "Allow"
        Principal = { Service = grant.services }
        Action    = grant.actions
        Resource  = "*"
        Condition = {
          for test in distinct(grant.conditions[*].test) : test => {
            for condition in grant.conditions : condition.variable => condition.values if condition.test == test
          }
        }
      }],
    )
  })
}

resource "aws_kms_alias" "this" {
  for_each = var.keys

  name          = "alias/${each.value.alias}"
  target_key_id = aws_kms_key.this[each.key].key_id
}
