# API Gateway's own answers, in the API's format: problem documents (RFC 9457). None repeats any part of the request, which
# could contain data that must not be shown.
locals {
  problems = {
    ACCESS_DENIED                  = { status = 403, type = "forbidden", title = "Forbidden", detail = "These credentials may not call this operation." }
    API_CONFIGURATION_ERROR        = { status = 500, type = "internal-error", title = "Internal error", detail = "The API is set up wrongly. Repeat the request later." }
    AUTHORIZER_CONFIGURATION_ERROR = { status = 500, type = "internal-error", title = "Internal error", detail = "The API is set up wrongly. Repeat the request later." }
    AUTHORIZER_FAILURE             = { status = 500, type = "internal-error", title = "Internal error", detail = "The credentials could not be checked. Repeat the request later." }
    BAD_REQUEST_BODY               = { status = 400, type = "malformed-request", title = "Malformed request", detail = "The body must be a JSON object as the API describes it." }
    BAD_REQUEST_PARAMETERS         = { status = 400, type = "malformed-request", title = "Malformed request", detail = "A header or a parameter that the API requires is missing." }
    DEFAULT_4XX                    = { status = null, type = "refused", title = "Refused", detail = "The request cannot be served as it is." }
    DEFAULT_5XX                    = { status = null, type = "internal-error", title = "Internal error", detail = "The request could not be served. It is safe to repeat it." }
    EXPIRED_TOKEN                  = { status = 403, type = "forbidden", title = "Forbidden", detail = "The request's credentials have expired." }
    INTEGRATION_FAILURE            = { status = 503, type = "unavailable", title = "Unavailable", detail = "The request could not be served now. It is safe to repeat it.", retry_after = 1 }
    INTEGRATION_TIMEOUT            = { status = 503, type = "unavailable", title = "Unavailable", detail = "The answer took too long. It is safe to repeat the request.", retry_after = 1 }
    INVALID_API_KEY                = { status = 403, type = "forbidden", title = "Forbidden", detail = "The API key is missing or not valid." }
    INVALID_SIGNATURE              = { status = 403, type = "forbidden", title = "Forbidden", detail = "The request's signature is not valid." }
    MISSING_AUTHENTICATION_TOKEN   = { status = 403, type = "forbidden", title = "Forbidden", detail = "The request is not signed, or there is no such operation." }
    QUOTA_EXCEEDED                 = { status = 429, type = "too-many-requests", title = "Too many requests", detail = "The quota of the usage plan is used up.", retry_after = 3600 }
    REQUEST_TOO_LARGE              = { status = 413, type = "too-large", title = "Too large", detail = "The body is too large." }
    RESOURCE_NOT_FOUND             = { status = 404, type = "not-found", title = "Not found", detail = "There is no such operation." }
    THROTTLED                      = { status = 429, type = "too-many-requests", title = "Too many requests", detail = "Wait as Retry-After says, then repeat the request.", retry_after = 1 }
    UNAUTHORIZED                   = { status = 403, type = "forbidden", title = "Forbidden", detail = "The request's credentials are missing or not valid." }
    UNSUPPORTED_MEDIA_TYPE         = { status = 415, type = "unsupported-media-type", title = "Unsupported media type", detail = "Send the body as application/json." }
    WAF_FILTERED                   = { status = 403, type = "forbidden", title = "Forbidden", detail = "The request was refused." }
  }

  gateway_responses = {
    for response, problem in local.problems : response => {
      # The defaults cover several statuses. Each keeps its own, so the document names none.
      status_code = problem.status
      body = jsonencode(merge(
        { for status in problem.status[*] : "status" => status },
        {
          type     = "/problems/${problem.type}"
          title    = problem.title
          detail   = problem.detail
          instance = "urn:uuid:$context.requestId"
        },
      ))
      headers = merge(
        { "gatewayresponse.header.Content-Type" = "'application/problem+json'" },
        { for seconds in try([problem.retry_after], []) : "gatewayresponse.header.Retry-After" => "'${seconds}'" },
      )
    }
  }
}

resource "aws_api_gateway_gateway_response" "this" {
  for_each = local.gateway_responses

  rest_api_id         = aws_api_gateway_rest_api.this.id
  response_type       = each.key
  status_code         = each.value.status_code
  response_parameters = each.value.headers
  response_templates  = { "application/json" = each.value.body }
}
