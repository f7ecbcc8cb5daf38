# An API that answers through VPC endpoints only, to whoever has a key.
environment_suffix = "private"

api = {
  authorization = "API_KEY"
}

private_api = { vpc_endpoint_ids = ["vpce-0"] }
