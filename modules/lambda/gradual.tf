# CodeDeploy shifts the calls to a new version gradually, and back if an alarm is raised. Terraform only publishes the
# version; a deployment by CodeDeploy moves the alias.
locals {
  app_spec = var.gradual_deployment == null ? null : jsonencode({
    version = "0.0"
    Resources = [{
      (var.name) = {
        Type = "AWS::Lambda::Function"
        Properties = {
          Name           = var.name
          Alias          = local.alias
          CurrentVersion = aws_lambda_alias.shifted[0].function_version
          TargetVersion  = aws_lambda_function.this.version
        }
      }
    }]
  })
}

resource "aws_lambda_alias" "shifted" {
  count = var.gradual_deployment == null ? 0 : 1

  name             = local.alias
  description      = "The version that is called; CodeDeploy moves it"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  lifecycle {
    # Terraform sets only the first version. Otherwise it would undo what CodeDeploy has shifted.
    ignore_changes = [function_version, routing_config]
  }
}

resource "aws_codedeploy_app" "this" {
  count = var.gradual_deployment == null ? 0 : 1

  name             = var.name
  compute_platform = "Lambda"
}

resource "aws_codedeploy_deployment_group" "this" {
  count = var.gradual_deployment == null ? 0 : 1

  app_name               = aws_codedeploy_app.this[0].name
  deployment_group_name  = local.alias
  deployment_config_name = var.gradual_deployment.traffic_shift
  service_role_arn       = aws_iam_role.gradual[0].arn

  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }

  alarm_configuration {
    enabled = true
    alarms  = var.gradual_deployment.alarm_names
  }

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]
  }

  depends_on = [aws_iam_role_policy.gradual]
}

resource "aws_iam_role" "gradual" {
  count = var.gradual_deployment == null ? 0 : 1

  name        = "${var.name}-deploy${var.context.role_suffix}"
  description = "What CodeDeploy may do to shift the calls of ${var.name}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "codedeploy.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "gradual" {
  count = var.gradual_deployment == null ? 0 : 1

  name = "shift"
  role = aws_iam_role.gradual[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Shift"
        Effect   = "Allow"
        Action   = ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"]
        Resource = [local.arn, "${local.arn}:*"]
      },
      {
        # CloudWatch checks this action against all alarms of the region, even if the call names some.
        Sid      = "Watch"
        Effect   = "Allow"
        Action   = ["cloudwatch:DescribeAlarms"]
        Resource = ["arn:${var.context.partition}:cloudwatch:${var.context.region}:${var.context.account_id}:alarm:*"]
      },
    ]
  })
}
