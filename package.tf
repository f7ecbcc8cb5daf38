# The functions' code and their layer. Sorted entries, fixed times and fixed modes make each zip a function of the
# sources alone.

locals {
  layer_is_built = fileexists("${path.root}/${var.layer_dir}/python/msgspec/__init__.py")
}

data "archive_file" "functions" {
  type             = "zip"
  source_dir       = "${path.root}/src"
  output_path      = "${path.root}/build/functions-${var.environment_suffix}.zip"
  output_file_mode = "0644"
  # The operations are what the API's document and routes are made of. No function reads them.
  excludes = ["**/__pycache__/**", "**/*.pyc", "**/*.egg-info/**", "payments/operations.py"]
}

data "archive_file" "layer" {
  type             = "zip"
  source_dir       = "${path.root}/${var.layer_dir}"
  output_path      = "${path.root}/build/layer-${var.environment_suffix}.zip"
  output_file_mode = "0644"
  excludes         = ["**/__pycache__/**", "**/*.pyc", "requirements.txt"]

  lifecycle {
    precondition {
      condition     = local.layer_is_built
      error_message = "The functions' layer is not in ${var.layer_dir} yet. Build it with `make layer`, then run Terraform again."
    }
  }
}

resource "aws_lambda_layer_version" "dependencies" {
  layer_name               = "payment-dependencies-${var.environment_suffix}"
  description              = "The functions' third-party packages, as uv.lock has them."
  filename                 = data.archive_file.layer.output_path
  source_code_hash         = data.archive_file.layer.output_base64sha256
  compatible_architectures = [var.runtime.architecture]
  compatible_runtimes      = [var.runtime.name]
}
