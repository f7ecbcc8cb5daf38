"""What is sent to Lambda: how many bytes, and what they are for."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from local import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

LAYER = BUILD / "layer" / "python"
_CACHE = "__pycache__"
# What package.tf leaves out by its path.
_LEFT_OUT = set(re.findall(r'"(payments/[^"*]+)"', (ROOT / "package.tf").read_text(encoding="utf-8")))


class Package(NamedTuple):
    """The functions' zip and the layer, in bytes; the layer's parts by their name."""

    functions_zip: int
    layer_zip: int
    layer_unzipped: int
    layer_parts: dict[str, int]


def files(folder: Path) -> list[Path]:
    """Return the files that package.tf puts into a zip, in its order."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(folder / file for file in found if _CACHE not in file.parts and file.as_posix() not in _LEFT_OUT)


def zipped(folder: Path) -> int:
    """Return how large a folder is as a zip."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files(folder):
            archive.writestr(str(file.relative_to(folder)), file.read_bytes())
    return len(written.getvalue())


def measure() -> Package:
    """Measure both."""
    parts: dict[str, int] = {}
    for file in files(LAYER):
        name = file.relative_to(LAYER).parts[0].removesuffix(".py").partition("-")[0]
        parts[name] = parts.get(name, 0) + file.stat().st_size
    return Package(zipped(ROOT / "src"), zipped(LAYER.parent), sum(parts.values()), dict(sorted(parts.items())))
