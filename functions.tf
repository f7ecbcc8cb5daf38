# The functions, as one map: what each is for, what it may do, what it is told, and what feeds it. Everything that
# exists once per function (role, log group, alarms, its place on the dashboard) follows from an entry here.

locals {
  function_settings = {
    for function in keys(local.function_names) : function => {
      for setting in ["maximum_concurrency", "memory_mb", "reserved_concurrency", "timeout_seconds"] :
      setting => try(coalesce(try(var.functions[function][setting], null), try(local.stripe_settings[function][setting], null), try(var.function_defaults[setting], null)), null)
    }
  }

  # Who works on which queue. How long a message stays hidden follows from its consumer's time-out.
  queue_consumers = {
    validator_to_processor = "processor"
    processor_to_notifier  = "notifier"
  }

  # Who works on which table's stream.
  stream_consumers = {
    payments = "relay"
  }

  # What each function calls: the services whose actions it is allowed, and the internet for a gateway or a webhook. KMS is
  # called by the service whose data it protects, and Lambda itself reads the queues and the stream.
  function_calls = merge(
    {
      for function, spec in merge(local.functions, local.stripe_functions) : function => concat(
        [for action in flatten([for statement in merge(spec.statements, lookup(local.gateway_statements, function, {})) : statement.actions]) : split(":", action)[0] if !startswith(action, "kms:")],
        local.stripe && contains(local.stripe_callers, function) ? ["internet"] : [],
      )
    },
    { for function in ["webhooks"] : function => ["internet"] if length(var.webhooks) > 0 },
  )

  # Who speaks to the payment gateway: what that takes is in stripe.tf.
  gateway_callers = ["processor", "reconciler"]

  # A key is allowed by its alias, since its id is known only after the first apply, and through one service only.
  key_statements = {
    for use, grant in {
      dynamodb      = { service = "dynamodb", actions = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"] }
      dynamodb_read = { service = "dynamodb", actions = ["kms:Decrypt", "kms:DescribeKey"] }
      sns           = { service = "sns", actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
      sqs           = { service = "sqs", actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
      } : use => {
      actions   = grant.actions
      resources = ["arn:${local.context.partition}:kms:${var.region}:${local.context.account_id}:key/*"]
      conditions = [
        { test = "ForAnyValue:StringEquals", variable = "kms:ResourceAliases", values = ["alias/${local.key_aliases[grant.service]}"] },
        { test = "StringEquals", variable = "kms:ViaService", values = ["${grant.service}.${var.region}.amazonaws.com"] },
      ]
    }
  }

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
        key    = local.key_statements.dynamodb
      }
    }

    refunder = {
      description = "Accepts a refund: one conditional update of its payment, never more than was charged."
      environment = {
        TABLE_NAME = local.table_name
      }
      statements = {
        accept = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
        key    = local.key_statements.dynamodb
      }
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
        key  = local.key_statements.sqs
      }
    }

    processor = {
      description = "Charges or refunds a payment through the gateway, once, and records the outcome."
      environment = {
        MAX_RECEIVE_COUNT = tostring(var.queues.max_receive_count)
        RESTORED          = tostring(var.restored)
        TABLE_NAME        = local.table_name
      }
      statements = {
        record = { actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
        key    = local.key_statements.dynamodb
      }
    }

    notifier = {
      description = "Announces an outcome as a CloudEvent."
      environment = {
        EVENT_SOURCE = "/payments/${var.environment_suffix}"
        TOPIC_ARN    = local.announcements_arn
      }
      statements = {
        announce = { actions = ["sns:Publish"], resources = [local.announcements_arn] }
        key      = local.key_statements.sns
      }
    }

    reader = {
      description = "Returns one payment, or a list of a customer's payments."
      environment = {
        CUSTOMER_INDEX_NAME = local.customer_index_name
        # Known to nobody who calls the API, and no secret: a token opens nothing (docs/decisions/0008).
        PAGE_TOKEN_SEAL = sha256(module.keys.keys["dynamodb"].arn)
        TABLE_NAME      = local.table_name
      }
      statements = {
        read = { actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem"], resources = [local.table_arn] }
        list = { actions = ["dynamodb:Query"], resources = ["${local.table_arn}/index/${local.customer_index_name}"] }
        key  = local.key_statements.dynamodb_read
      }
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
        find   = { actions = ["dynamodb:Query"], resources = ["${local.table_arn}/index/${local.open_index_name}"] }
        settle = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
        key    = local.key_statements.dynamodb
      }
    }
  }
}
