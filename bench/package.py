"""What is sent to Lambda: how many bytes, and what they are for."""

from __future__ import annotations

import io
import json
import re
import zipfile
from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple

from local import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

LAYER = BUILD / "layer" / "python"
_PACKAGE_TF = (ROOT / "package.tf").read_text(encoding="utf-8")
# What package.tf leaves out of every zip, and what it leaves out unless a gateway charges.
_NEVER = json.loads(re.findall(r'\["\*\*/__pycache__.*\]', _PACKAGE_TF)[0])
_GATEWAYS = {
    name: json.loads(files) for name, files in re.findall(r'(\w+) += (\["payments/.*\])', _PACKAGE_TF, re.MULTILINE)
}


class Package(NamedTuple):
    """The functions' zip and the layer, in bytes; the layer's parts by their name."""

    functions_zip: int
    layer_zip: int
    layer_unzipped: int
    layer_parts: dict[str, int]


def files(folder: Path, left_out: list[str] = _NEVER) -> list[Path]:
    """Return the files that package.tf puts into a zip, in its order."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    globs = [glob.removeprefix("**/") if glob.endswith("/**") else glob for glob in left_out]
    return sorted(
        folder / file for file in found if not any(fnmatch(f"/{file.as_posix()}", f"*/{glob}") for glob in globs)
    )


def functions(gateway: str) -> list[Path]:
    """Return the files of the functions' zip where a gateway charges."""
    others = [glob for name, globs in _GATEWAYS.items() if name != gateway for glob in globs]
    return files(ROOT / "src", [*_NEVER, *others])


def zipped(folder: Path, chosen: list[Path]) -> int:
    """Return how large a folder's files are as a zip."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in chosen:
            archive.writestr(str(file.relative_to(folder)), file.read_bytes())
    return len(written.getvalue())


def measure() -> Package:
    """Measure both; the zip is the one of the gateway that makes it largest."""
    parts: dict[str, int] = {}
    for file in files(LAYER):
        name = file.relative_to(LAYER).parts[0].removesuffix(".py").partition("-")[0]
        parts[name] = parts.get(name, 0) + file.stat().st_size
    largest = max(zipped(ROOT / "src", functions(gateway)) for gateway in _GATEWAYS)
    layer = zipped(LAYER.parent, files(LAYER.parent))
    return Package(largest, layer, sum(parts.values()), dict(sorted(parts.items())))
