# Every name and every ARN is built here, once. Only modules/monitoring and modules/webhooks add names: of each alarm, and
# of each endpoint's parts. ARNs that are built from names are known at plan, so tests and scanners can read whole
# policies, triggers and dashboards in the plan. It also keeps modules from depending on each other.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  context = {
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
    region     = var.region
    # For example apse1 for ap-southeast-1, as in AWS's zone ids. A role's name has no room for the full name.
    role_suffix = !var.region_in_role_names ? "" : "-${join("", [
      for part in split("-", var.region) : lookup(local.region_parts, part, part)
    ])}"
  }
  region_parts = {
    central   = "c"
    east      = "e"
    gov       = "g"
    north     = "n"
    northeast = "ne"
    northwest = "nw"
    south     = "s"
    southeast = "se"
    southwest = "sw"
    west      = "w"
  }

  # The embedded AWS has this account id, and no AWS account has it. The name of a stack does not decide.
  embedded = local.context.account_id == "000000000000"

  production = startswith(var.environment_suffix, "prod")

  arn_base = {
    for service in ["cloudwatch", "dynamodb", "logs", "secretsmanager", "sns", "sqs"] :
    service => "arn:${local.context.partition}:${service}:${var.region}:${local.context.account_id}"
  }

  # Each gateway has a module or a folder, and each function a module: so the files give the lists of both.
  gateway_names = setsubtract(
    [for file in fileset("${path.root}/src/payments/gateways", "**/*.py") : trimsuffix(split("/", file)[0], ".py")],
    ["__init__", "port", "registry"],
  )
  # The deliverer runs once for each webhook endpoint: modules/webhooks names it.
  known_functions = [
    for file in fileset("${path.root}/src/payments/handlers", "*.py") : trimsuffix(file, ".py")
    if !contains(["__init__.py", "deliverer.py"], file)
  ]
  # The name of a gateway's own function begins with the gateway's.
  function_names = {
    for function in local.known_functions :
    function => "payment-${replace(function, "_", "-")}-${var.environment_suffix}"
    if !anytrue([
      for gateway in local.gateway_names : startswith(function, "${gateway}_") if gateway != var.gateway
    ])
  }
  # The alarms that roll a new version of a function back.
  function_alarm_names = {
    for function in local.known_functions : function => [
      for alarm in ["errors", "throttles"] : "payment-${function}-${alarm}-${var.environment_suffix}"
    ]
  }

  layer_names = {
    for layer in ["dependencies", "stripe"] : layer => "payment-${layer}-${var.environment_suffix}"
  }

  queue_names = {
    validator_to_processor = "payment-validator-to-processor-${var.environment_suffix}"
    processor_to_notifier  = "payment-processor-to-notifier-${var.environment_suffix}"
  }
  dead_letter_queue_names = {
    validator_to_processor = "payment-validator-dlq-${var.environment_suffix}"
    processor_to_notifier  = "payment-processor-dlq-${var.environment_suffix}"
    relay                  = "payment-relay-dlq-${var.environment_suffix}"
  }

  table_name            = "payment-transactions-${var.environment_suffix}"
  customer_index_name   = "customer-index"
  open_index_name       = "open-index"
  gateway_index_name    = "gateway-index"
  charged_index_name    = "charged-index"
  simulator_ledger_name = "payment-simulator-ledger-${var.environment_suffix}"

  topic_names = {
    announcements = "payment-announcements-${var.environment_suffix}"
    alarms        = "payment-alarms-${var.environment_suffix}"
  }

  key_aliases = {
    for use in ["dynamodb", "lambda", "logs", "sns", "sqs"] : use => "payment-${use}-${var.environment_suffix}"
  }
  # SNS may use these keys, and not the key of the other queues.
  subscriber_key_aliases = {
    for use in ["subscribers", "secrets"] : use => "payment-${use}-${var.environment_suffix}"
  }

  # Two secrets, since the function that receives the gateway's events must not be able to charge.
  gateway_secret_names = {
    for use in ["key", "webhook"] : use => "payment-${var.gateway}-${use}-${var.environment_suffix}"
  }

  api_name     = "payment-api-${var.environment_suffix}"
  backup_name  = "payment-backup-${var.environment_suffix}"
  network_name = "payment-${var.environment_suffix}"
  event_bus_names = {
    bus               = "payment-events-${var.environment_suffix}"
    queue             = "payment-event-bus-${var.environment_suffix}"
    dead_letter_queue = "payment-event-bus-dlq-${var.environment_suffix}"
    alarm             = "payment-event-bus-dead-letters-${var.environment_suffix}"
  }

  # One for each stack: otherwise two stacks in an account would share their metrics.
  metrics_namespace = "Payments/${var.environment_suffix}"
  # The CloudEvents' source.
  event_source = "/payments/${var.environment_suffix}"

  # CloudWatch may use the stack's keys only for these log groups and alarms. A pattern such as payment-*-eu would also
  # match the names of the stack prod-eu. The functions of every gateway are listed, so changing the gateway stops no log.
  log_group_names = concat(
    [
      for function in concat(local.known_functions, [for endpoint in keys(var.webhooks) : "webhook-${endpoint}"]) :
      "/aws/lambda/payment-${replace(function, "_", "-")}-${var.environment_suffix}"
    ],
    ["/aws/apigateway/${local.api_name}", "/aws/vpc/${local.network_name}", "aws-waf-logs-${local.api_name}"],
    # The API's id is known only after the first apply.
    var.api.execution_logs ? ["API-Gateway-Execution-Logs_*/${var.api.stage_name}"] : [],
  )
  # Every alarm's name ends in its kind and the suffix. Some kinds have one alarm, others one for each part of the stack.
  alarm_patterns = [
    for kind in concat(
      ["api-4xx", "api-5xx", "api-latency", "contradictions", "disputes", "flow", "gateway-differences"],
      ["open-payments", "reconciler-failed", "reconciler-left", "standstill"],
      ["*-age", "*-concurrency", "*-dead-letters", "*-depth", "*-duration", "*-errors", "*-throttles"],
      ["objective-*-fast", "objective-*-long", "objective-*-short", "objective-*-slow"],
      ["webhook-*-expiring", "webhook-*-failing", "webhook-*-hidden", "webhook-*-switched-off"],
    ) : "payment-${kind}-${var.environment_suffix}"
  ]

  table_arn = "${local.arn_base.dynamodb}:table/${local.table_name}"
  index_arns = {
    for index in [
      local.customer_index_name, local.open_index_name, local.gateway_index_name, local.charged_index_name,
    ] : index => "${local.table_arn}/index/${index}"
  }
  ledger_arn        = "${local.arn_base.dynamodb}:table/${local.simulator_ledger_name}"
  queue_arns        = { for queue, name in local.queue_names : queue => "${local.arn_base.sqs}:${name}" }
  relay_dlq_arn     = "${local.arn_base.sqs}:${local.dead_letter_queue_names.relay}"
  announcements_arn = "${local.arn_base.sns}:${local.topic_names.announcements}"
  # Secrets Manager adds a hyphen and six characters, which are not known at plan.
  gateway_secret_arns = {
    for use, name in local.gateway_secret_names : use => "${local.arn_base.secretsmanager}:secret:${name}-??????"
  }
}
