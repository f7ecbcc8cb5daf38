"""The system's use cases, one module each. They reach the outside through the protocols in ``ports``."""
