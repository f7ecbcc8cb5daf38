"""The commands, by what they concern."""
