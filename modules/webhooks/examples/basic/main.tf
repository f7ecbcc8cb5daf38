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
  name        = "payment-webhooks-example"
  description = "The example's function"
  vpc_id      = aws_vpc.example.id
}

data "archive_file" "example" {
  type             = "zip"
  source_dir       = "${path.module}/../../../../src"
  output_path      = "${path.module}/build/example.zip"
  output_file_mode = "0644"
  excludes         = ["**/__pycache__/**", "**/*.pyc"]
}

resource "aws_sns_topic" "announcements" {
  name              = "payment-announcements-webhooks-example"
  kms_master_key_id = aws_kms_key.example.id
}

resource "aws_sns_topic" "alarms" {
  name              = "payment-alarms-webhooks-example"
  kms_master_key_id = aws_kms_key.example.id
}

module "webhooks" {
  source = "../.."

  context           = local.context
  suffix            = "example"
  topic_arn         = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:${aws_sns_topic.announcements.name}"
  alarm_topic_arn   = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:${aws_sns_topic.alarms.name}"
  metrics_namespace = "Payments/example"
  queue_key         = { arn = aws_kms_key.example.arn, alias = "payment-subscribers-example" }
  secret_key        = { arn = aws_kms_key.example.arn, alias = "payment-secrets-example" }
  endpoints = {
    shop  = { url = "https://shop.example.com/hooks/payments" }
    fraud = { url = "https://fraud.example.com/payments", events = ["payment.failed"], timeout_seconds = 5 }
  }
  function = {
    package     = { path = data.archive_file.example.output_path, sha256_base64 = data.archive_file.example.output_base64sha256 }
    kms_key_arn = aws_kms_key.example.arn
    kms_alias   = "payment-lambda-example"
    logs        = { retention_days = 14, kms_key_arn = aws_kms_key.example.arn }
    network     = { subnet_ids = [aws_subnet.example.id], security_group_ids = [aws_security_group.example.id] }
  }
}
