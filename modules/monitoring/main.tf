# An error is a line of the function's JSON log at ERROR or above, or the runtime's own report of a failed call. A time-out
# writes only that report. The pattern checks the report's type, because other records have the same status field.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = var.functions

  name           = "${each.value.name}-errors"
  log_group_name = each.value.log_group_name
  pattern        = "{ ($.level = \"ERROR\") || ($.level = \"CRITICAL\") || (($.type = \"platform.report\") && ($.record.status != \"success\")) }"

  metric_transformation {
    name          = "LoggedErrors-${each.key}"
    namespace     = var.metrics_namespace
    value         = "1"
    default_value = "0"
  }
}

# One payment's whole story, from every function's log. On a laptop, local/story.py does the same.
resource "aws_cloudwatch_query_definition" "story" {
  count = var.saved_queries ? 1 : 0

  name            = "${var.name}-${var.suffix}/the story of a payment"
  log_group_names = sort([for function in values(var.functions) : function.log_group_name])
  query_string    = <<-EOT
    fields @timestamp, service, message, event, refund_id, status, reason, error, cold_start, function_request_id, xray_trace_id
    | filter transaction_id = "PUT THE TRANSACTION ID HERE"
    | sort @timestamp asc
  EOT
}
