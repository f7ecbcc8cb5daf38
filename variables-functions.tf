# How the functions run.

variable "account_concurrency" {
  description = <<-EOT
    How many calls Lambda runs at once for the whole account, in the stack's region: `aws lambda get-account-settings
    --query AccountLimit.ConcurrentExecutions`. A new account has as few as 10. Null if you have not looked. Then
    reserved_concurrency has no effect, except 0, which closes a function.
  EOT
  type        = number
  default     = null

  validation {
    condition = (
      var.account_concurrency == null || local.reserved_in_all == 0 ||
      try(local.reserved_in_all + 100 <= var.account_concurrency, false)
    )
    error_message = <<-EOT
      account_concurrency is ${coalesce(var.account_concurrency, 0)}. The functions reserve ${local.reserved_in_all}, and
      Lambda keeps 100 for functions without a reserve. Reserve less, or ask AWS for a higher quota (Service Quotas,
      Lambda, Concurrent executions).
    EOT
  }
}

variable "function_defaults" {
  description = <<-EOT
    The defaults of each function: memory in MB, time-out in seconds, and reserved concurrency (-1 reserves none; more
    than 0 needs account_concurrency).
  EOT
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
    error_message = <<-EOT
      function_defaults.timeout_seconds must be from 3 to 120: the queues hide a message for six times as long.
    EOT
  }
}

variable "function_starts" {
  description = <<-EOT
    Ways to make a first call fast, by the function's name: provisioned_concurrency keeps instances ready, at a price for
    every hour; snap_start starts a version from a snapshot of its memory. One or the other. See modules/lambda.
  EOT
  type = map(object({
    provisioned_concurrency = optional(number, 0)
    snap_start              = optional(bool, false)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(setsubtract(keys(var.function_starts), local.known_functions)) == 0
    error_message = "function_starts has a name that is not one of ${join(", ", local.known_functions)}."
  }

  validation {
    condition = alltrue([
      for start in values(var.function_starts) : !(start.snap_start && start.provisioned_concurrency > 0)
    ])
    error_message = <<-EOT
      function_starts: choose provisioned_concurrency or snap_start for a function; Lambda refuses both together.
    EOT
  }
}

variable "functions" {
  description = <<-EOT
    Settings of functions that differ from function_defaults, by name: that of the module in src/payments/handlers.
    maximum_concurrency limits how many batches of its queue are processed at once (processor and notifier).
  EOT
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
    error_message = "functions has a name that is not one of ${join(", ", local.known_functions)}."
  }

  validation {
    condition = alltrue([
      for seconds in values(var.functions)[*].timeout_seconds :
      coalesce(seconds, 30) >= 3 && coalesce(seconds, 30) <= 120
    ])
    error_message = "functions: timeout_seconds must be from 3 to 120: the queues hide a message for six times as long."
  }

  validation {
    condition = alltrue([
      for most in values(var.functions)[*].maximum_concurrency : coalesce(most, 2) >= 2 && coalesce(most, 2) <= 1000
    ])
    error_message = "functions: maximum_concurrency must be from 2 to 1000, as Lambda demands of a queue's mapping."
  }

  validation {
    condition = alltrue([
      for function in values(local.queue_consumers) : (
        try(var.functions[function].reserved_concurrency, null) == null ||
        try(var.functions[function].maximum_concurrency <= var.functions[function].reserved_concurrency, false)
      )
    ])
    error_message = <<-EOT
      functions: with reserved_concurrency, ${join(" and ", sort(values(local.queue_consumers)))} need a
      maximum_concurrency that is not above it. A batch beyond the reserve is throttled, but counts as a delivery, so
      payments would end in the dead-letter queue untried.
    EOT
  }
}

variable "gradual_deployment" {
  description = <<-EOT
    The functions whose calls CodeDeploy shifts to a new version gradually, and its deployment configuration. The calls
    are shifted back if the function's alarm on errors or throttles is raised. Null moves every alias at once. Read
    Gradual deployment in modules/lambda before you switch it on.
  EOT
  type = object({
    functions     = optional(set(string), ["validator", "refunder", "relay", "processor", "notifier", "reader"])
    traffic_shift = optional(string, "CodeDeployDefault.LambdaCanary10Percent5Minutes")
  })
  default = null

  validation {
    condition     = length(setsubtract(try(var.gradual_deployment.functions, []), local.known_functions)) == 0
    error_message = "gradual_deployment.functions has a name that is not one of ${join(", ", local.known_functions)}."
  }
}

variable "layer_dir" {
  description = <<-EOT
    The folder of the functions' layer as built: `make layer` builds build/layer for Lambda, and build/layer-local for
    the Python of this machine.
  EOT
  type        = string
  default     = "build/layer"
  nullable    = false
}

variable "log_level" {
  description = "The lowest level that the functions log: DEBUG, INFO, WARN or ERROR. Metrics are written at every level."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARN", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARN or ERROR."
  }
}

variable "runtime" {
  description = <<-EOT
    The functions' runtime and processor architecture. `make layer ENV=prod` builds the layer for those of
    env/prod.tfvars.
  EOT
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
