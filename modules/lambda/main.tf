locals {
  arn       = "arn:${var.context.partition}:lambda:${var.context.region}:${var.context.account_id}:function:${var.name}"
  alias     = "live"
  alias_arn = "${local.arn}:${local.alias}"
  live      = one(concat(aws_lambda_alias.live, aws_lambda_alias.shifted))
  log_group = "/aws/lambda/${var.name}"
}

# Created before the function. Otherwise Lambda would create one without a key and without an end.
resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  kms_key_id        = var.logs.kms_key_arn
  retention_in_days = var.logs.retention_days
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_116:a dead-letter queue serves asynchronous calls; queues and streams have theirs at the source
  #checkov:skip=CKV_AWS_272:code_signing_config_arn is a variable, since it needs the account's own signing profile
  #checkov:skip=CKV_AWS_115:reserved concurrency is a variable; a new account has too little to reserve any by default
  function_name                  = var.name
  description                    = var.description
  role                           = aws_iam_role.this.arn
  filename                       = var.package.path
  s3_bucket                      = one(var.package.s3[*].bucket)
  s3_key                         = one(var.package.s3[*].key)
  s3_object_version              = one(var.package.s3[*].version)
  source_code_hash               = var.package.sha256_base64
  handler                        = var.handler
  runtime                        = var.runtime
  architectures                  = [var.architecture]
  layers                         = var.layer_arns
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  code_signing_config_arn        = var.code_signing_config_arn
  publish                        = true

  environment {
    variables = var.environment
  }

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  logging_config {
    # Metrics are lines without a level. Lambda counts them as INFO and would drop them if this level were higher. The
    # function's own logger filters by logs.level.
    application_log_level = contains(["TRACE", "DEBUG"], var.logs.level) ? var.logs.level : "INFO"
    log_format            = "JSON"
    log_group             = local.log_group
    system_log_level      = contains(["TRACE", "DEBUG"], var.logs.level) ? "DEBUG" : contains(["INFO"], var.logs.level) ? "INFO" : "WARN"
  }

  dynamic "snap_start" {
    for_each = var.snap_start ? ["PublishedVersions"] : []

    content {
      apply_on = snap_start.value
    }
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "vpc_config" {
    for_each = var.network[*]

    content {
      security_group_ids = vpc_config.value.security_group_ids
      subnet_ids         = vpc_config.value.subnet_ids
    }
  }

  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]
}

# Terraform moves this alias at once. With gradual_deployment, CodeDeploy moves the one in gradual.tf.
resource "aws_lambda_alias" "live" {
  count = var.gradual_deployment == null ? 1 : 0

  name             = local.alias
  description      = "The version that is called"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_function.this.function_name
  qualifier                         = local.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency
}
