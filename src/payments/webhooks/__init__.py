"""Signed webhooks: their addresses, their signatures and their delivery."""
