locals {
  # The resources of all paths, one map for each level. A resource needs its parent's id, and a resource block cannot refer
  # to itself.
  segments = { for name, route in var.routes : name => split("/", trimprefix(route.path, "/")) }
  levels = [
    for depth in range(1, 5) : toset([
      for segments in values(local.segments) : join("/", slice(segments, 0, depth)) if length(segments) >= depth
    ])
  ]
  resource_ids = {
    for path, resource in merge(
      aws_api_gateway_resource.level_1, aws_api_gateway_resource.level_2,
      aws_api_gateway_resource.level_3, aws_api_gateway_resource.level_4,
    ) : path => resource.id
  }

  request_parameters = {
    for name, route in var.routes : name => merge(
      { for segment in local.segments[name] : "method.request.path.${trim(segment, "{}")}" => true if startswith(segment, "{") },
      { for header, required in route.headers : "method.request.header.${header}" => required },
      { for parameter, required in route.query_parameters : "method.request.querystring.${parameter}" => required },
    )
  }
  request_schemas = { for name, route in var.routes : name => route.request_schema if route.request_schema != null }

  lambda_arn = "arn:${var.context.partition}:lambda:${var.context.region}:${var.context.account_id}:function"
  invoke_arns = {
    for name, route in var.routes : name =>
    "arn:${var.context.partition}:apigateway:${var.context.region}:lambda:path/2015-03-31/functions/${local.lambda_arn}:${route.function_name}:${route.alias_name}/invocations"
  }
}

resource "aws_api_gateway_rest_api" "this" {
  name                         = var.name
  description                  = var.description
  disable_execute_api_endpoint = local.custom_domain_only

  endpoint_configuration {
    types            = [var.endpoint.type]
    vpc_endpoint_ids = var.endpoint.type == "PRIVATE" ? var.endpoint.vpc_endpoint_ids : null
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_resource" "level_1" {
  for_each = local.levels[0]

  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_rest_api.this.root_resource_id
  path_part   = basename(each.key)
}

resource "aws_api_gateway_resource" "level_2" {
  for_each = local.levels[1]

  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_resource.level_1[dirname(each.key)].id
  path_part   = basename(each.key)
}

resource "aws_api_gateway_resource" "level_3" {
  for_each = local.levels[2]

  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_resource.level_2[dirname(each.key)].id
  path_part   = basename(each.key)
}

resource "aws_api_gateway_resource" "level_4" {
  for_each = local.levels[3]

  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_resource.level_3[dirname(each.key)].id
  path_part   = basename(each.key)
}

resource "aws_api_gateway_model" "this" {
  for_each = local.request_schemas

  rest_api_id  = aws_api_gateway_rest_api.this.id
  name         = join("", [for word in regexall("[A-Za-z0-9]+", each.key) : title(word)])
  description  = "The body of ${each.key}"
  content_type = "application/json"
  schema       = each.value
}

resource "aws_api_gateway_request_validator" "this" {
  rest_api_id                 = aws_api_gateway_rest_api.this.id
  name                        = "body-and-parameters"
  validate_request_body       = true
  validate_request_parameters = true
}

resource "aws_api_gateway_authorizer" "cognito" {
  count = var.authorization == "COGNITO_USER_POOLS" ? 1 : 0

  rest_api_id   = aws_api_gateway_rest_api.this.id
  name          = "${var.name}-cognito"
  type          = "COGNITO_USER_POOLS"
  provider_arns = var.cognito_user_pool_arns
}

resource "aws_api_gateway_method" "this" {
  #checkov:skip=CKV_AWS_59:authorization is a variable, AWS_IAM unless chosen otherwise; API_KEY is checked by api_key_required
  for_each = var.routes

  rest_api_id          = aws_api_gateway_rest_api.this.id
  resource_id          = local.resource_ids[join("/", local.segments[each.key])]
  http_method          = each.value.method
  authorization        = each.value.open || var.authorization == "API_KEY" ? "NONE" : var.authorization
  authorizer_id        = each.value.open ? null : one(aws_api_gateway_authorizer.cognito[*].id)
  api_key_required     = !each.value.open && var.authorization == "API_KEY"
  request_models       = { for name, model in aws_api_gateway_model.this : "application/json" => model.name if name == each.key }
  request_parameters   = local.request_parameters[each.key]
  request_validator_id = aws_api_gateway_request_validator.this.id
}

resource "aws_api_gateway_integration" "this" {
  for_each = var.routes

  rest_api_id             = aws_api_gateway_rest_api.this.id
  resource_id             = aws_api_gateway_method.this[each.key].resource_id
  http_method             = aws_api_gateway_method.this[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = local.invoke_arns[each.key]
}

resource "aws_lambda_permission" "this" {
  for_each = var.routes

  statement_id  = "${var.name}-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = each.value.function_name
  qualifier     = each.value.alias_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${var.stage_name}/${each.value.method}${replace(each.value.path, "/\\{[^}]+\\}/", "*")}"

  depends_on = [var.alias_arns]
}
