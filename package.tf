# The functions' code and their layer. Entries are sorted, times and modes are fixed, so the same sources give the same
# zip.

locals {
  layer_stamp    = "${path.root}/${var.layer_dir}/requirements.txt"
  layer_is_built = fileexists(local.layer_stamp)
  # make layer notes the runtime in its layer. A layer without that note is used unchecked.
  layer_made_for = try(one(regex("# for (python\\S+ on \\S+)\n", file(local.layer_stamp))), null)
  layer_wanted   = "${var.runtime.name} on ${var.runtime.architecture}"
}

data "archive_file" "functions" {
  type             = "zip"
  source_dir       = "${path.root}/src"
  output_path      = "${path.root}/build/functions-${var.environment_suffix}.zip"
  output_file_mode = "0644"
  # The API's document and routes are generated from the operations. No function reads them.
  excludes = concat(
    ["**/__pycache__/**", "**/*.pyc", "**/*.egg-info/**", "payments/api/operations.py"],
    [for gateway in local.gateway_names : format(local.gateway_code, gateway) if gateway != var.gateway],
  )
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
      error_message = <<-EOT
        The functions' layer is not in ${var.layer_dir} yet. Build it with `make layer`, then run Terraform again.
      EOT
    }

    precondition {
      condition     = local.layer_made_for == null || local.layer_made_for == local.layer_wanted
      error_message = <<-EOT
        The functions' layer in ${var.layer_dir} is for ${coalesce(local.layer_made_for, "another runtime")},
        and runtime asks for ${local.layer_wanted}: they could not import it. Build it with `make layer ENV=...`,
        by the name of the tfvars file in env/.
      EOT
    }
  }
}

resource "aws_lambda_layer_version" "dependencies" {
  layer_name               = local.layer_names.dependencies
  description              = "The functions' third-party packages, as uv.lock has them."
  filename                 = data.archive_file.layer.output_path
  source_code_hash         = data.archive_file.layer.output_base64sha256
  compatible_architectures = [var.runtime.architecture]
  compatible_runtimes      = [var.runtime.name]

  # The old one goes when the functions have the new one.
  lifecycle {
    create_before_destroy = true
  }
}
