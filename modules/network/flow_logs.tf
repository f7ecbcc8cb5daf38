locals {
  flow_log_group     = "/aws/vpc/${var.name}"
  flow_log_group_arn = "arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:log-group:${local.flow_log_group}"
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  name              = local.flow_log_group
  kms_key_id        = var.flow_logs.kms_key_arn
  retention_in_days = var.flow_logs.retention_days
}

resource "aws_iam_role" "flow_logs" {
  name = "${var.name}-flow-logs${var.context.role_suffix}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "flow_logs" {
  name = "write"
  role = aws_iam_role.flow_logs.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = ["${local.flow_log_group_arn}:*"]
      },
      {
        # CloudWatch Logs checks this action against all log groups of the region, for any requested prefix.
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = ["arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:log-group:*"]
      },
    ]
  })
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  iam_role_arn             = aws_iam_role.flow_logs.arn
  log_destination          = aws_cloudwatch_log_group.flow_logs.arn
  max_aggregation_interval = 600
  traffic_type             = "ALL"

  tags = { Name = var.name }
}
