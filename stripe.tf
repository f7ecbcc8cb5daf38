# Everything that exists only with gateway = "stripe": its package, its secrets, and the route for its events.

locals {
  stripe = var.gateway == "stripe"

  stripe_layer_dir = "${var.layer_dir}-stripe"

  stripe_secret_statements = {
    for use, arn in local.stripe_secret_arns : use => {
      secret = { actions = ["secretsmanager:GetSecretValue"], resources = [arn] }
    }
  }

  stripe_key_uses = {
    secret-key = {
      alias = local.subscriber_key_aliases.secrets, service = "secretsmanager", actions = ["kms:Decrypt"]
    }
  }

  # The name only: no environment, state or plan contains the value.
  stripe_secret_environment = {
    for use, name in local.stripe_secret_names : use => {
      SECRET_NAME        = name
      SECRET_TTL_SECONDS = tostring(var.webhook_secret_ttl_seconds)
    }
  }

  # How long a function waits for the gateway's answer: most of a call for a charge, and as long as the reconciler allows
  # for one payment for a question.
  stripe_timeouts = {
    processor       = max(2, floor(2 * local.function_settings["processor"].timeout_seconds / 3))
    reconciler      = 3
    stripe_comparer = 20
  }

  # One call reads a whole day's records.
  stripe_settings = { stripe_comparer = { timeout_seconds = 900 } }

  # The functions with the package and the key.
  stripe_callers = concat(local.gateway_callers, ["stripe_comparer"])

  stripe_environments = {
    for function in local.stripe_callers : function => merge(
      local.stripe_secret_environment.key,
      { GATEWAY_TIMEOUT_SECONDS = tostring(local.stripe_timeouts[function]) },
      var.stripe_address == null ? {} : { STRIPE_ADDRESS = var.stripe_address },
    )
  }

  # By the gateway's reference for disputes, and by the day of the charge for the comparison (docs/decisions/0030).
  stripe_attributes = { gateway_reference = "S", charged_on = "S" }
  stripe_indexes = {
    (local.gateway_index_name) = { hash_key = "gateway_reference", projection_type = "KEYS_ONLY" }
    (local.charged_index_name) = {
      hash_key = "charged_on", range_key = "transaction_id", projection_type = "KEYS_ONLY"
    }
  }

  stripe_functions = {
    stripe_webhook = {
      description = "Takes Stripe's signed events to the payments that they are about."
      environment = merge(local.stripe_secret_environment.webhook, {
        GATEWAY_INDEX_NAME = local.gateway_index_name
        TABLE_NAME         = local.table_name
      })
      statements = merge(local.stripe_secret_statements.webhook, {
        settle = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
        find   = { actions = ["dynamodb:Query"], resources = [local.index_arns[local.gateway_index_name]] }
      })
      key_uses = merge(local.stripe_key_uses, { key = local.key_uses.dynamodb })
    }

    stripe_comparer = {
      description = "Compares a day of Stripe's books with the table, and announces what differs."
      # Late enough for the day to be over even if a clock is wrong.
      schedule = "cron(30 2 * * ? *)"
      environment = {
        CHARGED_INDEX_NAME = local.charged_index_name
        EVENT_SOURCE       = local.event_source
        GATEWAY_INDEX_NAME = local.gateway_index_name
        TABLE_NAME         = local.table_name
        TOPIC_ARN          = local.announcements_arn
      }
      statements = {
        read = { actions = ["dynamodb:GetItem"], resources = [local.table_arn] }
        find = {
          actions   = ["dynamodb:Query"]
          resources = [for index in [local.gateway_index_name, local.charged_index_name] : local.index_arns[index]]
        }
        announce = { actions = ["sns:Publish"], resources = [local.announcements_arn] }
      }
      key_uses = { key = local.reading_key_use, topic-key = local.key_uses.sns }
    }
  }

  # Stripe has no AWS credentials. It signs its events, and the function refuses anything without a valid signature.
  stripe_routes = {
    stripeWebhook = { method = "POST", path = "/gateways/stripe/webhook", function = "stripe_webhook", open = true }
  }
}

# You set the values by hand or with a script (docs/stripe.md), so no plan and no state contains one.
resource "aws_secretsmanager_secret" "stripe" {
  #checkov:skip=CKV2_AWS_57:a key is rolled at Stripe, where Secrets Manager cannot roll it; docs/stripe.md says how
  for_each = local.stripe ? local.stripe_secret_names : {}

  name                    = each.value
  description             = each.key == "key" ? "Stripe's API key" : "The secrets that sign Stripe's events"
  kms_key_id              = module.subscriber_keys.keys["secrets"].arn
  recovery_window_in_days = var.secret_recovery_days
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
      error_message = <<-EOT
        The layer of Stripe's package is not in ${local.stripe_layer_dir} yet. Build it with `make layer`, then run
        Terraform again.
      EOT
    }
  }
}

resource "aws_lambda_layer_version" "stripe" {
  count = local.stripe ? 1 : 0

  layer_name               = local.layer_names.stripe
  description              = "Stripe's package, as uv.lock has it."
  filename                 = data.archive_file.stripe_layer[0].output_path
  source_code_hash         = data.archive_file.stripe_layer[0].output_base64sha256
  compatible_architectures = [var.runtime.architecture]
  compatible_runtimes      = [var.runtime.name]
}

output "stripe" {
  description = <<-EOT
    With gateway = "stripe", the function that compares the books, the names of the secrets that want a value, and the
    address to give to Stripe for its events; null without.
  EOT
  value = local.stripe ? {
    comparer_function_name = module.function["stripe_comparer"].name
    secret_names           = local.stripe_secret_names
    webhook_url            = "${module.api.url}/gateways/stripe/webhook"
  } : null
}
