# What every gateway needs, including the simulator. To add a gateway, add an entry to gateway_code and one to gateways,
# and put the rest into its own file, such as stripe.tf.

locals {
  # A gateway's code (its module or folder in payments/gateways, and its handlers) is packed only if it is the chosen one.
  # This is not part of gateways, because the validation of var.gateway uses it.
  gateway_code = {
    simulator = "payments/**/simulator*"
    stripe    = "payments/**/stripe*"
  }

  # The functions that call the payment gateway.
  gateway_callers = ["processor", "reconciler"]

  # What each gateway adds to the stack: environments, statements and key_uses for the functions that call it, its own
  # functions, attributes and indexes of the table, routes with their throttles, and roles in the monitoring.
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

  # Not part of gateways: the layer is known only after it is created, and only the functions need to wait for it.
  gateway_layer_arns = lookup({ stripe = aws_lambda_layer_version.stripe[*].arn }, var.gateway, [])
}

# The simulator's own records. They belong to the gateway and not to us, so an audit can compare the two.
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
