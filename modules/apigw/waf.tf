# A web ACL: AWS's managed rules, and a limit for each address.
locals {
  waf_log_group = "aws-waf-logs-${var.name}"
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:the rules are a list; AWSManagedRulesKnownBadInputsRuleSet, which knows Log4j, is in its default
  count = var.waf == null ? 0 : 1

  name        = var.name
  description = "What ${var.name} refuses before any code runs"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "rate"
    priority = 0

    action {
      block {}
    }

    statement {
      rate_based_statement {
        aggregate_key_type    = "IP"
        evaluation_window_sec = 300
        limit                 = var.waf.requests_per_address
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate"
      sampled_requests_enabled   = false
    }
  }

  dynamic "rule" {
    for_each = var.waf.managed_rule_groups

    content {
      name     = rule.value
      priority = rule.key + 1

      override_action {
        dynamic "count" {
          for_each = contains(var.waf.counted_rule_groups, rule.value) ? [true] : []

          content {}
        }

        dynamic "none" {
          for_each = contains(var.waf.counted_rule_groups, rule.value) ? [] : [true]

          content {}
        }
      }

      statement {
        managed_rule_group_statement {
          name        = rule.value
          vendor_name = "AWS"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.value}"
        # A sample contains whole requests.
        sampled_requests_enabled = false
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.waf == null ? 0 : 1

  resource_arn = aws_api_gateway_stage.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}

resource "aws_cloudwatch_log_group" "waf" {
  count = var.waf == null ? 0 : 1

  name              = local.waf_log_group
  kms_key_id        = var.logs.kms_key_arn
  retention_in_days = var.logs.retention_days
}

resource "aws_cloudwatch_log_resource_policy" "waf" {
  count = var.waf == null ? 0 : 1

  policy_name = local.waf_log_group
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "WafWritesItsLog"
      Effect    = "Allow"
      Principal = { Service = "delivery.logs.amazonaws.com" }
      Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource  = "arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:log-group:${local.waf_log_group}:*"
      Condition = {
        ArnLike      = { "aws:SourceArn" = "arn:${var.context.partition}:logs:${var.context.region}:${var.context.account_id}:*" }
        StringEquals = { "aws:SourceAccount" = var.context.account_id }
      }
    }]
  })
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count = var.waf == null ? 0 : 1

  log_destination_configs = [aws_cloudwatch_log_group.waf[0].arn]
  resource_arn            = aws_wafv2_web_acl.this[0].arn

  # The path, the query and the idempotency key identify payments and customers.
  redacted_fields {
    uri_path {}
  }

  redacted_fields {
    query_string {}
  }

  dynamic "redacted_fields" {
    for_each = ["authorization", "idempotency-key", "x-amz-security-token", "x-api-key"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }

  # Log only requests that a rule refused or counted. The access log has the others.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      dynamic "condition" {
        for_each = ["BLOCK", "COUNT", "EXCLUDED_AS_COUNT"]

        content {
          action_condition {
            action = condition.value
          }
        }
      }
    }
  }

  depends_on = [aws_cloudwatch_log_resource_policy.waf]
}
