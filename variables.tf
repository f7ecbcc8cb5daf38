variable "alarm_emails" {
  description = "E-mail addresses that are told of every alarm. Each has to confirm its subscription once."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails holds something that is not an e-mail address. Write each as name@example.com."
  }
}

variable "amount_limits" {
  description = "The largest amount that a payment may have, by currency, as a decimal in the currency's major unit, such as { EUR = \"10000.00\" }. Other currencies have no limit but 12 digits of minor units."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for currency, amount in var.amount_limits : can(regex("^[A-Z]{3}$", currency)) && can(regex("^(0|[1-9][0-9]*)(\\.[0-9]+)?$", amount))])
    error_message = "amount_limits must map ISO 4217 codes to decimal numbers, such as { EUR = \"10000.00\" }."
  }

  validation {
    condition     = length(setsubtract(keys(var.amount_limits), keys(local.currencies))) == 0
    error_message = "amount_limits has a key that is not the code of an ISO 4217 currency."
  }

  validation {
    condition     = alltrue([for currency, amount in var.amount_limits : length(try(split(".", amount)[1], "")) <= try(local.currencies[currency], 4)])
    error_message = "amount_limits has an amount with more decimals than its currency has."
  }
}

variable "announcement_subscriptions" {
  description = "Who receives the announcements (CloudEvents), by a name of your choice: the SNS protocol, the endpoint, and a filter policy as JSON over the message attributes event_type, currency and status."
  type = map(object({
    protocol      = string
    endpoint      = string
    filter_policy = optional(string)
    raw           = optional(bool, false)
  }))
  default  = {}
  nullable = false
}

variable "anyone_may_pay" {
  description = "Whether api.authorization may be NONE: anyone who finds the API's address may then pay, refund and read payments. Refused if environment_suffix begins with prod."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.anyone_may_pay || var.api.authorization != "NONE"
    error_message = "api.authorization is NONE, so anyone who finds the address may pay, refund and read payments. Choose AWS_IAM, COGNITO_USER_POOLS or API_KEY, or, where environment_suffix does not begin with prod, set anyone_may_pay to true."
  }

  validation {
    condition     = !(var.anyone_may_pay && local.production) || var.api.authorization != "NONE"
    error_message = "api.authorization must not be NONE where environment_suffix begins with prod. Choose AWS_IAM, COGNITO_USER_POOLS or API_KEY, or another environment_suffix."
  }
}

variable "api" {
  description = <<-EOT
    The API: who may call it (authorization: AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE), the stage's name, the
    steady rate and the burst of requests per second over all callers, the usage plan's quota, and whether this
    stack sets the role by which API Gateway logs, of which an account has one in a region (leave false where another
    stack has set it: without any, API Gateway refuses the stage). NONE also needs anyone_may_pay.
  EOT
  type = object({
    authorization          = optional(string, "AWS_IAM")
    burst_limit            = optional(number, 200)
    cognito_user_pool_arns = optional(list(string), [])
    manage_account_logging = optional(bool, false)
    quota_limit            = optional(number, 1000000)
    quota_period           = optional(string, "MONTH")
    rate_limit             = optional(number, 100)
    stage_name             = optional(string, "prod")
    usage_plan             = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["AWS_IAM", "COGNITO_USER_POOLS", "API_KEY", "NONE"], var.api.authorization)
    error_message = "api.authorization must be AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE."
  }

  validation {
    condition     = var.api.authorization != "COGNITO_USER_POOLS" || length(var.api.cognito_user_pool_arns) > 0
    error_message = "api.authorization is COGNITO_USER_POOLS, so api.cognito_user_pool_arns must name at least one user pool."
  }
}

variable "cost_center" {
  description = "The CostCenter tag of every resource."
  type        = string
  default     = "engineering"
  nullable    = false
}

variable "default_currency" {
  description = "The ISO 4217 code of the currency of a payment that names none."
  type        = string
  default     = "USD"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.default_currency))
    error_message = "default_currency must be an ISO 4217 code of three capital letters, such as USD or JPY."
  }

  validation {
    condition     = contains(keys(local.currencies), var.default_currency)
    error_message = "default_currency is not the code of an ISO 4217 currency that payments can be made in."
  }
}

variable "environment_suffix" {
  description = "The end of every name, so that several stacks can share an account: dev, prod, pr-123."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.environment_suffix))
    error_message = "environment_suffix must be 1 to 20 lower-case letters, digits and hyphens, with no hyphen at either end."
  }
}

