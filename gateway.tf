# What every gateway needs, the simulator too. Another gateway gets an entry in gateway_code and one in gateways, and a
# file of its own, as stripe.tf is, for what it alone has.

locals {
  # A gateway's code is packed only where it charges: its module or folder in payments/gateways, and its handlers.
  # Apart from gateways, since var.gateway is checked by it.
  gateway_code = {
    simulator = "payments/**/simulator*"
    stripe    = "payments/**/stripe*"
  }

  # Which functions call the payment gateway, whichever it is.
  gateway_callers = ["processor", "reconciler"]

  # What each gateway adds to the stack. By function: environments, statements and key_uses of those that call it, and
  # functions of its own. The table's attributes and indexes, routes with their throttles, and roles in the monitoring.
  gateways = {
    simulator = {
      callers  = local.gateway_callers
      internet = false
      environments = {
        for function in local.gateway_callers : function => { SIMULATOR_TABLE_NAME = local.simulator_ledger_name }
      }
      statements = {
        for function, actions in {
          processor  = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
          reconciler = ["dynamodb:GetItem"]
        } : function => { ledger = { actions = actions, resources = [local.ledger_arn] } }
      }
      key_uses   = {}
      functions  = {}
      attributes = {}
      indexes    = {}
      routes     = {}
      throttles  = {}
      roles      = { comparing = null, hearing = null }
    }

    stripe = {
      callers      = local.stripe_callers
      internet     = true
      environments = local.stripe_environments
      statements   = { for function in local.stripe_callers : function => local.stripe_secret_statements.key }
      key_uses     = { for function in local.stripe_callers : function => local.stripe_key_uses }
      functions    = local.stripe_functions
      attributes   = local.stripe_attributes
      indexes      = local.stripe_indexes
      routes       = local.stripe_routes
      throttles    = { for route in keys(local.stripe_routes) : route => var.stripe_webhook_throttle }
      roles        = { comparing = "stripe_comparer", hearing = "stripe_webhook" }
    }
  }
  gateway = local.gateways[var.gateway]

  gateway_environments = {
    for function, environment in local.gateway.environments : function => merge({ GATEWAY = var.gateway }, environment)
  }

  # Apart, since it is known only when the layer is made: nothing but the functions has to wait for that.
  gateway_layer_arns = lookup({ stripe = aws_lambda_layer_version.stripe[*].arn }, var.gateway, [])
}

# The simulator's own books. They belong to the gateway, not to us: an audit compares the two.
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
