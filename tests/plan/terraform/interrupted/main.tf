# A small stack from the modules of the large one. tests/plan/test_interrupted.py interrupts its apply.
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

variable "package" {
  description = "Where to write the function's zip."
  type        = string
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  context = {
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
    region     = "ap-southeast-1"
  }
  name = "payment-interrupted"
}

data "archive_file" "function" {
  type             = "zip"
  source_dir       = "${path.module}/../../../../modules/lambda/examples/basic/src"
  output_path      = var.package
  output_file_mode = "0644"
}

module "keys" {
  source = "../../../../modules/kms"

  context = local.context
  keys    = { data = { alias = local.name, description = "All of it" } }
}

module "table" {
  source = "../../../../modules/dynamodb"

  context     = local.context
  name        = local.name
  hash_key    = "id"
  attributes  = { id = "S" }
  kms_key_arn = module.keys.keys["data"].arn
}

module "queue" {
  source = "../../../../modules/sqs"

  context                  = local.context
  name                     = local.name
  dead_letter_queue_name   = null
  consumer_timeout_seconds = 30
  kms_key_arn              = module.keys.keys["data"].arn
}

module "function" {
  source = "../../../../modules/lambda"

  context     = local.context
  name        = local.name
  description = "Takes a request, and puts it on the queue"
  handler     = "example.handler"
  package     = { path = data.archive_file.function.output_path, sha256_base64 = data.archive_file.function.output_base64sha256 }
  environment = { QUEUE_URL = module.queue.url, TABLE_NAME = module.table.name }
  kms_key_arn = module.keys.keys["data"].arn
  kms_alias   = local.name
  logs        = { retention_days = 14, kms_key_arn = module.keys.keys["data"].arn }
  network     = null
  statements  = {}
}

module "api" {
  source = "../../../../modules/apigw"

  context     = local.context
  name        = local.name
  description = "One route"
  logs        = { retention_days = 14, kms_key_arn = module.keys.keys["data"].arn }
  routes      = { take = { method = "POST", path = "/things", function_name = local.name } }
  alias_arns  = [module.function.alias_arn]
}
