# An error is a line of the function's JSON log at ERROR or worse, or the runtime's own report of a call that failed. A
# time-out writes nothing but that report. The report's type is asked for because the same status stands in other records.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = var.functions

  name           = "${each.value.name}-errors"
  log_group_name = each.value.log_group_name
  pattern        = "{ ($.level = \"ERROR\") || ($.level = \"CRITICAL\") || (($.type = \"platform.report\") && ($.record.status != \"success\")) }"

  metric_transformation {
    name          = "LoggedErrors-${each.key}"
    namespace     = "${var.metrics_namespace}/${var.suffix}"
    value         = "1"
    default_value = "0"
  }
}
