"""A laptop's replacements for AWS: the embedded AWS, the provider mirror, and the layer's build."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
EMBEDDED_PYTHON = BUILD / "venv-embedded" / "bin" / "python"


class LocalError(Exception):
    """A problem that a person can fix; the message says what it is and how to fix it."""
