variable "keys" {
  description = "Your KMS keys: one for the data (table, queue, environment) and one for the logs, each with its ARN and its alias (without alias/). The logs' key must allow CloudWatch Logs."
  type = object({
    data = object({ alias = string, arn = string })
    logs = object({ alias = string, arn = string })
  })
  nullable = false

  validation {
    condition     = alltrue([for key in values(var.keys) : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", key.arn)) && !startswith(key.alias, "alias/")])
    error_message = "keys: give each key's ARN, and its alias without the leading alias/."
  }
}

variable "network" {
  description = "Your VPC: the private subnets and the security groups of the functions. They must reach DynamoDB and SQS."
  type = object({
    security_group_ids = list(string)
    subnet_ids         = list(string)
  })
  nullable = false

  validation {
    condition     = length(var.network.subnet_ids) >= 2 && length(var.network.security_group_ids) >= 1
    error_message = "network needs at least two subnets, in different zones, and one security group."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "ap-southeast-1"
  nullable    = false
}
