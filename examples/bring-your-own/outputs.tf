output "url" {
  description = "The API's base URL: add /orders."
  value       = module.api.url
}
