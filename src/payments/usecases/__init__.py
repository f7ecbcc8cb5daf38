"""What the system does, one verb a module. Use cases work through the protocols in ``ports``."""
