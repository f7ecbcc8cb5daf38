"""The example's function."""


def handler(event: object, _context: object) -> object:
    """Return what came."""
    return event
