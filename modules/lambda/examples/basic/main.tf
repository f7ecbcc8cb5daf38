terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

provider "aws" {
  region = "ap-southeast-1"
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  context = {
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
    region     = "ap-southeast-1"
  }
}

resource "aws_kms_key" "example" {
  description         = "The example's key"
  enable_key_rotation = true
}

module "function" {
  source = "../.."

  context     = local.context
  name        = "payment-example"
  description = "An example"
  handler     = "example.handler"
  package     = { path = "${path.module}/example.zip", sha256_base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  kms_key_arn = aws_kms_key.example.arn
  kms_alias   = "payment-lambda-example"
  logs        = { retention_days = 14, kms_key_arn = aws_kms_key.example.arn }
  network     = { subnet_ids = ["subnet-00000000"], security_group_ids = ["sg-00000000"] }
  statements = {
    read = { actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:ap-southeast-1:${local.context.account_id}:table/example"] }
  }
  queue_sources = {
    work = {
      queue_arn           = "arn:aws:sqs:ap-southeast-1:${local.context.account_id}:payment-example"
      kms_alias           = "payment-sqs-example"
      maximum_concurrency = 5
    }
  }
  stream_sources = {
    payments = {
      stream_arn           = "arn:aws:dynamodb:ap-southeast-1:${local.context.account_id}:table/example/stream/2026-01-01T00:00:00.000"
      stream_arn_pattern   = "arn:aws:dynamodb:ap-southeast-1:${local.context.account_id}:table/example/stream/*"
      kms_alias            = "payment-dynamodb-example"
      filters              = [jsonencode({ eventName = ["INSERT"] })]
      on_failure_queue_arn = "arn:aws:sqs:ap-southeast-1:${local.context.account_id}:payment-example-dlq"
      on_failure_kms_alias = "payment-sqs-example"
    }
  }
}
