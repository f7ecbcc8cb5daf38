# Everything that exists only with gateway = "stripe": its package, its functions, and the route for its events.

locals {
  stripe = var.gateway == "stripe"

  stripe_layer_dir = "${var.layer_dir}-stripe"

  # The functions that have the package and the key.
  stripe_callers = concat(local.gateway_callers, ["stripe_comparer"])

  stripe_gateway = {
    attributes = local.stripe_attributes
    callers    = local.stripe_callers
    environments = {
      for function in local.stripe_callers :
      function => { STRIPE_ADDRESS = var.stripe_address } if var.stripe_address != null
    }
    functions = local.stripe_functions
    indexes   = local.stripe_indexes
    roles     = { comparing = "stripe_comparer", hearing = "stripe_webhook" }
    routes    = local.stripe_routes
    secrets   = { key = "Stripe's API key", webhook = "The secrets that sign Stripe's events" }
    throttles = { for route in keys(local.stripe_routes) : route => var.stripe_webhook_throttle }
  }

  # One call reads a whole day's records.
  stripe_settings = { stripe_comparer = { timeout_seconds = 900 } }

  # By the gateway's reference to a charge, for disputes; and by the charge's day, for the comparison (docs/decisions/0030).
  stripe_attributes = { gateway_reference = "S", charged_on = "S" }
  stripe_indexes = {
    (local.gateway_index_name) = { hash_key = "gateway_reference", projection_type = "KEYS_ONLY" }
    (local.charged_index_name) = {
      hash_key = "charged_on", range_key = "transaction_id", projection_type = "KEYS_ONLY"
    }
  }

  stripe_functions = {
    stripe_webhook = {
      description = "Applies Stripe's signed events to their payments."
      environment = merge(local.gateway_secret_environments.webhook, {
        GATEWAY_INDEX_NAME = local.gateway_index_name
        TABLE_NAME         = local.table_name
      })
      statements = merge(local.gateway_secret_statements.webhook, {
        settle = { actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"], resources = [local.table_arn] }
        find   = { actions = ["dynamodb:Query"], resources = [local.index_arns[local.gateway_index_name]] }
      })
      key_uses = merge(local.gateway_secret_key_uses, { key = local.key_uses.dynamodb })
    }

    stripe_comparer = {
      description = "Compares a day of Stripe's books with the table, and announces the differences."
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

  lifecycle {
    create_before_destroy = true
  }
}