variable "function_defaults" {
  description = "What each function starts from: memory in MB, time-out in seconds, and reserved concurrency (-1 reserves none; a new AWS account often has too few to reserve)."
  type = object({
    memory_mb            = optional(number, 512)
    reserved_concurrency = optional(number, -1)
    timeout_seconds      = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.function_defaults.memory_mb >= 128 && var.function_defaults.memory_mb <= 10240
    error_message = "function_defaults.memory_mb must be from 128 to 10240."
  }

  validation {
    condition     = var.function_defaults.timeout_seconds >= 3 && var.function_defaults.timeout_seconds <= 120
    error_message = "function_defaults.timeout_seconds must be from 3 to 120: the queues hide a message for six times as long."
  }
}

variable "functions" {
  description = "Where a function differs from function_defaults, by its name: validator, refunder, relay, processor, notifier, reader, reconciler, stripe_webhook, stripe_comparer. maximum_concurrency bounds how many batches of its queue are worked on at once (processor and notifier)."
  type = map(object({
    maximum_concurrency  = optional(number)
    memory_mb            = optional(number)
    reserved_concurrency = optional(number)
    timeout_seconds      = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.functions), local.known_functions)) == 0
    error_message = "functions has a name that is none of ${join(", ", local.known_functions)}."
  }

  validation {
    condition     = alltrue([for settings in values(var.functions) : coalesce(settings.timeout_seconds, 30) >= 3 && coalesce(settings.timeout_seconds, 30) <= 120])
    error_message = "functions: timeout_seconds must be from 3 to 120: the queues hide a message for six times as long."
  }

  validation {
    condition     = alltrue([for settings in values(var.functions) : coalesce(settings.maximum_concurrency, 2) >= 2 && coalesce(settings.maximum_concurrency, 2) <= 1000])
    error_message = "functions: maximum_concurrency must be from 2 to 1000, as Lambda demands of a queue's mapping."
  }

  validation {
    condition = alltrue([
      for function in values(local.queue_consumers) : try(var.functions[function].reserved_concurrency, null) == null || try(var.functions[function].maximum_concurrency <= var.functions[function].reserved_concurrency, false)
    ])
    error_message = "functions: with reserved_concurrency, ${join(" and ", sort(values(local.queue_consumers)))} need a maximum_concurrency that is not above it. What the queue hands over beyond the reserve is throttled, and counts as a delivery: payments would end in the dead-letter queue untried."
  }
}

variable "gateway" {
  description = "The payment gateway that the processor charges: simulator (deterministic, moves no money) or stripe (docs/stripe.md; it needs a NAT mode)."
  type        = string
  default     = "simulator"
  nullable    = false

  validation {
    condition     = contains(["simulator", "stripe"], var.gateway)
    error_message = "gateway must be simulator or stripe."
  }
}

variable "key_deletion_window_days" {
  description = "How long a KMS key that was scheduled for deletion can still be rescued, in days."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.key_deletion_window_days >= 7 && var.key_deletion_window_days <= 30
    error_message = "key_deletion_window_days must be from 7 to 30."
  }
}

variable "layer_dir" {
  description = "The folder of the functions' layer as built: `make layer` builds build/layer for Lambda, and build/layer-local for the Python of this machine."
  type        = string
  default     = "build/layer"
  nullable    = false
}

variable "log_level" {
  description = "The least level that the functions log: DEBUG, INFO, WARN or ERROR."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARN", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARN or ERROR."
  }
}

