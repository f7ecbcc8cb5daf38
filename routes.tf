# The API's routes, read from the OpenAPI document, which `make openapi` generates from the contract in src/payments. API
# Gateway refuses a body that is not a JSON object before any code runs. The function checks the fields. It names each
# invalid one by a JSON pointer and never repeats a value.

locals {
  openapi = jsondecode(file("${path.module}/docs/openapi.json"))
  # Every currency that payments can use, with its number of decimals.
  currencies = local.schemas.PaymentRequest.properties.currency["x-exponents"]

  operations = merge([
    for path, methods in local.openapi.paths : {
      for method, operation in methods :
      operation.operationId => merge(operation, { path = path, method = upper(method) })
    }
  ]...)

  schemas = local.openapi.components.schemas
  # The name of the schema of each operation's body. An operation without a body has none.
  request_schemas = {
    for name, operation in local.operations :
    name => basename(operation.requestBody.content["application/json"].schema["$ref"])
    if can(operation.requestBody)
  }

  routes = {
    for name, operation in local.operations : name => {
      method   = operation.method
      path     = operation.path
      function = operation["x-function"]
      headers = {
        for parameter in operation.parameters : parameter.name => parameter.required if parameter.in == "header"
      }
      query_parameters = {
        for parameter in operation.parameters : parameter.name => parameter.required if parameter.in == "query"
      }
      request_schema = try(jsonencode({
        "$schema"     = "http://json-schema.org/draft-04/schema#"
        title         = local.request_schemas[name]
        type          = "object"
        minProperties = 1
        maxProperties = local.schemas[local.request_schemas[name]].maxProperties
      }), null)
    }
  }
}
