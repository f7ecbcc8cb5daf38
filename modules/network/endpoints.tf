locals {
  # With it, compromised code can neither send data to another account nor use another account's credentials.
  endpoint_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ThisAccountToItsOwnResources"
      Effect    = "Allow"
      Principal = "*"
      Action    = "*"
      Resource  = "*"
      Condition = {
        StringEquals = {
          "aws:PrincipalAccount" = var.context.account_id
          "aws:ResourceAccount"  = var.context.account_id
        }
      }
    }]
  })
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = var.gateway_endpoints

  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.context.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  policy            = local.endpoint_policy
  route_table_ids   = [for table in aws_route_table.private : table.id]

  tags = { Name = "${var.name}-${each.key}" }
}

# Its zones: not every service is in every zone.
data "aws_vpc_endpoint_service" "interface" {
  for_each = var.interface_endpoints

  service_name = "com.amazonaws.${var.context.region}.${each.key}"
  service_type = "Interface"
}

locals {
  # A function in a zone without the endpoint reaches it in another zone.
  endpoint_zones = {
    for service, found in data.aws_vpc_endpoint_service.interface : service =>
    [for zone in local.zones : zone if contains(found.availability_zones, lookup(local.zone_names, zone, ""))]
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_endpoints

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.context.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  policy              = local.endpoint_policy
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints.id]
  subnet_ids          = [for zone in local.endpoint_zones[each.key] : aws_subnet.private[zone].id]

  tags = { Name = "${var.name}-${each.key}" }

  lifecycle {
    precondition {
      condition     = length(local.endpoint_zones[each.key]) > 0
      error_message = "The endpoint service ${each.key} is in none of the stack's availability zones (${join(", ", local.zones)}). Choose other zones with availability_zone_ids, or leave it out of interface_endpoints."
    }
  }
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "The interface endpoints: HTTPS from the functions"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id            = aws_security_group.endpoints.id
  description                  = "HTTPS from the functions"
  referenced_security_group_id = aws_security_group.functions.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}
