output "availability_zone_ids" {
  description = "The zones in use. Copy them into availability_zone_ids to pin them."
  value       = local.zones
}

output "function_security_group_id" {
  description = "The security group for the functions: outbound HTTPS to the services that they call, nothing inbound."
  value       = aws_security_group.functions.id
}

output "private_subnet_ids" {
  description = "The private subnets, one a zone."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "public_subnet_ids" {
  description = "The public subnets, one a zone."
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
