# The functions as one map: the purpose, the rights, the environment and the triggers of each. Everything that exists
# once for each function (role, log group, alarms, dashboard) follows from its entry here.

locals {
  function_settings = {
    for function in keys(local.function_names) : function => merge(
      {
        for setting in ["maximum_concurrency", "memory_mb", "timeout_seconds"] :
        setting => try(coalesce(
          try(var.functions[function][setting], null),
          try(local.stripe_settings[function][setting], null),
          try(var.function_defaults[setting], null),
        ), null)
      },
      {
        reserved_concurrency = (
          var.account_concurrency == null && local.reserves[function] > 0 ? -1 : local.reserves[function]
        )
      },
    )
  }

  # What each function is to reserve: -1 reserves nothing, and 0 lets nobody call it.
  reserves = {
    for function in keys(local.function_names) :
    function => coalesce(
      try(var.functions[function].reserved_concurrency, null),
      var.function_defaults.reserved_concurrency,
    )
  }
  reserved_in_all = sum([for reserve in values(local.reserves) : max(0, reserve)])

  # Which function processes which queue. A message stays hidden for six times its consumer's time-out.
  queue_consumers = {
    validator_to_processor = "processor"
    processor_to_notifier  = "notifier"
  }

  # Which function processes which table's stream.
  stream_consumers = {
    payments = "relay"
  }

  # What each function calls: the services whose actions it may use, and the internet for a gateway or a webhook. Lambda
  # reads the queues and the stream for it, and each service calls KMS itself.
  function_calls = merge(
    {
      for function, spec in local.all_functions : function => concat(
        flatten([for statement in spec.statements : [for action in statement.actions : split(":", action)[0]]]),
        local.gateway.internet && contains(local.gateway.callers, function) ? ["internet"] : [],
      )
    },
    length(var.webhooks) > 0 ? { webhooks = ["internet"] } : {},
  )

  # What a function may do with each key, and through which service.
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
        # Callers do not know it, but it need not be secret: a token grants nothing (docs/decisions/0008).
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

  # CodeDeploy rolls a new version back if the function fails or is throttled.
  gradual_deployments = {
    for function in try(var.gradual_deployment.functions, []) : function => {
      alarm_names   = local.function_alarm_names[function]
      traffic_shift = var.gradual_deployment.traffic_shift
    }
  }

  # Every function of the stack: those above, with the gateway's additions, and the gateway's own.
  all_functions = {
    for function, spec in merge(local.functions, local.gateway.functions) : function => merge(spec, {
      environment = merge(spec.environment, lookup(local.gateway_environments, function, {}))
      statements  = merge(spec.statements, lookup(local.gateway_statements, function, {}))
      key_uses    = merge(spec.key_uses, lookup(local.gateway_key_uses, function, {}))
    })
  }
}

check "reserved_concurrency" {
  assert {
    condition     = var.account_concurrency != null || local.reserved_in_all == 0
    error_message = <<-EOT
      account_concurrency is not set, so the ${local.reserved_in_all} concurrent executions are not reserved.
      A deployment removes reserves that exist. Set it to what this prints:
      aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions
    EOT
  }
}
