# The needs of every gateway, including the simulator. Another gateway is a module or a folder in src/payments/gateways,
# and an entry in gateways (docs/stripe.md). Resources that only one gateway needs have their own file, as in stripe.tf.

locals {
  # A gateway's code is packed only if it charges: its module or folder, and its handlers.
  gateway_code = "payments/**/%s*"

  # The functions that call the payment gateway.
  gateway_callers = ["processor", "reconciler"]

  # Each gateway's additions to gateway_defaults.
  gateways = {
    simulator = {
      environments = {
        for function in local.gateway_callers : function => { SIMULATOR_TABLE_NAME = local.simulator_ledger_name }
      }
      internet = false
      statements = {
        for function, actions in {
          processor  = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
          reconciler = ["dynamodb:GetItem"]
        } : function => { ledger = { actions = actions, resources = [local.ledger_arn] } }
      }
    }

    stripe = local.stripe_gateway
  }

  # secrets has a description for each use: key charges, webhook checks the gateway's events. environments and statements
  # are for the functions that call the gateway, by function. functions are the gateway's own. attributes and indexes are
  # for the payments table. roles are for the monitoring.
  gateway_defaults = {
    attributes   = {}
    callers      = local.gateway_callers
    environments = {}
    functions    = {}
    indexes      = {}
    internet     = true
    roles        = { comparing = null, hearing = null }
    routes       = {}
    secrets      = {}
    statements   = {}
    throttles    = {}
  }
  gateway = merge(local.gateway_defaults, local.gateways[var.gateway])

  # How long to wait for the gateway's answer: a charge may take most of a call, and a lookup as long as the reconciler
  # allows for one payment. Nobody waits for the gateway's own functions.
  gateway_timeouts = {
    for function in local.gateway.callers : function => lookup({
      processor  = max(2, floor(2 * local.function_settings["processor"].timeout_seconds / 3))
      reconciler = 3
    }, function, 20)
  }

  # Only the names: the values are in no environment, no state and no plan.
  gateway_secret_environments = {
    for use, name in local.gateway_secret_names : use => {
      SECRET_NAME        = name
      SECRET_TTL_SECONDS = tostring(var.webhook_secret_ttl_seconds)
    }
  }
  gateway_secret_statements = {
    for use, arn in local.gateway_secret_arns : use => {
      secret = { actions = ["secretsmanager:GetSecretValue"], resources = [arn] }
    }
  }
  gateway_secret_key_uses = {
    secret-key = {
      alias = local.subscriber_key_aliases.secrets, service = "secretsmanager", actions = ["kms:Decrypt"]
    }
  }

  # The additions for the functions that call the gateway.
  gateway_has_key = contains(keys(local.gateway.secrets), "key")
  gateway_environments = {
    for function in local.gateway.callers : function => merge(
      { GATEWAY = var.gateway },
      local.gateway_has_key ? local.gateway_secret_environments.key : {},
      local.gateway_has_key ? { GATEWAY_TIMEOUT_SECONDS = tostring(local.gateway_timeouts[function]) } : {},
      lookup(local.gateway.environments, function, {}),
    )
  }
  gateway_key_uses = {
    for function in local.gateway.callers : function => local.gateway_secret_key_uses if local.gateway_has_key
  }
  gateway_statements = {
    for function in local.gateway.callers : function => merge(
      local.gateway_has_key ? local.gateway_secret_statements.key : {},
      lookup(local.gateway.statements, function, {}),
    )
  }

  # Not part of gateways: the layer is known only after it is created, and only the functions need to wait for it.
  gateway_layer_arns = lookup({ stripe = aws_lambda_layer_version.stripe[*].arn }, var.gateway, [])
}

# The values are set by hand or by a script (docs/stripe.md), so that no plan and no state ever holds one.
resource "aws_secretsmanager_secret" "gateway" {
  #checkov:skip=CKV2_AWS_57:a key is rolled at the gateway, where Secrets Manager cannot roll it; docs/stripe.md says how
  for_each = local.gateway.secrets

  name                    = local.gateway_secret_names[each.key]
  description             = each.value
  kms_key_id              = module.subscriber_keys.keys["secrets"].arn
  recovery_window_in_days = var.secret_recovery_days
}

moved {
  from = aws_secretsmanager_secret.stripe
  to   = aws_secretsmanager_secret.gateway
}

# The simulator's own books. They belong to the gateway, not to us: an audit compares both sides.
module "simulator_ledger" {
  source = "./modules/dynamodb"
  count  = var.gateway == "simulator" ? 1 : 0

  context                     = local.context
  name                        = local.simulator_ledger_name
  hash_key                    = "idempotency_key"
  attributes                  = { idempotency_key = "S" }
  point_in_time_recovery_days = var.table.point_in_time_recovery_days
  deletion_protection         = false
  kms_key_arn                 = module.keys.keys["dynamodb"].arn
}
