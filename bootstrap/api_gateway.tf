# The role with which API Gateway writes the logs of every API in this account and region. An account has one such setting
# in each region, so no environment owns it: destroying one would stop the logs of the others.

resource "aws_iam_role" "api_gateway_logs" {
  count = var.api_gateway_logs ? 1 : 0

  name        = "api-gateway-logs-${var.region}"
  description = "What API Gateway may do to write logs in ${var.region}"
  # Without aws:SourceAccount: AWS documents no such key for this service (docs/decisions/0044).
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "apigateway.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "api_gateway_logs" {
  count = var.api_gateway_logs ? 1 : 0

  role = aws_iam_role.api_gateway_logs[0].name
  # API Gateway checks the role against every log group of the account, and refuses a role without this policy.
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  count = var.api_gateway_logs ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.api_gateway_logs[0].arn

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [aws_iam_role_policy_attachment.api_gateway_logs]
}
