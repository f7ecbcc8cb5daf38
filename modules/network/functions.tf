# The functions' reach: only the endpoints, or also the internet.

locals {
  endpoints          = setunion(var.gateway_endpoints, var.interface_endpoints)
  internet_functions = [for function, calls in var.functions : function if length(setsubtract(calls, local.endpoints)) > 0]
}

# For functions whose services all have an endpoint.
resource "aws_security_group" "endpoints_only" {
  #checkov:skip=CKV2_AWS_5:the functions attach it; they are another module's
  name        = "${var.name}-endpoints-only"
  description = "The functions that call AWS alone: HTTPS to the endpoints, nothing in"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-endpoints-only" }
}

resource "aws_vpc_security_group_egress_rule" "endpoints_only" {
  for_each = merge({ interface_endpoints = null }, { for service, endpoint in aws_vpc_endpoint.gateway : service => endpoint.prefix_list_id })

  security_group_id            = aws_security_group.endpoints_only.id
  description                  = "HTTPS to ${replace(each.key, "_", " ")}"
  prefix_list_id               = each.value
  referenced_security_group_id = each.key == "interface_endpoints" ? aws_security_group.endpoints.id : null
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_only" {
  security_group_id            = aws_security_group.endpoints.id
  description                  = "HTTPS from the functions that call AWS alone"
  referenced_security_group_id = aws_security_group.endpoints_only.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# For the other functions. Every stack has it, with its rules for the endpoints. Older versions of all functions use it,
# and Lambda does not release a group while a version uses it (docs/decisions/0037).
resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5:the functions attach it; they are another module's
  name        = "${var.name}-functions"
  description = "The functions: HTTPS to what they call, nothing in"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-functions" }
}

resource "aws_vpc_security_group_egress_rule" "gateway_endpoints" {
  for_each = aws_vpc_endpoint.gateway

  security_group_id = aws_security_group.functions.id
  description       = "HTTPS to ${each.key}"
  prefix_list_id    = each.value.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "interface_endpoints" {
  security_group_id            = aws_security_group.functions.id
  description                  = "HTTPS to the interface endpoints"
  referenced_security_group_id = aws_security_group.endpoints.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = toset(length(local.internet_functions) > 0 ? ["0.0.0.0/0"] : [])

  security_group_id = aws_security_group.functions.id
  description       = "HTTPS to the internet, through NAT"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
