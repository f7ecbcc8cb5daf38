variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id, of which ARNs are built."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "authorization" {
  description = "Who may call: AWS_IAM (signed requests), COGNITO_USER_POOLS (a token of cognito_user_pool_arns), API_KEY (a key of the usage plan) or NONE."
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
  description = "The user pools whose tokens are taken where authorization is COGNITO_USER_POOLS."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = var.authorization != "COGNITO_USER_POOLS" || length(var.cognito_user_pool_arns) > 0
    error_message = "authorization is COGNITO_USER_POOLS, so cognito_user_pool_arns must name at least one user pool."
  }
}

variable "description" {
  description = "What the API is for, in a sentence."
  type        = string
  nullable    = false
}

variable "logs" {
  description = "How long the access log is kept, in days, and the key that encrypts it."
  type = object({
    kms_key_arn    = string
    retention_days = number
  })
  nullable = false
}

variable "manage_account_logging" {
  description = "Whether this module sets the role by which API Gateway writes logs. There is one for each account and region: leave false where something else sets it."
  type        = bool
  default     = false
  nullable    = false
}

variable "name" {
  description = "The API's name."
  type        = string
  nullable    = false
}

variable "routes" {
  description = "The routes by a name of your choice: method, path (up to four segments, parameters in braces), the function's name, alias and invoke ARN, a JSON schema (draft 4) of the body, and the headers and query parameters with whether each is required."
  type = map(object({
    alias_name       = string
    function_name    = string
    headers          = optional(map(bool), {})
    invoke_arn       = string
    method           = string
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
  description = "How many requests a second every method takes at a steady rate, and how many at once."
  type = object({
    burst_limit = optional(number, 200)
    rate_limit  = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttle.rate_limit > 0 && var.throttle.burst_limit >= 1
    error_message = "throttle: rate_limit must be above 0 and burst_limit at least 1."
  }
}

variable "usage_plan" {
  description = "The quota of the usage plan: how many requests in a DAY, WEEK or MONTH; null for no plan."
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
