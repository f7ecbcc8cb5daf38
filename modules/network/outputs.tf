output "availability_zone_ids" {
  description = "The zones in use. Copy them into availability_zone_ids to pin them."
  value       = local.zones
}

output "function_security_group_ids" {
  description = "The security group of each function in functions: outbound HTTPS to the services that it calls, nothing inbound."
  value = {
    for function in keys(var.functions) : function =>
    contains(local.internet_functions, function) ? aws_security_group.functions.id : aws_security_group.endpoints_only.id
  }

  # A function that moves to another group can call from there at once.
  depends_on = [
    aws_vpc_security_group_egress_rule.endpoints_only,
    aws_vpc_security_group_egress_rule.gateway_endpoints,
    aws_vpc_security_group_egress_rule.interface_endpoints,
    aws_vpc_security_group_egress_rule.internet,
    aws_vpc_security_group_ingress_rule.endpoints,
    aws_vpc_security_group_ingress_rule.endpoints_only,
  ]
}

output "internet_functions" {
  description = "The functions that reach the internet."
  value       = local.internet_functions
}

output "private_subnet_ids" {
  description = "The private subnets, one for each zone."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "public_subnet_ids" {
  description = "The public subnets, one for each zone."
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
