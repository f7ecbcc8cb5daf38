terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# These settings let the example be planned without an account. In yours, leave only the region.
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/aws/lambda/orders-worker-example"
  retention_in_days = 30
}

resource "aws_cloudwatch_log_group" "relay" {
  name              = "/aws/lambda/orders-relay-example"
  retention_in_days = 30
}

resource "aws_sns_topic" "alarms" {
  name = "orders-alarms-example"
}

module "monitoring" {
  source = "../.."

  context         = { account_id = "123456789012", partition = "aws", region = "eu-central-1" }
  name            = "orders"
  suffix          = "example"
  alarm_topic_arn = aws_sns_topic.alarms.arn
  api             = { name = "orders-api-example", stage = "prod" }

  functions = {
    relay = {
      log_group_name  = aws_cloudwatch_log_group.relay.name
      name            = "orders-relay-example"
      timeout_seconds = 30
    }
    worker = {
      log_group_name       = aws_cloudwatch_log_group.worker.name
      name                 = "orders-worker-example"
      reserved_concurrency = 10
      timeout_seconds      = 30
    }
  }
  stream_function = "relay"

  # One function may play several parts; without roles there are no alarms on what the functions themselves count.
  roles = {
    accepting         = "worker"
    announcing        = "worker"
    charging          = "worker"
    reconcile_minutes = 5
    reconciling       = "worker"
    refunding         = "worker"
  }

  queues = {
    work = {
      dead_letter_queue_name = "orders-work-dlq-example"
      maximum_age_seconds    = 120
      name                   = "orders-work-example"
    }
  }
  dead_letter_queues = { stream = "orders-stream-dlq-example" }
  tables             = { orders = { name = "orders-example", indexes = ["by-customer"] } }

  objectives = { payments_share = 0.99, payments_seconds = 300 }
  thresholds = { api_4xx = 500, oldest_message_seconds = 300 }
}

output "alarm_names" {
  description = "What may now be raised."
  value       = module.monitoring.alarm_names
}
