# What is off unless it is asked for. The values are checked here where the stack asks more of them than its modules do,
# and by the modules, whose messages use the same names.

variable "backup" {
  description = "Backups of the payments table by AWS Backup, beside point-in-time recovery: when, how long they are kept, when they move to cold storage, vaults of other regions or accounts that get a copy, and a lock that lets nobody delete one early. Null for none. See modules/backup."
  type = object({
    cold_storage_after_days = optional(number)
    copy_to_vault_arns      = optional(set(string), [])
    lock = optional(object({
      changeable_for_days = optional(number)
      max_retention_days  = optional(number)
      min_retention_days  = number
    }))
    retention_days = optional(number, 365)
    schedule       = optional(string, "cron(0 18 * * ? *)")
  })
  default = null

  validation {
    condition     = var.backup == null || try(var.backup.retention_days >= 35, false)
    error_message = "backup.retention_days must be 35 or more: up to then point-in-time recovery reaches back to any second."
  }
}

variable "custom_domain" {
  description = "A domain of yours in front of the API: its name, its certificate in ACM of this region, the Route 53 zone that gets its record, and a truststore (the s3:// address of a PEM file) where callers must show a client certificate. The region's own address is closed then. Null for none. See modules/apigw."
  type = object({
    base_path                 = optional(string)
    certificate_arn           = string
    hosted_zone_id            = optional(string)
    name                      = string
    ownership_certificate_arn = optional(string)
    truststore = optional(object({
      uri     = string
      version = optional(string)
    }))
  })
  default = null

  validation {
    condition     = var.custom_domain == null || var.private_api == null
    error_message = "custom_domain and private_api exclude each other: a private API answers at its VPC endpoints only."
  }
}

variable "function_starts" {
  description = "What makes a function's first call fast, by its name: provisioned_concurrency keeps instances ready, at a price for every hour; snap_start starts a version from a snapshot of its memory. One or the other. See modules/lambda."
  type = map(object({
    provisioned_concurrency = optional(number, 0)
    snap_start              = optional(bool, false)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.function_starts), local.known_functions)) == 0
    error_message = "function_starts has a name that is none of ${join(", ", local.known_functions)}."
  }

  validation {
    condition     = alltrue([for start in values(var.function_starts) : !(start.snap_start && start.provisioned_concurrency > 0)])
    error_message = "function_starts: choose provisioned_concurrency or snap_start for a function; Lambda refuses both together."
  }
}

variable "gradual_deployment" {
  description = "Which functions' calls are shifted to a new version by CodeDeploy, and by which of its deployment configurations; shifted back when the function's alarm for errors or throttles is raised. Null moves every alias at once. Read Gradual deployment in modules/lambda before switching it on."
  type = object({
    functions     = optional(set(string), ["validator", "refunder", "relay", "processor", "notifier", "reader"])
    traffic_shift = optional(string, "CodeDeployDefault.LambdaCanary10Percent5Minutes")
  })
  default = null

  validation {
    condition     = length(setsubtract(try(var.gradual_deployment.functions, []), local.known_functions)) == 0
    error_message = "gradual_deployment.functions has a name that is none of ${join(", ", local.known_functions)}."
  }
}

variable "private_api" {
  description = "The execute-api VPC endpoints through which alone the API answers; null for an API on the internet."
  type        = object({ vpc_endpoint_ids = set(string) })
  default     = null

  validation {
    condition     = var.private_api == null || try(length(var.private_api.vpc_endpoint_ids) > 0, false)
    error_message = "private_api.vpc_endpoint_ids must name at least one VPC endpoint, or nobody could call the API."
  }
}

variable "route_throttles" {
  description = "Where a route's rate and burst differ from those of api, by the route's name: create_payment, get_payment, list_customer_payments."
  type = map(object({
    burst_limit = number
    rate_limit  = number
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.route_throttles), keys(local.routes))) == 0
    error_message = "route_throttles has a name that is none of the API's routes: ${join(", ", keys(local.routes))}."
  }
}

variable "table_replicas" {
  description = "Replicas of the payments table in other regions, each with a KMS key of that region. Their writes come through the one stream too, so only this stack's region may take payments. See docs/decisions."
  type        = map(object({ kms_key_arn = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = !contains(keys(var.table_replicas), var.region)
    error_message = "table_replicas names the stack's own region, where the table is already."
  }

  validation {
    condition     = alltrue([for region, replica in var.table_replicas : can(regex("^arn:[^:]+:kms:${region}:[0-9]{12}:key/", replica.kms_key_arn))])
    error_message = "table_replicas: kms_key_arn must be the ARN of a key in the replica's own region."
  }
}

variable "waf" {
  description = "A web ACL before the API: how many requests one address may send in five minutes, AWS's managed rule groups, and which of them only count; null for none. See modules/apigw."
  type = object({
    counted_rule_groups  = optional(set(string), [])
    managed_rule_groups  = optional(list(string), ["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet"])
    requests_per_address = optional(number, 2000)
  })
  default = null
}
