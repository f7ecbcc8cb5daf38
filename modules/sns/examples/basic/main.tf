terraform {
  required_version = ">= 1.11"

  required_providers {
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

resource "aws_sqs_queue" "ledger" {
  name              = "payment-ledger-example"
  kms_master_key_id = aws_kms_key.example.id
}

module "topic" {
  source = "../.."

  context     = local.context
  name        = "payment-example"
  kms_key_arn = aws_kms_key.example.arn
  publishers  = { alarms = "cloudwatch.amazonaws.com" }
  subscriptions = {
    ledger = {
      protocol      = "sqs"
      endpoint      = aws_sqs_queue.ledger.arn
      filter_policy = jsonencode({ status = ["processed"] })
      raw           = true
    }
  }
}
