variable "context" {
  description = "Where the stack is: the partition (aws), the region and the account id. The module builds ARNs from them."
  type = object({
    account_id = string
    partition  = string
    region     = string
  })
  nullable = false
}

variable "keys" {
  description = "The keys by their use: the alias (without alias/), a description, for how many days a deletion can be cancelled, and grants to AWS services with their conditions. Roles get access by their own policies."
  type = map(object({
    alias                = string
    deletion_window_days = optional(number, 30)
    description          = string
    grants = optional(list(object({
      actions = list(string)
      conditions = optional(list(object({
        test     = string
        values   = list(string)
        variable = string
      })), [])
      services = list(string)
      sid      = string
    })), [])
  }))
  nullable = false

  validation {
    condition     = alltrue([for key in values(var.keys) : can(regex("^[A-Za-z0-9/_-]+$", key.alias)) && !startswith(key.alias, "alias/") && !startswith(key.alias, "aws/")])
    error_message = "keys: an alias has only letters, digits, /, _ and -, is written without the leading alias/, and does not begin with aws/, which is AWS's own."
  }

  validation {
    condition     = alltrue([for key in values(var.keys) : key.deletion_window_days >= 7 && key.deletion_window_days <= 30])
    error_message = "keys: deletion_window_days must be from 7 to 30."
  }

  validation {
    condition     = alltrue(flatten([for key in values(var.keys) : [for grant in key.grants : length(grant.conditions) > 0]]))
    error_message = "keys: a grant to a service needs at least one condition, or any account's use of that service could reach the key."
  }
}
