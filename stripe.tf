# What there is only with gateway = "stripe": its package, its secrets, and the way in for its events.

locals {
  stripe = var.gateway == "stripe"

  stripe_layer_dir = "${var.layer_dir}-stripe"

  # Two, since who takes the events must not be able to charge.
  stripe_secret_names = {
    for use in ["key", "webhook"] : use => "payment-stripe-${use}-${var.environment_suffix}" if local.stripe
  }

  # Secrets Manager adds a hyphen and six characters, which are not known at plan.
  stripe_secret_statements = {
    for use, name in local.stripe_secret_names : use => {
      secret = {
        actions   = ["secretsmanager:GetSecretValue"]
        resources = ["arn:${local.context.partition}:secretsmanager:${var.region}:${local.context.account_id}:secret:${name}-??????"]
      }
      secret-key = {
        actions   = ["kms:Decrypt"]
        resources = ["arn:${local.context.partition}:kms:${var.region}:${local.context.account_id}:key/*"]
        conditions = [
          { test = "ForAnyValue:StringEquals", variable = "kms:ResourceAliases", values = ["alias/${local.subscriber_key_aliases.secrets}"] },
          { test = "StringEquals", variable = "kms:ViaService", values = ["secretsmanager.${var.region}.amazonaws.com"] },
        ]
      }
    }
  }

  # By name only: the value is in no environment, no state and no plan.
  stripe_environment = {
    for use, name in local.stripe_secret_names : use => {
      SECRET_NAME        = name
      SECRET_TTL_SECONDS = tostring(var.webhook_secret_ttl_seconds)
    }
  }

  # How long an answer of the gateway's is waited for: a charge takes most of a call, and a question what the reconciler
  # allows for one payment.
  stripe_timeouts = {
    processor       = max(2, floor(2 * local.function_settings["processor"].timeout_seconds / 3))
    reconciler      = 3
    stripe_comparer = 20
  }

  # A day's books are read in one go.
  stripe_settings = { stripe_comparer = { timeout_seconds = 900 } }

  # Who has the package and the key.
  stripe_callers = concat(local.gateway_callers, ["stripe_comparer"])

  # By the gateway's name of a charge, for disputes; and by the day of it, for the comparison (docs/decisions/0030).
  stripe_attributes = { for name in ["gateway_reference", "charged_on"] : name => "S" if local.stripe }
  stripe_indexes = {
    for name, keys in {
      (local.gateway_index_name) = { hash_key = "gateway_reference" }
      (local.charged_index_name) = { hash_key = "charged_on", range_key = "transaction_id" }
    } : name => merge({ projection_type = "KEYS_ONLY" }, keys) if local.stripe
  }

  gateway_environments = {
    for function in local.stripe_callers : function => merge(
      { GATEWAY = var.gateway },
      { for name in [local.simulator_ledger_name] : "SIMULATOR_TABLE_NAME" => name if !local.stripe },
      { for seconds in [local.stripe_timeouts[function]] : "GATEWAY_TIMEOUT_SECONDS" => tostring(seconds) if local.stripe },
      { for address in var.stripe_address[*] : "STRIPE_ADDRESS" => address if local.stripe },
      try(local.stripe_environment.key, {}),
    )
  }

  # The simulator's books are a table; Stripe's are opened by a key.
  gateway_statements = {
    for function, actions in {
      processor       = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
      reconciler      = ["dynamodb:GetItem"]
      stripe_comparer = []
      } : function => merge(
      { for arn in [local.ledger_arn] : "ledger" => { actions = actions, resources = [arn], conditions = [] } if !local.stripe },
      { for name, statement in try(local.stripe_secret_statements.key, {}) : name => merge({ conditions = [] }, statement) },
    )
  }

  stripe_functions = {
    for function, spec in {
      stripe_webhook = {
        description = "Takes Stripe's signed events to the payments that they are about."
        schedule    = null
        environment = merge(try(local.stripe_environment.webhook, {}), {
          GATEWAY_INDEX_NAME = local.gateway_index_name
          TABLE_NAME         = local.table_name
        })
        statements = merge(
          {
            settle = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
            find   = { actions = ["dynamodb:Query"], resources = ["${local.table_arn}/index/${local.gateway_index_name}"] }
            key    = local.key_statements.dynamodb
          },
          try(local.stripe_secret_statements.webhook, {}),
        )
      }
      stripe_comparer = {
        description = "Compares a day of Stripe's books with the table, and announces what differs."
        # When the day is over everywhere that a clock may be wrong.
        schedule = "cron(30 2 * * ? *)"
        environment = {
          CHARGED_INDEX_NAME = local.charged_index_name
          EVENT_SOURCE       = "/payments/${var.environment_suffix}"
          GATEWAY_INDEX_NAME = local.gateway_index_name
          TABLE_NAME         = local.table_name
          TOPIC_ARN          = local.announcements_arn
        }
        statements = {
          read = { actions = ["dynamodb:GetItem"], resources = [local.table_arn] }
          find = {
            actions   = ["dynamodb:Query"]
            resources = [for index in [local.gateway_index_name, local.charged_index_name] : "${local.table_arn}/index/${index}"]
          }
          announce  = { actions = ["sns:Publish"], resources = [local.announcements_arn] }
          key       = local.key_statements.dynamodb_read
          topic-key = local.key_statements.sns
        }
      }
    } : function => merge(spec, { statements = { for name, statement in spec.statements : name => merge({ conditions = [] }, statement) } }) if local.stripe
  }

  # Stripe holds no credentials of AWS. It signs what it sends, and the function hears nobody else.
  stripe_routes = {
    for function in keys(local.stripe_functions) : "stripeWebhook" => {
      method   = "POST"
      path     = "/gateways/stripe/webhook"
      function = function
      open     = true
    } if function == "stripe_webhook"
  }

  stripe_throttles = { for route in keys(local.stripe_routes) : route => var.stripe_webhook_throttle }
}

