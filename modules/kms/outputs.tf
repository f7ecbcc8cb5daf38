output "keys" {
  description = "Each key by its use: its ARN and id (known after the first apply) and its alias."
  value = {
    for use, key in aws_kms_key.this : use => {
      alias = aws_kms_alias.this[use].name
      arn   = key.arn
      id    = key.key_id
    }
  }
}
