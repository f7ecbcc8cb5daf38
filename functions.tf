# The functions, as one map: each with its purpose, rights, environment and event sources. Everything that exists once
# per function (role, log group, alarms, its place on the dashboard) follows from an entry here.

locals {
  function_settings = {
    for function in keys(local.function_names) : function => {
      for setting in ["maximum_concurrency", "memory_mb", "reserved_concurrency", "timeout_seconds"] :
      setting => try(coalesce(
        try(var.functions[function][setting], null),
        try(local.stripe_settings[function][setting], null),
        try(var.function_defaults[setting], null),
      ), null)
    }
  }

  # The consumer of each queue. Its time-out decides how long a message stays hidden.
  queue_consumers = {
    validator_to_processor = "processor"
    processor_to_notifier  = "notifier"
  }

  # The consumer of each table's stream.
  stream_consumers = {
    payments = "relay"
  }

  # What each function calls: the services that it may use, and the internet for a gateway or a webhook.
  # Lambda itself reads the queues and the stream, and KMS is called by the service whose data it protects.
  function_calls = merge(
    {
      for function, spec in local.all_functions : function => concat(
        flatten([for statement in spec.statements : [for action in statement.actions : split(":", action)[0]]]),
        local.gateway.internet && contains(local.gateway.callers, function) ? ["internet"] : [],
      )
    },
    length(var.webhooks) > 0 ? { webhooks = ["internet"] } : {},
  )

  # What a function may do with each key, always through the service whose data the key protects.
  key_uses = {
    for use, actions in {
      dynamodb = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
      sns      = ["kms:Decrypt", "kms:GenerateDataKey"]
      sqs      = ["kms:Decrypt", "kms:GenerateDataKey"]
    } : use => { alias = local.key_aliases[use], service = use, actions = actions }
  }
  reading_key_use = merge(local.key_uses.dynamodb, { actions = ["kms:Decrypt", "kms:DescribeKey"] })

  functions = {
    validator = {
      description = "Accepts a payment: one conditional put decides new, repeat or mismatch."
      environment = {
        AMOUNT_LIMITS    = jsonencode(var.amount_limits)
        DEFAULT_CURRENCY = var.default_currency
        TABLE_NAME       = local.table_name
      }
      statements = {
        accept = { actions = ["dynamodb:PutItem"], resources = [local.table_arn] }
      }
      key_uses = { key = local.key_uses.dynamodb }
    }

    refunder = {
      description = "Accepts a refund: one conditional update of its payment, never more than was charged."
      environment = {
        TABLE_NAME = local.table_name
      }
      statements = {
        accept = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
      }
      key_uses = { key = local.key_uses.dynamodb }
    }

    relay = {
      description = "Sends the changes in the table's stream to the queues."
      environment = {
        DEAD_LETTER_QUEUE_URL = module.relay_dead_letter_queue.url
        NOTIFIER_QUEUE_URL    = module.queue["processor_to_notifier"].url
        PROCESSOR_QUEUE_URL   = module.queue["validator_to_processor"].url
      }
      statements = {
        send = { actions = ["sqs:SendMessage"], resources = concat(values(local.queue_arns), [local.relay_dlq_arn]) }
      }
      key_uses = { key = local.key_uses.sqs }
    }

    processor = {
      description = "Charges or refunds a payment through the gateway, once, and records the outcome."
      environment = {
        MAX_RECEIVE_COUNT = tostring(var.queues.max_receive_count)
        RESTORED          = tostring(var.restored)
        TABLE_NAME        = local.table_name
      }
      statements = {
        record = {
          actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"]
          resources = [local.table_arn]
        }
      }
      key_uses = { key = local.key_uses.dynamodb }
    }

    notifier = {
      description = "Announces an outcome as a CloudEvent."
      environment = {
        EVENT_SOURCE = local.event_source
        TOPIC_ARN    = local.announcements_arn
      }
      statements = {
        announce = { actions = ["sns:Publish"], resources = [local.announcements_arn] }
      }
      key_uses = { key = local.key_uses.sns }
    }

    reader = {
      description = "Returns one payment, or a list of a customer's payments."
      environment = {
        CUSTOMER_INDEX_NAME = local.customer_index_name
        # Callers of the API do not know it, but it is not a secret: a token gives no access (docs/decisions/0008).
        PAGE_TOKEN_SEAL = sha256(module.keys.keys["dynamodb"].arn)
        TABLE_NAME      = local.table_name
      }
      statements = {
        read = { actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem"], resources = [local.table_arn] }
        list = { actions = ["dynamodb:Query"], resources = [local.index_arns[local.customer_index_name]] }
      }
      key_uses = { key = local.reading_key_use }
    }

    reconciler = {
      description = "Asks the gateway about payments that stay open for too long, and settles or requeues them."
      environment = {
        OPEN_INDEX_NAME         = local.open_index_name
        RECONCILE_AFTER_SECONDS = tostring(60 * var.reconciler.older_than_minutes)
        TABLE_NAME              = local.table_name
      }
      schedule = "rate(${var.reconciler.interval_minutes} minute${var.reconciler.interval_minutes == 1 ? "" : "s"})"
      statements = {
        find   = { actions = ["dynamodb:Query"], resources = [local.index_arns[local.open_index_name]] }
        settle = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
      }
      key_uses = { key = local.key_uses.dynamodb }
    }
  }

  # A new version is rolled back if the function fails or is throttled.
  gradual_deployments = {
    for function in try(var.gradual_deployment.functions, []) : function => {
      alarm_names   = local.function_alarm_names[function]
      traffic_shift = var.gradual_deployment.traffic_shift
    }
  }

  # Every function of the stack: those above, with the gateway's additions, and the gateway's own functions.
  all_functions = {
    for function, spec in merge(local.functions, local.gateway.functions) : function => merge(spec, {
      environment = merge(spec.environment, lookup(local.gateway_environments, function, {}))
      statements  = merge(spec.statements, lookup(local.gateway_statements, function, {}))
      key_uses    = merge(spec.key_uses, lookup(local.gateway_key_uses, function, {}))
    })
  }
}