# The values are put by hand or by a script (docs/stripe.md), so that no plan and no state ever holds one.
resource "aws_secretsmanager_secret" "stripe" {
  #checkov:skip=CKV2_AWS_57:a key is rolled at Stripe, which no rotation of Secrets Manager's can do; docs/stripe.md says how
  for_each = local.stripe_secret_names

  name                    = each.value
  description             = each.key == "key" ? "Stripe's API key" : "The secrets that sign Stripe's events"
  kms_key_id              = module.subscriber_keys.keys["secrets"].arn
  recovery_window_in_days = var.key_deletion_window_days
}

data "archive_file" "stripe_layer" {
  count = local.stripe ? 1 : 0

  type             = "zip"
  source_dir       = "${path.root}/${local.stripe_layer_dir}"
  output_path      = "${path.root}/build/layer-stripe-${var.environment_suffix}.zip"
  output_file_mode = "0644"
  excludes         = ["**/__pycache__/**", "**/*.pyc", "requirements.txt"]

  lifecycle {
    precondition {
      condition     = fileexists("${path.root}/${local.stripe_layer_dir}/requirements.txt")
      error_message = "The layer of Stripe's package is not in ${local.stripe_layer_dir} yet. Build it with `make layer`, then run Terraform again."
    }
  }
}

resource "aws_lambda_layer_version" "stripe" {
  count = local.stripe ? 1 : 0

  layer_name               = "payment-stripe-${var.environment_suffix}"
  description              = "Stripe's package, as uv.lock has it."
  filename                 = data.archive_file.stripe_layer[0].output_path
  source_code_hash         = data.archive_file.stripe_layer[0].output_base64sha256
  compatible_architectures = [var.runtime.architecture]
  compatible_runtimes      = [var.runtime.name]
}

output "stripe" {
  description = "With gateway = \"stripe\", the function that compares the books, the names of the secrets that want a value, and the address to give to Stripe for its events; null without."
  value = local.stripe ? {
    comparer_function_name = module.function["stripe_comparer"].name
    secret_names           = local.stripe_secret_names
    webhook_url            = "${module.api.url}/gateways/stripe/webhook"
  } : null
}
