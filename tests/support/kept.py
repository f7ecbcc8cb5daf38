"""What a stack cannot lose and create again."""

# The types that hold payments, messages, secrets or what a secret was encrypted with.
HOLDS_DATA = {
    "aws_backup_vault",
    "aws_cloudwatch_log_group",
    "aws_dynamodb_table",
    "aws_dynamodb_table_replica",
    "aws_kms_alias",
    "aws_kms_key",
    "aws_s3_bucket",
    "aws_secretsmanager_secret",
    "aws_sns_topic",
    "aws_sqs_queue",
}
