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

module "keys" {
  source = "../.."

  context = local.context
  keys = {
    sqs = {
      alias       = "payment-sqs-example"
      description = "The queues"
    }
    logs = {
      alias       = "payment-logs-example"
      description = "The log groups"
      grants = [{
        sid      = "OurLogGroups"
        services = ["logs.ap-southeast-1.amazonaws.com"]
        actions  = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        conditions = [{
          test     = "ArnLike"
          variable = "kms:EncryptionContext:aws:logs:arn"
          values   = ["arn:aws:logs:ap-southeast-1:${local.context.account_id}:log-group:/aws/lambda/payment-*-example"]
        }]
      }]
    }
  }
}
