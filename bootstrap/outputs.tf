output "backend" {
  description = "The backend block for the main configuration, to write into its backend.tf."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${local.bucket}"
        encrypt      = true
        key          = "payments.tfstate"
        kms_key_id   = "${aws_kms_key.state.arn}"
        region       = "${var.region}"
        use_lockfile = true
      }
    }
  EOT
  # Print the backend only when it is ready for use.
  depends_on = [
    aws_s3_bucket_policy.state,
    aws_s3_bucket_server_side_encryption_configuration.state,
    aws_s3_bucket_versioning.state,
  ]
}

output "bucket" {
  description = "The bucket that holds the state."
  value       = aws_s3_bucket.state.bucket
}

output "kms_key_arn" {
  description = "The key that encrypts the state."
  value       = aws_kms_key.state.arn
}
