output "url" {
  description = "Where the API answers: add /orders."
  value       = module.api.url
}
