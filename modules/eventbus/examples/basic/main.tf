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

resource "aws_sns_topic" "announcements" {
  name              = "payment-announcements-bus-example"
  kms_master_key_id = aws_kms_key.example.id
}

resource "aws_sns_topic" "alarms" {
  name              = "payment-alarms-bus-example"
  kms_master_key_id = aws_kms_key.example.id
}

module "event_bus" {
  source = "../.."

  context                = local.context
  name                   = "payment-events-example"
  queue_name             = "payment-event-bus-example"
  dead_letter_queue_name = "payment-event-bus-dlq-example"
  alarm_name             = "payment-event-bus-dead-letters-example"
  topic_arn              = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:${aws_sns_topic.announcements.name}"
  alarm_topic_arn        = "arn:aws:sns:ap-southeast-1:${local.context.account_id}:${aws_sns_topic.alarms.name}"
  queue_key              = { arn = aws_kms_key.example.arn, alias = "payment-subscribers-example" }
}
