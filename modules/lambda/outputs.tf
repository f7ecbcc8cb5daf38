output "alias_arn" {
  description = "The alias's ARN, for callers; known at plan."
  value       = local.alias_arn
  depends_on  = [aws_lambda_alias.live, aws_lambda_alias.shifted]
}

output "alias_name" {
  description = "The alias's name."
  value       = local.alias
}

output "arn" {
  description = "The function's ARN without a version, known at plan."
  value       = local.arn
  depends_on  = [aws_lambda_function.this]
}

output "deployment" {
  description = "With gradual_deployment, the inputs of a deployment: CodeDeploy's application and group, the current version, the target version, and the AppSpec. Otherwise null."
  value = var.gradual_deployment == null ? null : {
    app_spec        = local.app_spec
    application     = aws_codedeploy_app.this[0].name
    current_version = aws_lambda_alias.shifted[0].function_version
    group           = aws_codedeploy_deployment_group.this[0].deployment_group_name
    target_version  = aws_lambda_function.this.version
  }
}

output "invoke_arn" {
  description = "The alias's invoke ARN, for API Gateway's integrations; known at plan."
  value       = "arn:${var.context.partition}:apigateway:${var.context.region}:lambda:path/2015-03-31/functions/${local.alias_arn}/invocations"
  depends_on  = [aws_lambda_alias.live, aws_lambda_alias.shifted]
}

output "log_group_name" {
  description = "The function's log group."
  value       = local.log_group
  depends_on  = [aws_cloudwatch_log_group.this]
}

output "name" {
  description = "The function's name."
  value       = var.name
}

output "role_arn" {
  description = "The ARN of the function's role."
  value       = aws_iam_role.this.arn
}

output "role_name" {
  description = "The name of the function's role."
  value       = aws_iam_role.this.name
}

output "version" {
  description = "The latest published version. The alias points at it, or will after CodeDeploy has shifted the calls."
  value       = aws_lambda_function.this.version
}
