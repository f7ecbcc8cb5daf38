# An error is a line of the function's JSON log with the level ERROR, or the runtime's own report of a failed call.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = var.functions

  name           = "${each.value.name}-errors"
  log_group_name = each.value.log_group_name
  pattern        = "{ $.level = \"ERROR\" || $.level = \"CRITICAL\" || $.record.status = \"error\" || $.record.status = \"timeout\" }"

  metric_transformation {
    name          = "LoggedErrors-${each.key}"
    namespace     = "${var.metrics_namespace}/${var.suffix}"
    value         = "1"
    default_value = "0"
  }
}
