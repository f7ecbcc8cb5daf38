data "aws_availability_zones" "region" {
  #checkov:skip=CKV_AWS_394:only the first az_count zones by id are used, and availability_zone_ids pins them for good
  # Without local zones, where no Lambda function can run.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  usable_zones = sort(setsubtract(data.aws_availability_zones.region.zone_ids, var.exclude_zone_ids))
  zones        = length(var.availability_zone_ids) > 0 ? var.availability_zone_ids : slice(local.usable_zones, 0, min(var.az_count, length(local.usable_zones)))

  # A zone's place in the list determines its subnets' blocks: a zone that is added at the end changes no other subnet.
  zone_numbers = { for number, zone in local.zones : zone => number }

  # The name of each zone in this account, such as ap-southeast-1a. Accounts have different names for the same zone.
  zone_names = zipmap(data.aws_availability_zones.region.zone_ids, data.aws_availability_zones.region.names)

  # AWS has no NAT gateways in apne1-az3 (aws/aws-cdk#5847). That zone uses another zone's.
  nat_gateway_zones = [for zone in local.zones : zone if zone != "apne1-az3"]
  first_zone        = try(local.zones[0], null)

  nat_zones = {
    none           = []
    instance       = []
    gateway        = slice(local.nat_gateway_zones, 0, min(1, length(local.nat_gateway_zones)))
    gateway_per_az = local.nat_gateway_zones
  }[var.nat.mode]
}

check "availability_zones" {
  assert {
    condition     = length(local.zones) >= var.az_count
    error_message = "az_count is ${var.az_count}, and ${var.context.region} has ${length(local.zones)} availability zones for the stack: ${join(", ", local.zones)}. It is created in these. Set az_count to ${length(local.zones)} if that is enough."
  }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr_block
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }

  lifecycle {
    precondition {
      condition     = length(local.zones) > 0
      error_message = "exclude_zone_ids leaves no availability zone of ${var.context.region}."
    }
  }
}

# Without rules: something that names no security group reaches nothing.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-default-closed" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_subnet" "private" {
  for_each = local.zone_numbers

  vpc_id               = aws_vpc.this.id
  availability_zone_id = each.key
  cidr_block           = cidrsubnet(var.cidr_block, 4, each.value)

  tags = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_subnet" "public" {
  for_each = local.zone_numbers

  vpc_id               = aws_vpc.this.id
  availability_zone_id = each.key
  cidr_block           = cidrsubnet(var.cidr_block, 4, each.value + 8)

  tags = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  route_table_id = aws_route_table.public.id
  subnet_id      = each.value.id
}

resource "aws_route_table" "private" {
  for_each = local.zone_numbers

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private[each.key].id
  subnet_id      = each.value.id
}
