# A second stack of the same name in another region.
environment_suffix = "dev"

gateway = "stripe"

network = {
  nat = { mode = "gateway" }
}

region = "eu-west-1"

region_in_role_names = true

webhooks = {
  twenty-letters-longg = { url = "https://shop.example.com/hooks" }
}
