# Another system from the same modules, with an existing VPC and existing keys: an API takes orders, a table keeps them,
# and a function behind a queue ships them.

provider "aws" {
  region = var.region
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "archive_file" "orders" {
  type             = "zip"
  source_dir       = "${path.module}/src"
  output_path      = "${path.module}/build/orders.zip"
  output_file_mode = "0644"
  excludes         = ["**/__pycache__/**"]
}

locals {
  context = {
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
    region     = var.region
  }

  # The functions' common settings, and their differences.
  functions = {
    take = {
      description = "Takes an order: keeps it, and puts it on the queue."
      statements = {
        keep = { actions = ["dynamodb:PutItem"], resources = [module.orders.arn] }
        send = { actions = ["sqs:SendMessage"], resources = [module.shipments.arn] }
      }
      queue_sources = {}
    }
    ship = {
      description   = "Ships an order."
      statements    = { mark = { actions = ["dynamodb:UpdateItem"], resources = [module.orders.arn] } }
      queue_sources = { shipments = { queue_arn = module.shipments.arn, kms_alias = var.keys.data.alias } }
    }
  }

  key_uses = {
    for service in ["dynamodb", "sqs"] : service => {
      alias = var.keys.data.alias, service = service, actions = ["kms:Decrypt", "kms:GenerateDataKey"]
    }
  }
}

module "orders" {
  source = "../../modules/dynamodb"

  context     = local.context
  name        = "orders"
  hash_key    = "order_id"
  attributes  = { order_id = "S" }
  kms_key_arn = var.keys.data.arn
}

module "shipments" {
  source = "../../modules/sqs"

  context                  = local.context
  name                     = "orders-shipments"
  dead_letter_queue_name   = "orders-shipments-dlq"
  kms_key_arn              = var.keys.data.arn
  consumer_timeout_seconds = 30
}

module "function" {
  source   = "../../modules/lambda"
  for_each = local.functions

  context     = local.context
  name        = "orders-${each.key}"
  description = each.value.description
  handler     = "orders.${each.key}"
  package     = { path = data.archive_file.orders.output_path, sha256_base64 = data.archive_file.orders.output_base64sha256 }
  environment = { QUEUE_URL = module.shipments.url, TABLE_NAME = module.orders.name }
  kms_key_arn = var.keys.data.arn
  kms_alias   = var.keys.data.alias
  logs        = { retention_days = 365, kms_key_arn = var.keys.logs.arn }
  network     = var.network

  statements    = each.value.statements
  key_uses      = local.key_uses
  queue_sources = each.value.queue_sources
}

module "api" {
  source = "../../modules/apigw"

  context     = local.context
  name        = "orders"
  description = "Orders: post one"
  stage_name  = "v1"
  logs        = { retention_days = 365, kms_key_arn = var.keys.logs.arn }
  usage_plan  = { quota_limit = 10000, quota_period = "DAY" }
  routes = {
    take_order = {
      method         = "POST"
      path           = "/orders"
      function_name  = "orders-take"
      request_schema = jsonencode({ type = "object", required = ["order_id"] })
    }
  }
  alias_arns = [module.function["take"].alias_arn]
}
