# Where the API answers: at the region's own address, at your own domain, or through VPC endpoints only.
locals {
  # API Gateway checks client certificates at the domain only, and WAF rules may rely on its name. So the other address
  # is closed.
  custom_domain_only = var.custom_domain != null

  # The policy belongs to one API, so the star in place of the API's id means that one. The id is known only after the
  # first apply.
  execution_arns = "arn:${var.context.partition}:execute-api:${var.context.region}:${var.context.account_id}:*/*"
  private_policy = var.endpoint.type != "PRIVATE" ? null : jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "OnlyThroughTheseEndpoints"
        Effect    = "Deny"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = local.execution_arns
        Condition = { StringNotEquals = { "aws:SourceVpce" = sort(var.endpoint.vpc_endpoint_ids) } }
      }],
      # With AWS_IAM the callers' own policies decide. An Allow here would admit every role of the account.
      var.authorization == "AWS_IAM" ? [] : [{
        Sid       = "WhoeverIsAuthorised"
        Effect    = "Allow"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = local.execution_arns
        Condition = { StringEquals = { "aws:SourceVpce" = sort(var.endpoint.vpc_endpoint_ids) } }
      }],
    )
  })
}

resource "aws_api_gateway_rest_api_policy" "private" {
  count = var.endpoint.type == "PRIVATE" ? 1 : 0

  rest_api_id = aws_api_gateway_rest_api.this.id
  policy      = local.private_policy
}

resource "aws_api_gateway_domain_name" "this" {
  count = var.custom_domain == null ? 0 : 1

  domain_name                            = var.custom_domain.name
  regional_certificate_arn               = var.custom_domain.certificate_arn
  ownership_verification_certificate_arn = var.custom_domain.ownership_certificate_arn
  security_policy                        = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  dynamic "mutual_tls_authentication" {
    for_each = var.custom_domain.truststore[*]

    content {
      truststore_uri     = mutual_tls_authentication.value.uri
      truststore_version = mutual_tls_authentication.value.version
    }
  }
}

resource "aws_api_gateway_base_path_mapping" "this" {
  count = var.custom_domain == null ? 0 : 1

  api_id      = aws_api_gateway_rest_api.this.id
  base_path   = var.custom_domain.base_path
  domain_name = aws_api_gateway_domain_name.this[0].domain_name
  stage_name  = aws_api_gateway_stage.this.stage_name
}

resource "aws_route53_record" "this" {
  count = try(var.custom_domain.hosted_zone_id, null) == null ? 0 : 1

  name    = var.custom_domain.name
  type    = "A"
  zone_id = var.custom_domain.hosted_zone_id

  alias {
    evaluate_target_health = false
    name                   = aws_api_gateway_domain_name.this[0].regional_domain_name
    zone_id                = aws_api_gateway_domain_name.this[0].regional_zone_id
  }
}
