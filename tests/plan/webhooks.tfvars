# Two endpoints and the bus.
environment_suffix = "hooks"

event_bus = true

network = {
  nat = { mode = "gateway" }
}

webhooks = {
  fraud = { url = "https://fraud.example.com/", events = ["payment.failed", "payment.unknown"] }
  shop  = { url = "https://shop.example.com/hooks" }
}
