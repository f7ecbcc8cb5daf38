# The network of the functions.

variable "network" {
  description = <<-EOT
    The VPC: its CIDR block, the number of availability zones, the way to the internet (nat.mode: none, instance, gateway,
    gateway_per_az), and the AWS services that get an interface endpoint. availability_zone_ids pins the zones, and
    exclude_zone_ids leaves some out.
    A function reaches the services that it calls by their endpoints. Only one that calls something without an endpoint
    reaches the internet, by NAT. DynamoDB has a gateway endpoint, which is free.
  EOT
  type = object({
    availability_zone_count = optional(number, 3)
    availability_zone_ids   = optional(list(string), [])
    cidr_block              = optional(string, "10.0.0.0/16")
    exclude_zone_ids        = optional(set(string))
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
    condition = (
      can(cidrhost(var.network.cidr_block, 0)) &&
      try(tonumber(split("/", var.network.cidr_block)[1]), 0) >= 16 &&
      try(tonumber(split("/", var.network.cidr_block)[1]), 99) <= 24
    )
    error_message = "network.cidr_block must be an IPv4 block from /16 to /24, such as 10.0.0.0/16."
  }

  validation {
    condition     = contains(["none", "instance", "gateway", "gateway_per_az"], var.network.nat.mode)
    error_message = "network.nat.mode must be none, instance, gateway or gateway_per_az."
  }
}
