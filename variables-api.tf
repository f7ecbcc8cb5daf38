# Where the API answers, and who may call it.

variable "anyone_may_pay" {
  description = <<-EOT
    Whether api.authorization may be NONE: anyone who finds the API's address may then pay, refund and read payments.
    Refused if environment_suffix begins with prod.
  EOT
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.anyone_may_pay || var.api.authorization != "NONE"
    error_message = <<-EOT
      api.authorization is NONE, so anyone who finds the address may pay, refund and read payments. Choose AWS_IAM,
      COGNITO_USER_POOLS or API_KEY, or, where environment_suffix does not begin with prod, set anyone_may_pay to true.
    EOT
  }

  validation {
    condition     = !(var.anyone_may_pay && local.production) || var.api.authorization != "NONE"
    error_message = <<-EOT
      api.authorization must not be NONE where environment_suffix begins with prod. Choose AWS_IAM, COGNITO_USER_POOLS
      or API_KEY, or another environment_suffix.
    EOT
  }
}

variable "api" {
  description = <<-EOT
    The API: who may call it (authorization: AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE), the stage's name, the
    steady rate and the burst of requests per second over all callers, and the usage plan's quota. NONE also needs
    anyone_may_pay. execution_logs says whether API Gateway writes execution logs in addition to the access log; see
    modules/apigw before you switch it on in a running stack. API Gateway logs with a role that bootstrap/ sets once
    for each account and region.
  EOT
  type = object({
    authorization          = optional(string, "AWS_IAM")
    burst_limit            = optional(number, 200)
    cognito_user_pool_arns = optional(list(string), [])
    execution_logs         = optional(bool, false)
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
    error_message = <<-EOT
      api.authorization is COGNITO_USER_POOLS, so api.cognito_user_pool_arns must name at least one user pool.
    EOT
  }
}

variable "custom_domain" {
  description = <<-EOT
    Your own domain in front of the API: its name, its certificate in ACM of this region, and the Route 53 zone for its
    record. With a truststore (the s3:// address of a PEM file) callers must show a client certificate. The domain
    closes the region's own address. Null for none. See modules/apigw.
  EOT
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

variable "private_api" {
  description = "The execute-api VPC endpoints, for an API that answers only through them; null for one on the internet."
  type        = object({ vpc_endpoint_ids = set(string) })
  default     = null

  validation {
    condition     = var.private_api == null || try(length(var.private_api.vpc_endpoint_ids) > 0, false)
    error_message = "private_api.vpc_endpoint_ids must name at least one VPC endpoint, or nobody could call the API."
  }
}

variable "route_throttles" {
  description = <<-EOT
    Rates and bursts of routes that differ from those of api, by the route's name: create_payment, get_payment,
    list_customer_payments.
  EOT
  type = map(object({
    burst_limit = number
    rate_limit  = number
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.route_throttles), keys(local.routes))) == 0
    error_message = "route_throttles has a name that is not one of the API's routes: ${join(", ", keys(local.routes))}."
  }
}

variable "waf" {
  description = <<-EOT
    A web ACL in front of the API: how many requests one address may send in five minutes, AWS's managed rule groups,
    and which of them only count; null for none. See modules/apigw.
  EOT
  type = object({
    counted_rule_groups = optional(set(string), [])
    managed_rule_groups = optional(list(string), [
      "AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet",
    ])
    requests_per_address = optional(number, 2000)
  })
  default = null
}
