resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  # Everything that the API serves. A new deployment happens exactly if one of these changes.
  triggers = {
    served = sha256(jsonencode({
      authorization     = [var.authorization, var.cognito_user_pool_arns]
      endpoint          = [local.custom_domain_only, local.private_policy]
      gateway_responses = local.gateway_responses
      routes            = var.routes
    }))
  }

  # Only parts of the API. Everything that a deployment depends on inherits its create_before_destroy: a function that it
  # waits for, that function's queues, their key (docs/decisions/0046).
  depends_on = [
    aws_api_gateway_gateway_response.this,
    aws_api_gateway_integration.this,
    aws_api_gateway_method.this,
    aws_api_gateway_model.this,
    aws_api_gateway_rest_api_policy.private,
  ]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.name}"
  kms_key_id        = var.logs.kms_key_arn
  retention_in_days = var.logs.retention_days
}

# API Gateway chooses the name. A group that it has already created is imported once (README).
resource "aws_cloudwatch_log_group" "execution" {
  count = var.execution_logs ? 1 : 0

  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${var.stage_name}"
  kms_key_id        = var.logs.kms_key_arn
  retention_in_days = var.logs.retention_days
}

resource "aws_api_gateway_stage" "this" {
  #checkov:skip=CKV2_AWS_4:execution_logs is a variable; the access log has each request, with the reason of a failure
  #checkov:skip=CKV_AWS_120:answers about money must not come from a cache
  #checkov:skip=CKV2_AWS_29:a web ACL costs by the month and the request, so waf is an option
  #checkov:skip=CKV2_AWS_77:the rules of waf are a list, which a scanner of the text cannot follow; its default has the set that knows Log4j
  #checkov:skip=CKV2_AWS_51:callers sign their requests; client certificates are an option of custom_domain
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = var.stage_name
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      caller           = "$context.identity.userArn"
      error            = "$context.error.responseType"
      integrationError = "$context.integration.error"
      ip               = "$context.identity.sourceIp"
      latency          = "$context.responseLatency"
      method           = "$context.httpMethod"
      path             = "$context.resourcePath"
      requestId        = "$context.requestId"
      status           = "$context.status"
      time             = "$context.requestTimeEpoch"
      traceId          = "$context.xrayTraceId"
    })
  }

  # Otherwise API Gateway would create the log group itself, unencrypted and without a retention. And a stage serves a
  # route only once the route's function can be called.
  depends_on = [aws_cloudwatch_log_group.execution, aws_lambda_permission.this]
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:answers about money must not come from a cache
  #checkov:skip=CKV_AWS_308:answers about money must not come from a cache
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    # Never log bodies: they contain customers' data.
    data_trace_enabled     = false
    logging_level          = var.execution_logs ? "ERROR" : "OFF"
    metrics_enabled        = true
    throttling_burst_limit = var.throttle.burst_limit
    throttling_rate_limit  = var.throttle.rate_limit
  }
}

# A route's own settings replace all general ones.
resource "aws_api_gateway_method_settings" "route" {
  #checkov:skip=CKV_AWS_225:answers about money must not come from a cache
  #checkov:skip=CKV_AWS_308:answers about money must not come from a cache
  for_each = var.throttle.routes

  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "${trimprefix(var.routes[each.key].path, "/")}/${var.routes[each.key].method}"

  settings {
    data_trace_enabled     = false
    logging_level          = var.execution_logs ? "ERROR" : "OFF"
    metrics_enabled        = true
    throttling_burst_limit = each.value.burst_limit
    throttling_rate_limit  = each.value.rate_limit
  }
}

resource "aws_api_gateway_usage_plan" "this" {
  count = var.usage_plan == null ? 0 : 1

  name        = var.name
  description = "The quota and the rate of ${var.name}"

  api_stages {
    api_id = aws_api_gateway_rest_api.this.id
    stage  = aws_api_gateway_stage.this.stage_name
  }

  quota_settings {
    limit  = var.usage_plan.quota_limit
    period = var.usage_plan.quota_period
  }

  throttle_settings {
    burst_limit = var.throttle.burst_limit
    rate_limit  = var.throttle.rate_limit
  }
}

resource "aws_api_gateway_api_key" "this" {
  count = var.authorization == "API_KEY" ? 1 : 0

  name        = var.name
  description = "The first client of ${var.name}"
}

resource "aws_api_gateway_usage_plan_key" "this" {
  count = var.authorization == "API_KEY" ? 1 : 0

  key_id        = aws_api_gateway_api_key.this[0].id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.this[0].id
}

# An account has one role for API Gateway's logs in each region, and bootstrap/ sets it (docs/decisions/0044). Terraform
# forgets the role that this module had, and leaves the role and the setting unchanged.
removed {
  from = aws_api_gateway_account.this

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_iam_role_policy_attachment.account_logging

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_iam_role.account_logging

  lifecycle {
    destroy = false
  }
}
