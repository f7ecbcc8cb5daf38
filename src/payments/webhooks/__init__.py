"""Signed webhooks: where they go, what signs them, and how they are delivered."""
