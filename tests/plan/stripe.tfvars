# Charged through Stripe.
environment_suffix = "pay"

gateway = "stripe"

network = {
  nat = { mode = "gateway" }
}