variable "log_retention_days" {
  description = "How long every log group keeps its events, in days: one of the values that CloudWatch Logs takes."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "network" {
  description = <<-EOT
    The VPC: its CIDR block, in how many availability zones (pin them by availability_zone_ids), the way out to the
    internet (nat.mode: none, instance, gateway, gateway_per_az), and the AWS services that get an interface endpoint.
    A function reaches the services that it calls by their endpoints. Only one that calls something without an endpoint
    reaches the internet, by NAT. DynamoDB has a gateway endpoint, which is free.
  EOT
  type = object({
    availability_zone_count = optional(number, 3)
    availability_zone_ids   = optional(list(string), [])
    cidr_block              = optional(string, "10.0.0.0/16")
    gateway_endpoints       = optional(set(string), ["dynamodb"])
    interface_endpoints     = optional(set(string), ["sns", "sqs"])
    nat = optional(object({
      mode          = optional(string, "none")
      instance_type = optional(string, "t4g.nano")
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(cidrhost(var.network.cidr_block, 0)) && try(tonumber(split("/", var.network.cidr_block)[1]), 0) >= 16 && try(tonumber(split("/", var.network.cidr_block)[1]), 99) <= 24
    error_message = "network.cidr_block must be an IPv4 block from /16 to /24, such as 10.0.0.0/16."
  }

  validation {
    condition     = contains(["none", "instance", "gateway", "gateway_per_az"], var.network.nat.mode)
    error_message = "network.nat.mode must be none, instance, gateway or gateway_per_az."
  }
}

variable "objectives" {
  description = "What is promised: which share of payments becomes final within payments_seconds, and which share of API calls is answered without 5XX; and how many payments or calls the long window must have seen (minimum_events) before an alarm says that the promise is being broken. See modules/monitoring."
  type = object({
    api_share        = optional(number, 0.999)
    minimum_events   = optional(number, 20)
    payments_seconds = optional(number, 60)
    payments_share   = optional(number, 0.999)
  })
  default  = {}
  nullable = false
}

variable "production_moves_no_money" {
  description = "Whether the simulator may be the gateway if environment_suffix begins with prod: payments are then reported as processed, and nobody is charged."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.production_moves_no_money || var.gateway != "simulator" || !local.production
    error_message = "gateway is simulator, which moves no money, and environment_suffix begins with prod. Set gateway to \"stripe\", choose another environment_suffix, or set production_moves_no_money to true."
  }
}

variable "project" {
  description = "The Project tag of every resource."
  type        = string
  default     = "payment-processing"
  nullable    = false
}

variable "queues" {
  description = "Both queues: how often a message is received before it goes to the dead-letter queue, and how long the queue and the dead-letter queue keep a message, in seconds. How long a message in work stays hidden follows from its consumer's time-out."
  type = object({
    batch_size                    = optional(number, 10)
    dead_letter_retention_seconds = optional(number, 1209600)
    max_receive_count             = optional(number, 3)
    retention_seconds             = optional(number, 345600)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.queues.max_receive_count >= 2 && var.queues.max_receive_count <= 1000
    error_message = "queues.max_receive_count must be from 2 to 1000: with 1 a single hiccup of the gateway would end in the dead-letter queue."
  }

  validation {
    condition     = var.queues.batch_size >= 1 && var.queues.batch_size <= 10
    error_message = "queues.batch_size must be from 1 to 10."
  }

  validation {
    condition     = var.queues.retention_seconds >= 3600 && var.queues.retention_seconds < var.queues.dead_letter_retention_seconds && var.queues.dead_letter_retention_seconds <= 1209600
    error_message = "queues.retention_seconds must be at least 3600 and less than queues.dead_letter_retention_seconds (at most 1209600): a dead letter's age counts from its first sending."
  }
}

variable "reconciler" {
  description = "How often the reconciler runs, and how old a payment must be that it looks at, both in minutes. Older than a payment takes to reach its dead-letter queue: what is still on its way needs no help."
  type = object({
    interval_minutes   = optional(number, 5)
    older_than_minutes = optional(number, 15)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.reconciler.interval_minutes >= 1 && var.reconciler.interval_minutes <= 1440 && floor(var.reconciler.interval_minutes) == var.reconciler.interval_minutes
    error_message = "reconciler.interval_minutes must be a whole number from 1 to 1440."
  }

  validation {
    condition     = var.reconciler.older_than_minutes >= 1 && var.reconciler.older_than_minutes <= 1380 && floor(var.reconciler.older_than_minutes) == var.reconciler.older_than_minutes
    error_message = "reconciler.older_than_minutes must be a whole number from 1 to 1380: gateways forget an idempotency key after a day."
  }
}

variable "region" {
  description = "The AWS region of the whole stack."
  type        = string
  default     = "ap-southeast-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region's code, such as ap-southeast-1."
  }
}

variable "restored" {
  description = "Whether the payments table was restored from a backup. While it is true, the gateway is asked before every charge and refund, since one that was lost may be requested again. Set it before the restored table is used (docs/operations.md says when it may be false again)."
  type        = bool
  default     = false
  nullable    = false
}

variable "runtime" {
  description = "The functions' runtime and processor architecture. `make layer ENV=prod` builds the layer for those of env/prod.tfvars."
  type = object({
    architecture = optional(string, "arm64")
    name         = optional(string, "python3.13")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.runtime.architecture)
    error_message = "runtime.architecture must be arm64 or x86_64."
  }

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.runtime.name)
    error_message = "runtime.name must be python3.11, python3.12 or python3.13."
  }
}

variable "saved_queries" {
  description = "Whether to save the Logs Insights query that shows one payment's whole story; false where CloudWatch Logs does not take it, as on the embedded AWS."
  type        = bool
  default     = true
  nullable    = false
}

variable "table" {
  description = "The payments table: days of point-in-time recovery (0 switches it off, else 1 to 35) and protection from deletion."
  type = object({
    deletion_protection         = optional(bool, true)
    point_in_time_recovery_days = optional(number, 35)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.table.point_in_time_recovery_days >= 0 && var.table.point_in_time_recovery_days <= 35
    error_message = "table.point_in_time_recovery_days must be from 0 (off) to 35."
  }
}

variable "allowed_private_cidrs" {
  description = "Private networks that webhooks may be sent to, for a receiver on the same laptop as the embedded AWS. In an AWS account, webhooks go to public addresses only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.allowed_private_cidrs) == 0 || local.embedded
    error_message = "allowed_private_cidrs must be empty in an AWS account: otherwise a webhook's URL could reach addresses that only this network reaches. It is for the embedded AWS."
  }
}

variable "event_bus" {
  description = "Whether the announcements are also put on an EventBridge bus of this stack's own."
  type        = bool
  default     = false
  nullable    = false
}

variable "webhook_secret_ttl_seconds" {
  description = "For how long the delivering functions go by a webhook's secret that they have read, in seconds: a new secret, and an endpoint that was switched on, take that long to have effect."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.webhook_secret_ttl_seconds >= 1 && var.webhook_secret_ttl_seconds <= 3600
    error_message = "webhook_secret_ttl_seconds must be from 1 to 3600."
  }
}

variable "webhooks" {
  description = <<-EOT
    The HTTPS endpoints that are told of outcomes by signed webhooks (docs/webhooks.md), by a name of your choice: the
    URL; the events that are sent to it (null for all); how many batches of ten are delivered at once; how long a
    delivery may take; and for how long a message waits after each failure before it is tried again, in seconds.
  EOT
  type = map(object({
    events               = optional(set(string))
    maximum_concurrency  = optional(number, 5)
    retry_delays_seconds = optional(list(number), [30, 60, 300, 900, 3600, 10800, 21600, 39600])
    timeout_seconds      = optional(number, 15)
    url                  = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(var.webhooks) <= 20
    error_message = "webhooks must have at most 20 endpoints: for more, let the receivers subscribe to the announcements topic or to the event bus."
  }

  validation {
    condition     = alltrue([for endpoint in values(var.webhooks) : startswith(endpoint.url, "https://")])
    error_message = "webhooks: url must begin with https://."
  }

  validation {
    condition     = length(setsubtract(flatten([for endpoint in values(var.webhooks) : [for event in coalesce(endpoint.events, []) : event]]), local.webhook_events)) == 0
    error_message = "webhooks: events has a name that is none of those that are announced: ${join(", ", sort(local.webhook_events))}."
  }

  validation {
    condition     = length(var.allowed_private_cidrs) > 0 || alltrue([for endpoint in values(var.webhooks) : can(regex("^https://[^/:]+(:443)?(/|$)", endpoint.url))])
    error_message = "webhooks: url must use port 443, the only one that the functions' security group lets out."
  }
}

variable "thresholds" {
  description = "When to raise an alarm; modules/monitoring/README.md says of each what it is for and why it is what it is. All must be above 0."
  type = object({
    api_4xx                = optional(number, 100)
    api_5xx                = optional(number, 1)
    api_p99_ms             = optional(number, 3000)
    concurrency_share      = optional(number, 0.8)
    contradictions         = optional(number, 1)
    dead_letters           = optional(number, 1)
    disputes               = optional(number, 1)
    duration_share         = optional(number, 0.8)
    errors                 = optional(number, 1)
    gateway_differences    = optional(number, 1)
    iterator_age_ms        = optional(number, 60000)
    oldest_message_seconds = optional(number, 600)
    open_payment_seconds   = optional(number, 3600)
    reconciler_failed      = optional(number, 1)
    reconciler_left        = optional(number, 1)
    table_errors           = optional(number, 1)
    throttles              = optional(number, 1)
    waiting_messages       = optional(number, 1000)
  })
  default  = {}
  nullable = false
}

variable "stripe_address" {
  description = "The address of a fake Stripe on the same laptop as the embedded AWS; null for Stripe's own."
  type        = string
  default     = null

  validation {
    condition     = var.stripe_address == null || local.embedded
    error_message = "stripe_address must be null in an AWS account: the API key would be sent to it. It is for the embedded AWS."
  }
}

variable "stripe_webhook_throttle" {
  description = "How many of Stripe's events are taken a second at a steady rate, and how many at once: the route has no AWS authorization, so it has bounds of its own. Stripe sends again what was refused."
  type = object({
    burst_limit = optional(number, 50)
    rate_limit  = optional(number, 25)
  })
  default  = {}
  nullable = false
}
