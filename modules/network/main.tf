data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:only the first az_count zones by id are used, and availability_zone_ids pins them for good
  state = "available"

  # Lambda functions cannot run in a local zone.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  available_zones = sort(data.aws_availability_zones.available.zone_ids)
  zones           = length(var.availability_zone_ids) > 0 ? var.availability_zone_ids : slice(local.available_zones, 0, min(var.az_count, length(local.available_zones)))

  # A zone's position determines its subnets' blocks: adding a zone at the end leaves the others unchanged.
  zone_numbers = { for number, zone in local.zones : zone => number }
  first_zone   = local.zones[0]

  nat_zones = { none = [], instance = [], gateway = [local.first_zone], gateway_per_az = local.zones }[var.nat.mode]
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr_block
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }

  lifecycle {
    precondition {
      condition     = length(local.zones) == var.az_count
      error_message = "az_count asks for ${var.az_count} availability zones, and the region has ${length(local.zones)}."
    }
  }
}

# Closed: a resource that names no security group reaches nothing.
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
