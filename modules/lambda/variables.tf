variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them. role_suffix ends the names of the roles, which an account has once for all regions."
  type = object({
    account_id  = string
    partition   = string
    region      = string
    role_suffix = optional(string, "")
  })
  nullable = false
}

variable "architecture" {
  description = "The processor architecture: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "code_signing_config_arn" {
  description = "The code signing configuration that the package must satisfy; null for none. The package is then a zip that AWS Signer has signed."
  type        = string
  default     = null

  validation {
    condition     = var.code_signing_config_arn == null || can(regex("^arn:[^:]+:lambda:[^:]+:[0-9]{12}:code-signing-config:csc-[a-z0-9]{17}$", var.code_signing_config_arn))
    error_message = "code_signing_config_arn must be the ARN of a code signing configuration, arn:aws:lambda:REGION:ACCOUNT:code-signing-config:csc-…, or null."
  }
}

variable "description" {
  description = "The function's purpose, in a sentence."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The function's environment variables. No secrets: whoever may read the function's configuration can read them."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ephemeral_storage_mb" {
  description = "The size of /tmp in MB."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.ephemeral_storage_mb >= 512 && var.ephemeral_storage_mb <= 10240
    error_message = "ephemeral_storage_mb must be from 512 to 10240."
  }
}

variable "gradual_deployment" {
  description = "How CodeDeploy shifts the calls to a new version (a deployment configuration's name), and the alarms that shift them back; null moves the alias at once. See Gradual deployment above."
  type = object({
    alarm_names   = set(string)
    traffic_shift = optional(string, "CodeDeployDefault.LambdaCanary10Percent5Minutes")
  })
  default = null

  validation {
    condition     = try(length(var.gradual_deployment.alarm_names) >= 1 && length(var.gradual_deployment.alarm_names) <= 10, true)
    error_message = "gradual_deployment: alarm_names must name 1 to 10 alarms, or nothing would ever shift the calls back."
  }

  validation {
    condition     = !startswith(try(var.gradual_deployment.traffic_shift, ""), "CodeDeployDefault.") || can(regex("^CodeDeployDefault\\.Lambda(AllAtOnce|Canary10Percent(5|10|15|30)Minutes|Linear10PercentEvery(1|2|3|10)Minutes?)$", var.gradual_deployment.traffic_shift))
    error_message = "gradual_deployment: traffic_shift must be one of CodeDeploy's own for Lambda, such as CodeDeployDefault.LambdaCanary10Percent5Minutes, or a deployment configuration of yours."
  }
}

variable "handler" {
  description = "The function to call, as package.module.function."
  type        = string
  nullable    = false
}

variable "key_uses" {
  description = "The KMS keys that the function may use, by a name of your choice: the key's alias (without alias/), the actions, and the one service that uses the key (dynamodb, secretsmanager, sns or sqs)."
  type = map(object({
    actions = list(string)
    alias   = string
    service = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue(flatten([for use in values(var.key_uses) : [for action in use.actions : can(regex("^kms:[A-Za-z]+$", action))]]))
    error_message = "key_uses: name each action of KMS in full, such as kms:Decrypt; a star is refused."
  }

  validation {
    condition     = length(setintersection(keys(var.key_uses), keys(var.statements))) == 0
    error_message = "key_uses and statements must not share a name: only one of the two rights would be given."
  }
}

variable "kms_alias" {
  description = "The alias (without alias/) of the key that encrypts the environment."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the environment."
  type        = string
  nullable    = false
}

variable "layer_arns" {
  description = "The ARNs of the layer versions that the function uses."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "logs" {
  description = "The log's retention in days, the key that encrypts it, and the lowest level that the function logs. Lambda's own filter never rises above INFO, because metrics are lines without a level."
  type = object({
    kms_key_arn    = string
    level          = optional(string, "INFO")
    retention_days = number
  })
  nullable = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.logs.level)
    error_message = "logs.level must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }
}

variable "memory_mb" {
  description = "The function's memory in MB; its share of a processor grows with it."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must be from 128 to 10240."
  }
}

variable "name" {
  description = "The function's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores."
  }
}

variable "network" {
  description = "The subnets and the security groups that the function runs in, and the account that owns them if another account shares them (owner_account_id); null for none."
  type = object({
    owner_account_id   = optional(string)
    security_group_ids = list(string)
    subnet_ids         = list(string)
  })
  default = null
}

variable "package" {
  description = "The zip of the function's code: its path, or its location in S3 (for a signed package), and its SHA-256 in base64."
  type = object({
    path = optional(string)
    s3 = optional(object({
      bucket  = string
      key     = string
      version = string
    }))
    sha256_base64 = string
  })
  nullable = false

  validation {
    condition     = (var.package.path == null) != (var.package.s3 == null)
    error_message = "package must have a path or an s3, and not both."
  }
}

