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

module "webhooks" {
  source = "../.."

  context           = local.context
  suffix            = "example"
  topic_arn         = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:payment-announcements-example"
  alarm_topic_arn   = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:payment-alarms-example"
  metrics_namespace = "Payments/example"
  queue_key         = { arn = aws_kms_key.example.arn, alias = "payment-subscribers-example" }
  secret_key        = { arn = aws_kms_key.example.arn, alias = "payment-secrets-example" }
  endpoints = {
    shop  = { url = "https://shop.example.com/hooks/payments" }
    fraud = { url = "https://fraud.example.com/payments", events = ["payment.failed"], timeout_seconds = 5 }
  }
  function = {
    package     = { path = "${path.module}/example.zip", sha256_base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    kms_key_arn = aws_kms_key.example.arn
    kms_alias   = "payment-lambda-example"
    logs        = { retention_days = 14, kms_key_arn = aws_kms_key.example.arn }
    network     = { subnet_ids = ["subnet-00000000"], security_group_ids = ["sg-00000000"] }
  }
}
