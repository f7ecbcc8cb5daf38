# The modules that store data, applied by pytest-terraform (tests/plan/test_storage.py).
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
  source = "../../../../modules/kms"

  context = local.context
  keys    = { storage = { alias = "payment-storage-test", description = "All of it" } }
}

module "queue" {
  source = "../../../../modules/sqs"

  context                  = local.context
  name                     = "payment-storage-test"
  dead_letter_queue_name   = "payment-storage-test-dlq"
  consumer_timeout_seconds = 30
  kms_key_arn              = module.keys.keys["storage"].arn
}

module "table" {
  source = "../../../../modules/dynamodb"

  context             = local.context
  name                = "payment-storage-test"
  hash_key            = "id"
  attributes          = { id = "S" }
  stream_view_type    = "NEW_AND_OLD_IMAGES"
  deletion_protection = false
  kms_key_arn         = module.keys.keys["storage"].arn
}

module "topic" {
  source = "../../../../modules/sns"

  context     = local.context
  name        = "payment-storage-test"
  kms_key_arn = module.keys.keys["storage"].arn
}

output "dead_letter_queue_url" {
  description = "The dead-letter queue."
  value       = module.queue.dead_letter.url
}

output "key_arn" {
  description = "The key."
  value       = module.keys.keys["storage"].arn
}

output "key_id" {
  description = "The key's id."
  value       = module.keys.keys["storage"].id
}

output "queue_url" {
  description = "The queue."
  value       = module.queue.url
}

output "table_name" {
  description = "The table."
  value       = module.table.name
}

output "topic_arn" {
  description = "The topic."
  value       = module.topic.arn
}
