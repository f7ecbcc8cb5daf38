resource "aws_lambda_event_source_mapping" "queue" {
  for_each = var.queue_sources

  event_source_arn                   = each.value.queue_arn
  function_name                      = local.live.arn
  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.batching_window_seconds
  function_response_types            = ["ReportBatchItemFailures"]

  dynamic "scaling_config" {
    for_each = each.value.maximum_concurrency[*]

    content {
      maximum_concurrency = scaling_config.value
    }
  }
}

resource "aws_lambda_event_source_mapping" "stream" {
  for_each = var.stream_sources

  event_source_arn                   = each.value.stream_arn
  function_name                      = local.live.arn
  batch_size                         = each.value.batch_size
  bisect_batch_on_function_error     = true
  function_response_types            = ["ReportBatchItemFailures"]
  maximum_batching_window_in_seconds = each.value.batching_window_seconds
  maximum_record_age_in_seconds      = each.value.maximum_record_age_seconds
  maximum_retry_attempts             = each.value.maximum_retry_attempts
  parallelization_factor             = each.value.parallelization_factor
  # Not LATEST, which would skip records that are written while the mapping is created.
  starting_position = "TRIM_HORIZON"

  destination_config {
    on_failure {
      destination_arn = each.value.on_failure_queue_arn
    }
  }

  dynamic "filter_criteria" {
    for_each = length(each.value.filters) > 0 ? [each.value.filters] : []

    content {
      dynamic "filter" {
        for_each = filter_criteria.value

        content {
          pattern = filter.value
        }
      }
    }
  }
}
