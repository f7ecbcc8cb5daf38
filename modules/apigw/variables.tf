variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "alias_arns" {
  description = "The ARNs of the aliases that the routes call, from the resources or modules that create them: the permissions and the stage wait for them. If something else creates the functions before the API, leave it empty."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "authorization" {
  description = "Who may call: AWS_IAM (signed requests), COGNITO_USER_POOLS (a token from cognito_user_pool_arns), API_KEY (a key of the usage plan) or NONE."
  type        = string
  default     = "AWS_IAM"
  nullable    = false

  validation {
    condition     = contains(["AWS_IAM", "COGNITO_USER_POOLS", "API_KEY", "NONE"], var.authorization)
    error_message = "authorization must be AWS_IAM, COGNITO_USER_POOLS, API_KEY or NONE."
  }

  validation {
    condition     = var.authorization != "API_KEY" || var.usage_plan != null
    error_message = "authorization is API_KEY, which needs a usage_plan to hold the key."
  }
}

variable "cognito_user_pool_arns" {
  description = "The user pools whose tokens the API accepts if authorization is COGNITO_USER_POOLS."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = var.authorization != "COGNITO_USER_POOLS" || length(var.cognito_user_pool_arns) > 0
    error_message = "authorization is COGNITO_USER_POOLS, so cognito_user_pool_arns must name at least one user pool."
  }
}

variable "custom_domain" {
  description = <<-EOT
    Your own domain in front of the API, with TLS 1.2 or newer; null for none. It closes the region's own address.
    certificate_arn is a certificate in ACM of this region. With hosted_zone_id the module also creates the DNS record.
    With truststore (the s3:// address of a PEM file and its version) callers must present a client certificate that it
    trusts. With a truststore and an imported or private certificate, ownership_certificate_arn is needed too.
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
    condition     = var.custom_domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.custom_domain.name))
    error_message = "custom_domain: name must be a full domain name in lower case, such as payments.example.com."
  }

  validation {
    condition     = var.custom_domain == null || can(regex("^arn:[^:]+:acm:${var.context.region}:[0-9]{12}:certificate/", var.custom_domain.certificate_arn))
    error_message = "custom_domain: certificate_arn must be a certificate in ACM of the API's region."
  }

  validation {
    condition     = try(var.custom_domain.truststore, null) == null || can(regex("^s3://[a-z0-9.-]+/.+$", var.custom_domain.truststore.uri))
    error_message = "custom_domain: truststore.uri must be s3://BUCKET/KEY."
  }

  validation {
    condition     = try(var.custom_domain.base_path, null) == null || can(regex("^[A-Za-z0-9_-]+$", var.custom_domain.base_path))
    error_message = "custom_domain: base_path must be one segment without slashes, or null for none."
  }

  validation {
    condition     = var.custom_domain == null || var.endpoint.type == "REGIONAL"
    error_message = "custom_domain needs endpoint.type REGIONAL: its certificate is shown to the internet, where a PRIVATE API does not answer."
  }
}

variable "description" {
  description = "The API's purpose, in a sentence."
  type        = string
  nullable    = false
}

variable "endpoint" {
  description = "Where callers reach the API: REGIONAL (from the internet) or PRIVATE (through the execute-api VPC endpoints of vpc_endpoint_ids only)."
  type = object({
    type             = optional(string, "REGIONAL")
    vpc_endpoint_ids = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["PRIVATE", "REGIONAL"], var.endpoint.type)
    error_message = "endpoint: type must be PRIVATE or REGIONAL."
  }

  validation {
    condition     = (var.endpoint.type == "PRIVATE") == (length(var.endpoint.vpc_endpoint_ids) > 0)
    error_message = "endpoint: vpc_endpoint_ids belongs to type PRIVATE, which needs at least one."
  }

  validation {
    condition     = alltrue([for id in var.endpoint.vpc_endpoint_ids : startswith(id, "vpce-")])
    error_message = "endpoint: vpc_endpoint_ids must be ids of VPC endpoints, which begin with vpce-."
  }
}

variable "execution_logs" {
  description = "Whether API Gateway also writes its own errors, without bodies, into its log group API-Gateway-Execution-Logs_ID/STAGE, which the module then creates. The key of logs must allow that name."
  type        = bool
  default     = false
  nullable    = false
}

