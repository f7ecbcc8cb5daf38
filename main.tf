module "keys" {
  source = "./modules/kms"

  context = local.context
  keys = {
    dynamodb = {
      alias                = local.key_aliases.dynamodb
      description          = "The payments table"
      deletion_window_days = var.key_deletion_window_days
    }
    lambda = {
      alias                = local.key_aliases.lambda
      description          = "The functions' environment"
      deletion_window_days = var.key_deletion_window_days
    }
    logs = {
      alias                = local.key_aliases.logs
      description          = "Every log group of the stack"
      deletion_window_days = var.key_deletion_window_days
      grants = [{
        sid      = "LogGroupsOfThisStack"
        services = ["logs.${var.region}.amazonaws.com"]
        actions  = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        conditions = [{
          test     = "ArnLike"
          variable = "kms:EncryptionContext:aws:logs:arn"
          values   = [for name in local.log_group_names : "${local.arn_base.logs}:log-group:${name}"]
        }]
      }]
    }
    sns = {
      alias                = local.key_aliases.sns
      description          = "The announcements and the alarms"
      deletion_window_days = var.key_deletion_window_days
      grants = [{
        sid      = "AlarmsOfThisStack"
        services = ["cloudwatch.amazonaws.com"]
        actions  = ["kms:Decrypt", "kms:GenerateDataKey*"]
        conditions = [
          { test = "StringEquals", variable = "aws:SourceAccount", values = [local.context.account_id] },
          {
            test     = "ArnLike"
            variable = "aws:SourceArn"
            values   = [for pattern in local.alarm_patterns : "${local.arn_base.cloudwatch}:alarm:${pattern}"]
          },
        ]
      }]
    }
    sqs = {
      alias                = local.key_aliases.sqs
      description          = "The queues and their dead-letter queues"
      deletion_window_days = var.key_deletion_window_days
    }
  }
}

module "network" {
  source = "./modules/network"

  context               = local.context
  name                  = local.network_name
  cidr_block            = var.network.cidr_block
  az_count              = var.network.availability_zone_count
  availability_zone_ids = var.network.availability_zone_ids
  exclude_zone_ids      = var.network.exclude_zone_ids
  nat                   = var.network.nat
  functions             = local.function_calls
  gateway_endpoints     = var.network.gateway_endpoints
  interface_endpoints   = var.network.interface_endpoints
  flow_logs = {
    retention_days = var.log_retention_days
    kms_key_arn    = module.keys.keys["logs"].arn
  }
}

module "table" {
  source = "./modules/dynamodb"

  context  = local.context
  name     = local.table_name
  hash_key = "transaction_id"
  attributes = merge(
    { transaction_id = "S", customer_shard = "S", created_at = "S", open_shard = "S", open_from = "S" },
    local.gateway.attributes,
  )
  indexes = merge(local.gateway.indexes, {
    # Keys only, so a change of state never writes the index. Sharded, so no customer is a hot key (docs/decisions/0006).
    (local.customer_index_name) = {
      hash_key = "customer_shard", range_key = "created_at", projection_type = "KEYS_ONLY"
    }
    # Sparse: only payments that are not final, for the reconciler (docs/decisions/0007).
    (local.open_index_name) = { hash_key = "open_shard", range_key = "open_from", projection_type = "KEYS_ONLY" }
  })
  stream_view_type            = "NEW_AND_OLD_IMAGES"
  point_in_time_recovery_days = var.table.point_in_time_recovery_days
  deletion_protection         = var.table.deletion_protection
  kms_key_arn                 = module.keys.keys["dynamodb"].arn
  replicas                    = var.table_replicas
}

module "queue" {
  source   = "./modules/sqs"
  for_each = local.queue_consumers

  context                       = local.context
  name                          = local.queue_names[each.key]
  dead_letter_queue_name        = local.dead_letter_queue_names[each.key]
  kms_key_arn                   = module.keys.keys["sqs"].arn
  consumer_timeout_seconds      = local.function_settings[each.value].timeout_seconds
  max_receive_count             = var.queues.max_receive_count
  retention_seconds             = var.queues.retention_seconds
  dead_letter_retention_seconds = var.queues.dead_letter_retention_seconds
}

# Records of the stream that the relay could not deliver in time.
module "relay_dead_letter_queue" {
  source = "./modules/sqs"

  context                  = local.context
  name                     = local.dead_letter_queue_names.relay
  dead_letter_queue_name   = null
  kms_key_arn              = module.keys.keys["sqs"].arn
  consumer_timeout_seconds = local.function_settings["relay"].timeout_seconds
  retention_seconds        = var.queues.dead_letter_retention_seconds
}

module "announcements" {
  source = "./modules/sns"

  context       = local.context
  name          = local.topic_names.announcements
  kms_key_arn   = module.keys.keys["sns"].arn
  subscriptions = var.announcement_subscriptions
}

module "alarms" {
  source = "./modules/sns"

  context     = local.context
  name        = local.topic_names.alarms
  kms_key_arn = module.keys.keys["sns"].arn
  publishers  = { alarms = "cloudwatch.amazonaws.com" }
  subscriptions = {
    for address in var.alarm_emails : address => { protocol = "email", endpoint = address }
  }
}

module "function" {
  source   = "./modules/lambda"
  for_each = local.all_functions

