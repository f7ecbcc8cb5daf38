resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route" "nat_gateway" {
  for_each = length(local.nat_zones) > 0 ? local.zone_numbers : {}

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = try(aws_nat_gateway.this[each.key].id, aws_nat_gateway.this[local.nat_zones[0]].id)
}

# The instance: one network interface with a fixed address that outlives the instances, and an auto-scaling group of one
# that attaches a new instance to it when the old one dies. The routes never change.
locals {
  nat_instance = var.nat.mode == "instance" ? { only = local.first_zone } : {}
}

resource "aws_security_group" "nat" {
  for_each = local.nat_instance

  name        = "${var.name}-nat"
  description = "The NAT instance: HTTPS from the VPC, HTTPS to the internet"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-nat" }
}

resource "aws_vpc_security_group_ingress_rule" "nat" {
  for_each = local.nat_instance

  security_group_id = aws_security_group.nat[each.key].id
  description       = "HTTPS from the VPC, to be passed on"
  cidr_ipv4         = var.cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "nat" {
  for_each = local.nat_instance

  security_group_id = aws_security_group.nat[each.key].id
  description       = "HTTPS to the internet"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_network_interface" "nat" {
  for_each = local.nat_instance

  description       = "NAT of ${var.name}"
  security_groups   = [aws_security_group.nat[each.key].id]
  source_dest_check = false
  subnet_id         = aws_subnet.public[each.value].id

  tags = { Name = "${var.name}-nat" }
}

resource "aws_eip" "nat_instance" {
  #checkov:skip=CKV2_AWS_19:it belongs to the network interface, which outlives the instances behind it
  for_each = local.nat_instance

  domain            = "vpc"
  network_interface = aws_network_interface.nat[each.key].id

  tags = { Name = "${var.name}-nat" }

  depends_on = [aws_internet_gateway.this]
}

# The provider's default tags stop at the template and the group: what they launch has only the tags that they name.
data "aws_default_tags" "launched" {
  for_each = local.nat_instance
}

resource "aws_launch_template" "nat" {
  for_each = local.nat_instance

  name                   = "${var.name}-nat"
  image_id               = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
  instance_type          = var.nat.instance_type
  update_default_version = true
  user_data              = filebase64("${path.module}/nat.sh")

  # The script switches off an instance that cannot forward. The group then launches another one, and this one is gone.
  instance_initiated_shutdown_behavior = "terminate"

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      delete_on_termination = true
      encrypted             = true
      volume_size           = 8
      volume_type           = "gp3"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_put_response_hop_limit = 1
    http_tokens                 = "required"
  }

  network_interfaces {
    delete_on_termination = false
    device_index          = 0
    network_interface_id  = aws_network_interface.nat[each.key].id
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(data.aws_default_tags.launched[each.key].tags, { Name = "${var.name}-nat" })
    }
  }
}

resource "aws_autoscaling_group" "nat" {
  for_each = local.nat_instance

  name                      = "${var.name}-nat"
  availability_zones        = [aws_subnet.public[each.value].availability_zone]
  desired_capacity          = 1
  health_check_grace_period = 60
  health_check_type         = "EC2"
  max_size                  = 1
  min_size                  = 1

  launch_template {
    id      = aws_launch_template.nat[each.key].id
    version = aws_launch_template.nat[each.key].latest_version
  }

  # The interface can be attached to one instance only: the old one goes before the new one comes.
  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  # A change of the template, such as another instance_type, replaces the running instance.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 0
    }
  }

  dynamic "tag" {
    for_each = merge(data.aws_default_tags.launched[each.key].tags, { Name = "${var.name}-nat" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # The instance installs a package when it starts, so its way to the internet must be complete.
  depends_on = [
    aws_eip.nat_instance,
    aws_route.internet,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.nat,
  ]
}

resource "aws_route" "nat_instance" {
  for_each = var.nat.mode == "instance" ? local.zone_numbers : {}

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  network_interface_id   = aws_network_interface.nat["only"].id
}
