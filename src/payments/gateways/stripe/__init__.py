"""Everything that is Stripe's."""
