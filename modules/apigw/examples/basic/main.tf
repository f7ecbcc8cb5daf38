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

module "api" {
  source = "../.."

  context     = local.context
  name        = "payment-example"
  description = "An example"
  logs        = { retention_days = 14, kms_key_arn = aws_kms_key.example.arn }
  usage_plan  = { quota_limit = 1000000 }
  routes = {
    create = {
      method         = "POST"
      path           = "/payments"
      function_name  = "payment-example"
      request_schema = jsonencode({ type = "object" })
      headers        = { "Idempotency-Key" = false }
    }
    read = {
      method        = "GET"
      path          = "/payments/{transaction_id}"
      function_name = "payment-example"
    }
  }
}
