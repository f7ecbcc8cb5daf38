output "api_key_id" {
  description = "The id of the first client's API key; null unless authorization is API_KEY."
  value       = one(aws_api_gateway_api_key.this[*].id)
}

output "execution_arn" {
  description = "What permissions name the API by."
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
  description = "Where the stage answers."
  value       = aws_api_gateway_stage.this.invoke_url
}