variable "logs" {
  description = "The access log's retention in days, and the key that encrypts it."
  type = object({
    kms_key_arn    = string
    retention_days = number
  })
  nullable = false
}

variable "name" {
  description = "The API's name."
  type        = string
  nullable    = false
}

variable "routes" {
  description = <<-EOT
    The routes by a name of your choice. Each has a method, a path (up to four segments, parameters in braces), and the
    names of a function of this account and of its alias. Give the names themselves, not another resource's attributes:
    what a name comes from would be created before it is destroyed, as the API's deployment is. A route may have a JSON schema (draft 4) of the body, and headers and query
    parameters (true: required). An open route has no authorization by the API: the function authenticates its callers.
  EOT
  type = map(object({
    alias_name       = optional(string, "live")
    function_name    = string
    headers          = optional(map(bool), {})
    method           = string
    open             = optional(bool, false)
    path             = string
    query_parameters = optional(map(bool), {})
    request_schema   = optional(string)
  }))
  nullable = false

  validation {
    condition     = alltrue([for route in values(var.routes) : contains(["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"], route.method)])
    error_message = "routes: method must be DELETE, GET, HEAD, PATCH, POST or PUT."
  }

  validation {
    condition     = alltrue([for route in values(var.routes) : can(regex("^(/([a-z0-9_-]+|\\{[a-z0-9_]+\\})){1,4}$", route.path))])
    error_message = "routes: path must be one to four segments of lower-case letters, digits, - and _, or parameters in braces, such as /payments/{transaction_id}."
  }

  validation {
    condition     = length(distinct([for route in values(var.routes) : "${route.method} ${route.path}"])) == length(var.routes)
    error_message = "routes: two routes have the same method and path."
  }

  validation {
    condition     = alltrue([for route in values(var.routes) : can(jsondecode(coalesce(route.request_schema, "{}")))])
    error_message = "routes: request_schema must be JSON."
  }
}

variable "stage_name" {
  description = "The stage's name, the first part of every path."
  type        = string
  default     = "prod"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.stage_name))
    error_message = "stage_name must be 1 to 128 letters, digits, hyphens and underscores."
  }
}

variable "throttle" {
  description = "The steady rate of requests a second and the burst for every method, and for single routes, by their names."
  type = object({
    burst_limit = optional(number, 200)
    rate_limit  = optional(number, 100)
    routes = optional(map(object({
      burst_limit = number
      rate_limit  = number
    })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limits in concat([var.throttle], values(var.throttle.routes)) : limits.rate_limit > 0 && limits.burst_limit >= 1])
    error_message = "throttle: rate_limit must be above 0 and burst_limit at least 1."
  }

  validation {
    condition     = length(setsubtract(keys(var.throttle.routes), keys(var.routes))) == 0
    error_message = "throttle: routes has a name that is not one of the API's routes."
  }
}

variable "usage_plan" {
  description = "The usage plan's quota: how many requests in a DAY, WEEK or MONTH; null for no plan."
  type = object({
    quota_limit  = number
    quota_period = optional(string, "MONTH")
  })
  default = null

  validation {
    condition     = var.usage_plan == null || contains(["DAY", "WEEK", "MONTH"], try(var.usage_plan.quota_period, ""))
    error_message = "usage_plan: quota_period must be DAY, WEEK or MONTH."
  }
}

variable "waf" {
  description = "A web ACL; null for none. It has a limit of requests from one address in five minutes, AWS's managed rule groups in their order, and the groups that only count requests instead of refusing them."
  type = object({
    counted_rule_groups  = optional(set(string), [])
    managed_rule_groups  = optional(list(string), ["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet"])
    requests_per_address = optional(number, 2000)
  })
  default = null

  validation {
    condition     = try(var.waf.requests_per_address >= 10 && var.waf.requests_per_address <= 2000000000, true)
    error_message = "waf: requests_per_address must be from 10 to 2000000000."
  }

  validation {
    condition     = alltrue([for group in try(var.waf.managed_rule_groups, []) : startswith(group, "AWSManagedRules")])
    error_message = "waf: managed_rule_groups must be AWS's own, whose names begin with AWSManagedRules."
  }

  validation {
    condition     = length(setsubtract(try(var.waf.counted_rule_groups, []), try(var.waf.managed_rule_groups, []))) == 0
    error_message = "waf: counted_rule_groups must be among managed_rule_groups."
  }
}
