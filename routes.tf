# The API's routes, from the OpenAPI document, which is made from the contract in src/payments (make openapi). The gateway
# refuses what is no JSON object before any code runs; the fields are checked by the function, which names every wrong one
# by a JSON pointer and repeats none of their values.

locals {
  openapi = jsondecode(file("${path.module}/docs/openapi.json"))
  # Every currency that payments can be made in, with its number of decimals.
  currencies = local.openapi.components.schemas.PaymentRequest.properties.currency["x-exponents"]

  operations = merge([
    for path, methods in local.openapi.paths : {
      for method, operation in methods : operation.operationId => merge(operation, { path = path, method = upper(method) })
    }
  ]...)

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
        title         = basename(operation.requestBody.content["application/json"].schema["$ref"])
        type          = "object"
        minProperties = 1
        maxProperties = local.openapi.components.schemas[basename(operation.requestBody.content["application/json"].schema["$ref"])].maxProperties
      }), null)
    }
  }
}
