"""The size of the functions' zip and layer, in bytes and by purpose."""

from __future__ import annotations

from typing import NamedTuple

from local import BUILD, ROOT
from local.archive import DEFAULT_MODE, archive, files_of
from local.hcl import Module
from payments.gateways import registry

LAYER = BUILD / "layer" / "python"
_TERRAFORM = Module(ROOT)
# The files that package.tf leaves out of every zip, and those (gateway.tf) that it leaves out for other gateways.
_NEVER: list[str] = _TERRAFORM.lists("data", "archive_file", "functions", name="excludes")[0]
_GATEWAY: str = _TERRAFORM.local("gateway_code")


class Package(NamedTuple):
    """The sizes of the functions' zip and of the layer, in bytes, and of the layer's parts by name."""

    functions_zip: int
    layer_zip: int
    layer_unzipped: int
    layer_parts: dict[str, int]


def left_out(gateway: str) -> list[str]:
    """Return what the functions' zip leaves out if this gateway charges."""
    return [*_NEVER, *(_GATEWAY % name for name in registry.names() if name != gateway)]


def measure() -> Package:
    """Measure both; the zip is that of the gateway whose zip is largest."""
    parts: dict[str, int] = {}
    for file in files_of(LAYER, _NEVER):
        name = file.relative_to(LAYER).parts[0].removesuffix(".py").partition("-")[0]
        parts[name] = parts.get(name, 0) + file.stat().st_size
    largest = max(len(archive(ROOT / "src", left_out(gateway), DEFAULT_MODE)) for gateway in registry.names())
    layer = len(archive(LAYER.parent, _NEVER, DEFAULT_MODE))
    return Package(largest, layer, sum(parts.values()), dict(sorted(parts.items())))