variable "provisioned_concurrency" {
  description = "How many instances are kept ready behind the alias, at a price for every hour; 0 for none."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.provisioned_concurrency >= 0 && floor(var.provisioned_concurrency) == var.provisioned_concurrency
    error_message = "provisioned_concurrency must be 0 (none) or a whole number above it."
  }

  validation {
    condition     = var.reserved_concurrency == -1 || var.provisioned_concurrency <= var.reserved_concurrency
    error_message = "provisioned_concurrency must not be above reserved_concurrency, since it is a part of it."
  }
}

variable "queue_sources" {
  description = "The queues that feed the function, by a name of your choice: the queue's ARN, its key's alias, the batch size, the batching window, and how many batches run at once."
  type = map(object({
    batch_size              = optional(number, 10)
    batching_window_seconds = optional(number, 0)
    kms_alias               = string
    maximum_concurrency     = optional(number)
    queue_arn               = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for source in values(var.queue_sources) : coalesce(source.maximum_concurrency, 2) >= 2 && coalesce(source.maximum_concurrency, 2) <= 1000])
    error_message = "queue_sources: maximum_concurrency must be from 2 to 1000."
  }

  validation {
    condition     = alltrue([for source in values(var.queue_sources) : source.batch_size >= 1 && source.batch_size <= (source.batching_window_seconds > 0 ? 10000 : 10)])
    error_message = "queue_sources: batch_size must be from 1 to 10, or to 10000 with a batching window."
  }
}

variable "reserved_concurrency" {
  description = "How many instances are reserved for this function, which is also its limit; -1 for no reserve and no limit."
  type        = number
  default     = -1
  nullable    = false

  validation {
    condition     = var.reserved_concurrency >= -1
    error_message = "reserved_concurrency must be -1 (none) or more."
  }
}

variable "runtime" {
  description = "The Python runtime."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    condition     = can(regex("^python3\\.[0-9]+$", var.runtime))
    error_message = "runtime must be a Python runtime, such as python3.13."
  }
}

variable "schedule" {
  description = "The function's schedule, in EventBridge's syntax: rate(5 minutes) or cron(0 4 * * ? *); null for none."
  type        = string
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(rate|cron)\\([^()]+\\)$", var.schedule))
    error_message = "schedule must be rate(…) or cron(…), such as rate(5 minutes)."
  }
}

variable "snap_start" {
  description = "Whether a published version starts from a snapshot of its initialised memory. It needs Python 3.12 or newer, and excludes provisioned concurrency and a larger /tmp."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.snap_start || (var.provisioned_concurrency == 0 && var.ephemeral_storage_mb == 512)
    error_message = "snap_start cannot be combined with provisioned_concurrency, nor with ephemeral_storage_mb above 512: Lambda refuses both."
  }

  validation {
    condition     = !var.snap_start || try(tonumber(split(".", var.runtime)[1]) >= 12, false)
    error_message = "snap_start needs runtime python3.12 or newer."
  }
}

variable "statements" {
  description = "What the function may do, by a name of your choice: actions, resources and conditions. Stars are refused."
  type = map(object({
    actions = list(string)
    conditions = optional(list(object({
      test     = string
      values   = list(string)
      variable = string
    })), [])
    resources = list(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue(flatten([for statement in values(var.statements) : [for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z0-9]+$", action))]]))
    error_message = "statements: name each action in full, such as dynamodb:PutItem; a star is refused."
  }

  validation {
    condition     = alltrue(flatten([for statement in values(var.statements) : [for resource in statement.resources : resource != "*"]]))
    error_message = "statements: name the resources by their ARNs; a bare star is refused."
  }
}

variable "stream_sources" {
  description = "The table streams that feed the function, by a name of your choice. Each has the stream's ARN and its pattern for policies, its key's alias, event filters as JSON, and batch size and window. It also has the limits of a batch's retries, and the queue for failed batches."
  type = map(object({
    batch_size                 = optional(number, 10)
    batching_window_seconds    = optional(number, 0)
    filters                    = optional(list(string), [])
    kms_alias                  = string
    maximum_record_age_seconds = optional(number, 82800)
    maximum_retry_attempts     = optional(number, 10000)
    on_failure_kms_alias       = string
    on_failure_queue_arn       = string
    parallelization_factor     = optional(number, 1)
    stream_arn                 = string
    stream_arn_pattern         = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for source in values(var.stream_sources) : source.maximum_record_age_seconds >= 60 && source.maximum_record_age_seconds <= 86400])
    error_message = "stream_sources: maximum_record_age_seconds must be from 60 to 86400: the stream itself forgets after a day, silently."
  }

  validation {
    condition     = alltrue([for source in values(var.stream_sources) : source.parallelization_factor >= 1 && source.parallelization_factor <= 10])
    error_message = "stream_sources: parallelization_factor must be from 1 to 10."
  }
}

variable "timeout_seconds" {
  description = "How long a call may take, in seconds."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be from 1 to 900."
  }
}