  context                 = local.context
  name                    = local.function_names[each.key]
  description             = each.value.description
  handler                 = "payments.handlers.${each.key}.handler"
  runtime                 = var.runtime.name
  architecture            = var.runtime.architecture
  memory_mb               = local.function_settings[each.key].memory_mb
  timeout_seconds         = local.function_settings[each.key].timeout_seconds
  reserved_concurrency    = local.function_settings[each.key].reserved_concurrency
  provisioned_concurrency = try(var.function_starts[each.key].provisioned_concurrency, 0)
  snap_start              = try(var.function_starts[each.key].snap_start, false)
  gradual_deployment      = lookup(local.gradual_deployments, each.key, null)
  package = {
    path          = data.archive_file.functions.output_path
    sha256_base64 = data.archive_file.functions.output_base64sha256
  }
  layer_arns = concat(
    [aws_lambda_layer_version.dependencies.arn],
    contains(local.gateway.callers, each.key) ? local.gateway_layer_arns : [],
  )
  environment = merge(each.value.environment, {
    ENVIRONMENT                  = var.environment_suffix
    POWERTOOLS_LOG_LEVEL         = var.log_level
    POWERTOOLS_METRICS_NAMESPACE = local.metrics_namespace
    POWERTOOLS_SERVICE_NAME      = each.key
  })
  kms_key_arn = module.keys.keys["lambda"].arn
  kms_alias   = local.key_aliases.lambda
  logs = {
    retention_days = var.log_retention_days
    kms_key_arn    = module.keys.keys["logs"].arn
    level          = var.log_level
  }
  network = {
    subnet_ids         = module.network.private_subnet_ids
    security_group_ids = [module.network.function_security_group_ids[each.key]]
  }
  statements = each.value.statements
  key_uses   = each.value.key_uses
  schedule   = try(each.value.schedule, null)
  queue_sources = {
    for queue, consumer in local.queue_consumers : queue => {
      # Not the module's output: with a computed key, Terraform would wait for the whole module, half a minute longer.
      queue_arn           = local.queue_arns[queue]
      kms_alias           = local.key_aliases.sqs
      batch_size          = var.queues.batch_size
      maximum_concurrency = local.function_settings[each.key].maximum_concurrency
    } if consumer == each.key
  }
  stream_sources = {
    for stream, consumer in local.stream_consumers : stream => {
      stream_arn           = module.table.stream_arn
      stream_arn_pattern   = module.table.stream_arn_pattern
      kms_alias            = local.key_aliases.dynamodb
      filters              = [jsonencode({ eventName = ["INSERT", "MODIFY"] })]
      on_failure_queue_arn = module.relay_dead_letter_queue.arn
      on_failure_kms_alias = local.key_aliases.sqs
    } if consumer == each.key
  }
}

module "api" {
  source = "./modules/apigw"

  context                = local.context
  name                   = local.api_name
  description            = "Payments: post one, read one, list a customer's"
  stage_name             = var.api.stage_name
  authorization          = var.api.authorization
  cognito_user_pool_arns = var.api.cognito_user_pool_arns
  execution_logs         = var.api.execution_logs
  throttle = {
    rate_limit  = var.api.rate_limit
    burst_limit = var.api.burst_limit
    routes      = merge(local.gateway.throttles, var.route_throttles)
  }
  endpoint = {
    type             = var.private_api == null ? "REGIONAL" : "PRIVATE"
    vpc_endpoint_ids = try(var.private_api.vpc_endpoint_ids, [])
  }
  custom_domain = var.custom_domain
  waf           = var.waf
  usage_plan = var.api.usage_plan ? {
    quota_limit  = var.api.quota_limit
    quota_period = var.api.quota_period
  } : null
  logs = {
    retention_days = var.log_retention_days
    kms_key_arn    = module.keys.keys["logs"].arn
  }

  routes = {
    for route, spec in merge(local.routes, local.gateway.routes) : route => merge(spec, {
      function_name = local.function_names[spec.function]
    })
  }
  alias_arns = [for function in module.function : function.alias_arn]
}

module "monitoring" {
  source = "./modules/monitoring"

  context           = local.context
  name              = "payment"
  suffix            = var.environment_suffix
  alarm_topic_arn   = module.alarms.arn
  metrics_namespace = local.metrics_namespace
  functions = merge(module.webhooks.functions, {
    for function, name in local.function_names : function => {
      name                 = name
      timeout_seconds      = local.function_settings[function].timeout_seconds
      reserved_concurrency = local.function_settings[function].reserved_concurrency
      log_group_name       = module.function[function].log_group_name
    }
  })
  stream_function = local.stream_consumers.payments
  queues = {
    for queue, name in local.queue_names : queue => {
      name                   = name
      dead_letter_queue_name = local.dead_letter_queue_names[queue]
    }
  }
  dead_letter_queues = { relay = local.dead_letter_queue_names.relay }
  tables = {
    payments = {
      name    = module.table.name
      indexes = concat([local.customer_index_name, local.open_index_name], keys(local.gateway.indexes))
    }
  }
  api = { name = local.api_name, stage = module.api.stage_name }

  roles = merge(local.gateway.roles, {
    accepting         = "validator"
    announcing        = "notifier"
    charging          = "processor"
    reconcile_minutes = var.reconciler.interval_minutes
    reconciling       = "reconciler"
    refunding         = "refunder"
  })
  objectives    = var.objectives
  thresholds    = var.thresholds
  saved_queries = var.saved_queries
}
