"""A zip that depends on the files' contents only, not on their times or order on disk, as Terraform's does."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A zip has no time zone and starts in 1980; the real provider writes this time too.
EPOCH = (2049, 1, 1, 0, 0, 0)
DEFAULT_MODE = 0o644


def _pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob over slash-separated paths: ``**`` crosses folders, ``*`` and ``?`` do not."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", glob)
    translated = "".join(
        parts.get(token) or (token if token.startswith("[") else re.escape(token)) for token in tokens if token
    )
    return re.compile(translated + r"\Z")


def files_of(source: Path, excludes: Iterable[str]) -> list[Path]:
    """Return the files below ``source`` in a fixed order, without those that a glob of ``excludes`` matches.

    A glob that matches a folder excludes everything in it.
    """
    patterns = [_pattern(glob.removeprefix("./")) for glob in excludes]

    def excluded(relative: Path) -> bool:
        ways = [relative, *relative.parents[:-1]]
        return any(pattern.match(way.as_posix()) for pattern in patterns for way in ways)

    found = (path for path in source.rglob("*") if path.is_file() and not excluded(path.relative_to(source)))
    return sorted(found, key=lambda path: path.relative_to(source).as_posix())


def archive(source: Path, excludes: Iterable[str], mode: int | None) -> bytes:
    """Return the zip of a folder; ``mode`` is every entry's mode, or None to keep the files' own."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for path in files_of(source, excludes):
            entry = zipfile.ZipInfo(path.relative_to(source).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every machine
            entry.external_attr = (0o100000 | (mode if mode is not None else path.stat().st_mode & 0o777)) << 16
            zipped.writestr(entry, path.read_bytes())
    return out.getvalue()


def results(content: bytes) -> dict[str, str | int]:
    """Return the results of ``archive_file`` for an archive."""
    sha1, sha256, sha512 = (hashlib.new(name, content, usedforsecurity=False) for name in ("sha1", "sha256", "sha512"))
    return {
        "id": sha1.hexdigest(),
        "output_base64sha256": base64.b64encode(sha256.digest()).decode(),
        "output_base64sha512": base64.b64encode(sha512.digest()).decode(),
        "output_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "output_sha": sha1.hexdigest(),
        "output_sha256": sha256.hexdigest(),
        "output_sha512": sha512.hexdigest(),
        "output_size": len(content),
    }
