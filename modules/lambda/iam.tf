locals {
  key_arns = "arn:${var.context.partition}:kms:${var.context.region}:${var.context.account_id}:key/*"

  # A key's id is known after the first apply only; its alias is ours, and KMS checks it at every call.
  key_uses = merge(
    { "lambda-environment" = { service = "lambda", alias = var.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.queue_sources : "sqs-${name}" => { service = "sqs", alias = source.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.stream_sources : "stream-${name}" => { service = "dynamodb", alias = source.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.stream_sources : "on-failure-${name}" => { service = "sqs", alias = source.on_failure_kms_alias, actions = ["kms:Decrypt", "kms:GenerateDataKey"] } },
  )

  statements = merge(
    {
      logs = {
        actions    = ["logs:CreateLogStream", "logs:PutLogEvents"]
        resources  = ["arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:log-group:${local.log_group}:*"]
        conditions = []
      }
      # X-Ray has no resource that a role could be limited to.
      traces = { actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources = ["*"], conditions = [] }
    },
    # Lambda makes the network interfaces with the function's role, before there is an ARN to name.
    {
      for network in var.network[*] : "network" => {
        actions = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
        ]
        resources  = ["*"]
        conditions = []
      }
    },
    {
      for use, key in local.key_uses : "key-${use}" => {
        actions   = key.actions
        resources = [local.key_arns]
        conditions = [
          { test = "ForAnyValue:StringEquals", variable = "kms:ResourceAliases", values = ["alias/${key.alias}"] },
          { test = "StringEquals", variable = "kms:ViaService", values = ["${key.service}.${var.context.region}.amazonaws.com"] },
        ]
      }
    },
    {
      for name, source in var.queue_sources : "queue-${name}" => {
        actions    = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        resources  = [source.queue_arn]
        conditions = []
      }
    },
    {
      for name, source in var.stream_sources : "stream-${name}" => {
        actions    = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
        resources  = [source.stream_arn_pattern]
        conditions = []
      }
    },
    {
      for name, source in var.stream_sources : "on-failure-${name}" => {
        actions    = ["sqs:SendMessage"]
        resources  = [source.on_failure_queue_arn]
        conditions = []
      }
    },
    { for name, statement in var.statements : "own-${name}" => statement },
  )
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "What ${var.name} may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  #checkov:skip=CKV_AWS_290:only X-Ray and the network interfaces of Lambda, where AWS offers no resource, have a star
  #checkov:skip=CKV_AWS_355:only X-Ray and the network interfaces of Lambda, where AWS offers no resource, have a star
  name = "work"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for name, statement in local.statements : merge(
        {
          Sid      = replace(title(replace(name, "/[^A-Za-z0-9]/", " ")), " ", "")
          Effect   = "Allow"
          Action   = statement.actions
          Resource = statement.resources
        },
        {
          for conditions in [statement.conditions] : "Condition" => {
            for test in distinct(conditions[*].test) : test => {
              for condition in conditions : condition.variable => condition.values if condition.test == test
            }
          } if length(conditions) > 0
        },
      )
    ]
  })
}
