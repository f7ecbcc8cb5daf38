terraform {
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
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

resource "aws_vpc" "example" {
  cidr_block = "10.0.0.0/24"
}

resource "aws_subnet" "example" {
  vpc_id     = aws_vpc.example.id
  cidr_block = "10.0.0.0/24"
}

resource "aws_security_group" "example" {
  name        = "payment-function-example"
  description = "The example's function"
  vpc_id      = aws_vpc.example.id
}

data "archive_file" "example" {
  type             = "zip"
  source_dir       = "${path.module}/src"
  output_path      = "${path.module}/build/example.zip"
  output_file_mode = "0644"
}

resource "aws_sqs_queue" "work" {
  name                       = "payment-function-example"
  visibility_timeout_seconds = 180
  kms_master_key_id          = aws_kms_key.example.id
}

resource "aws_sqs_queue" "lost" {
  name              = "payment-function-example-dlq"
  kms_master_key_id = aws_kms_key.example.id
}

resource "aws_dynamodb_table" "example" {
  name             = "payment-function-example"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "transaction_id"
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "transaction_id"
    type = "S"
  }
}

module "function" {
  source = "../.."

  context     = local.context
  name        = "payment-example"
  description = "An example"
  handler     = "example.handler"
  package     = { path = data.archive_file.example.output_path, sha256_base64 = data.archive_file.example.output_base64sha256 }
  kms_key_arn = aws_kms_key.example.arn
  kms_alias   = "payment-lambda-example"
  logs        = { retention_days = 14, kms_key_arn = aws_kms_key.example.arn }
  network     = { subnet_ids = [aws_subnet.example.id], security_group_ids = [aws_security_group.example.id] }
  statements = {
    read = { actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:ap-southeast-1:${local.context.account_id}:table/${aws_dynamodb_table.example.name}"] }
  }
  queue_sources = {
    work = {
      queue_arn           = "arn:aws:sqs:ap-southeast-1:${local.context.account_id}:${aws_sqs_queue.work.name}"
      kms_alias           = "payment-sqs-example"
      maximum_concurrency = 5
    }
  }
  stream_sources = {
    payments = {
      stream_arn           = aws_dynamodb_table.example.stream_arn
      stream_arn_pattern   = "arn:aws:dynamodb:ap-southeast-1:${local.context.account_id}:table/${aws_dynamodb_table.example.name}/stream/*"
      kms_alias            = "payment-dynamodb-example"
      filters              = [jsonencode({ eventName = ["INSERT"] })]
      on_failure_queue_arn = "arn:aws:sqs:ap-southeast-1:${local.context.account_id}:${aws_sqs_queue.lost.name}"
      on_failure_kms_alias = "payment-sqs-example"
    }
  }
}
