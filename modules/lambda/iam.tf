locals {
  key_arns = "arn:${var.context.partition}:kms:${var.context.region}:${var.context.account_id}:key/*"

  # A key's id is known only after the first apply. Its alias is known before, and KMS checks it on every call.
  key_uses = merge(
    { "key-lambda-environment" = { service = "lambda", alias = var.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.queue_sources : "key-sqs-${name}" => { service = "sqs", alias = source.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.stream_sources : "key-stream-${name}" => { service = "dynamodb", alias = source.kms_alias, actions = ["kms:Decrypt"] } },
    { for name, source in var.stream_sources : "key-on-failure-${name}" => { service = "sqs", alias = source.on_failure_kms_alias, actions = ["kms:Decrypt", "kms:GenerateDataKey"] } },
    { for name, use in var.key_uses : "own-${name}" => use },
  )

  network_actions      = ["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"]
  network_view_actions = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
  # An ARN contains the owner's account: this one for the interfaces, and the VPC's owner for subnets and groups.
  network_owner = try(coalesce(var.network.owner_account_id), var.context.account_id)
  network_arns = [
    "arn:${var.context.partition}:ec2:${var.context.region}:${var.context.account_id}:network-interface/*",
    "arn:${var.context.partition}:ec2:${var.context.region}:${local.network_owner}:security-group/*",
    "arn:${var.context.partition}:ec2:${var.context.region}:${local.network_owner}:subnet/*",
  ]

  statements = merge(
    {
      logs = {
        actions    = ["logs:CreateLogStream", "logs:PutLogEvents"]
        resources  = ["arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:log-group:${local.log_group}:*"]
        conditions = []
      }
      # X-Ray has no resources to limit a role to.
      traces = { actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources = ["*"], conditions = [] }
    },
    # Lambda manages the network interfaces with the function's role, from outside the function. Only calls from inside
    # carry the function's ARN, so the Deny stops the function's code and not Lambda (docs/decisions/0036).
    { for network in var.network[*] : "network" => { actions = local.network_actions, resources = local.network_arns, conditions = [] } },
    { for network in var.network[*] : "network-view" => { actions = local.network_view_actions, resources = ["*"], conditions = [] } },
    {
      for network in var.network[*] : "network-not-by-code" => {
        effect     = "Deny"
        actions    = concat(local.network_actions, local.network_view_actions)
        resources  = ["*"]
        conditions = [{ test = "ArnLike", variable = "lambda:SourceFunctionArn", values = ["arn:${var.context.partition}:lambda:${var.context.region}:${var.context.account_id}:function:*"] }]
      }
    },
    {
      for name, key in local.key_uses : name => {
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
        # ListStreams has no resource, so it grants nothing here. AWS's guide requires it in this form
        # (docs/decisions/0036).
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
  name        = "${var.name}${var.context.role_suffix}"
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
  #checkov:skip=CKV_AWS_290:only X-Ray and two Describe actions have a star, since AWS offers no resource for them
  #checkov:skip=CKV_AWS_355:only X-Ray and two Describe actions have a star, since AWS offers no resource for them
  name = "work"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for name, statement in local.statements : merge(
        {
          Sid      = replace(title(replace(name, "/[^A-Za-z0-9]/", " ")), " ", "")
          Effect   = lookup(statement, "effect", "Allow")
          Action   = statement.actions
          Resource = statement.resources
        },
        length(statement.conditions) == 0 ? {} : {
          Condition = {
            for test in distinct(statement.conditions[*].test) : test => {
              for condition in statement.conditions : condition.variable => condition.values if condition.test == test
            }
          }
        },
      )
    ]
  })
}
