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

variable "availability_zone_ids" {
  description = "The availability zones by id (apse1-az1), to pin them; empty takes the region's first ones in the order of their ids."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.availability_zone_ids) == 0 || length(distinct(var.availability_zone_ids)) == var.az_count
    error_message = "availability_zone_ids must be empty, or name az_count different zones."
  }
}

variable "az_count" {
  description = "The number of availability zones with subnets. A region with fewer gets a warning, and subnets in those that it has."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.az_count >= 1 && var.az_count <= 6
    error_message = "az_count must be from 1 to 6."
  }
}

variable "cidr_block" {
  description = "The VPC's IPv4 block. Each subnet is a sixteenth of it."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr_block, 0)) && can(regex("/(1[6-9]|2[0-4])$", var.cidr_block))
    error_message = "cidr_block must be an IPv4 block from /16 to /24, such as 10.0.0.0/16."
  }
}

variable "exclude_zone_ids" {
  description = "Availability zones in which no subnet is created, by id. By default the one that Lambda does not serve. Pinned zones are not affected."
  type        = set(string)
  default     = ["use1-az3"]
  nullable    = false

  validation {
    condition     = alltrue([for zone in var.exclude_zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", zone))])
    error_message = "exclude_zone_ids must be ids of availability zones, such as use1-az3."
  }
}

variable "flow_logs" {
  description = "The flow log's retention in days, and the key that encrypts it."
  type = object({
    kms_key_arn    = string
    retention_days = number
  })
  nullable = false
}

variable "functions" {
  description = "What each function in the private subnets calls, under a name of your choice: AWS services by their endpoints' short names (dynamodb, sqs), and internet. If all services of a function have an endpoint here, it reaches only the endpoints."
  type        = map(set(string))
  default     = {}
  nullable    = false

  validation {
    # Not local.internet_functions: it depends on this variable, which would be a cycle.
    condition     = var.nat.mode != "none" || alltrue([for calls in values(var.functions) : length(setsubtract(calls, local.endpoints)) == 0])
    error_message = "nat.mode is none, and some functions call what has no endpoint here: ${join(", ", flatten([for function, calls in var.functions : [for call in setsubtract(calls, local.endpoints) : "${function} calls ${call}"]]))}. Add the services to gateway_endpoints or interface_endpoints, or choose another nat.mode."
  }
}

variable "gateway_endpoints" {
  description = "AWS services reached through a gateway endpoint, which is free: dynamodb, s3."
  type        = set(string)
  default     = ["dynamodb"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.gateway_endpoints, ["dynamodb", "s3"])) == 0
    error_message = "gateway_endpoints may hold dynamodb and s3; AWS offers no other."
  }
}

variable "interface_endpoints" {
  description = "AWS services reached through an interface endpoint, at a price for each hour and zone: sqs, sns, kms, secretsmanager, ..."
  type        = set(string)
  default     = ["sns", "sqs"]
  nullable    = false

  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z0-9.-]+$", service))])
    error_message = "interface_endpoints must be the short names of AWS services, such as sqs."
  }
}

variable "name" {
  description = "The prefix of all names."
  type        = string
  nullable    = false
}

variable "nat" {
  description = "The internet access: none; instance, one small instance that is replaced when it dies; gateway, one for all zones; gateway_per_az."
  type = object({
    instance_type = optional(string, "t4g.nano")
    mode          = optional(string, "none")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["none", "instance", "gateway", "gateway_per_az"], var.nat.mode)
    error_message = "nat.mode must be none, instance, gateway or gateway_per_az."
  }

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.nat.instance_type))
    error_message = "nat.instance_type must be a Graviton type (its family has a g after the number), such as t4g.nano: the image is built for arm64."
  }
}
