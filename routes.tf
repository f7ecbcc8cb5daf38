# The API's routes. The gateway refuses what is no JSON object before any code runs; the fields are checked by the
# function, which names every wrong one by a JSON pointer and repeats none of their values.

locals {
  metrics_namespace = "Payments"

  routes = {
    create_payment = {
      method         = "POST"
      path           = "/payments"
      function       = "validator"
      request_schema = jsonencode({ "$schema" = "http://json-schema.org/draft-04/schema#", title = "Payment", type = "object", minProperties = 1, maxProperties = 16 })
      headers        = { "Idempotency-Key" = false }
    }
    get_payment = {
      method   = "GET"
      path     = "/payments/{transaction_id}"
      function = "reader"
    }
    list_customer_payments = {
      method           = "GET"
      path             = "/customers/{customer_id}/payments"
      function         = "reader"
      query_parameters = { limit = false, next_token = false }
    }
  }
}
