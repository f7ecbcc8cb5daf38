output "api_key_id" {
  description = "The id of the first client's API key; null unless authorization is API_KEY."
  value       = one(aws_api_gateway_api_key.this[*].id)
}

output "custom_domain" {
  description = "The custom domain's name, and the target name and hosted zone for its DNS record; null without one."
  value = var.custom_domain == null ? null : {
    hosted_zone_id = aws_api_gateway_domain_name.this[0].regional_zone_id
    name           = var.custom_domain.name
    target         = aws_api_gateway_domain_name.this[0].regional_domain_name
  }
}

output "execution_arn" {
  description = "The API's execution ARN, for permissions."
  value       = aws_api_gateway_rest_api.this.execution_arn
}

output "id" {
  description = "The API's id."
  value       = aws_api_gateway_rest_api.this.id
}

output "name" {
  description = "The API's name."
  value       = var.name
}

output "stage_arn" {
  description = "The stage's ARN, to associate a web ACL with."
  value       = aws_api_gateway_stage.this.arn
}

output "stage_name" {
  description = "The stage's name."
  value       = var.stage_name
  depends_on  = [aws_api_gateway_stage.this]
}

output "url" {
  description = "The stage's URL; at the custom domain if there is one."
  value       = var.custom_domain == null ? aws_api_gateway_stage.this.invoke_url : join("/", concat(["https://${var.custom_domain.name}"], var.custom_domain.base_path[*]))
  depends_on  = [aws_api_gateway_base_path_mapping.this]
}

output "web_acl_arn" {
  description = "The web ACL's ARN; null without waf."
  value       = one(aws_wafv2_web_acl.this[*].arn)
}
