"""The Stripe gateway: everything that only Stripe needs."""
