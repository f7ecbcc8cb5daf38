"""A stand-in for the ``hashicorp/archive`` provider on a machine that cannot reach the registry.

It has the data source ``archive_file`` for zip archives of a folder: the same arguments and results as the real one,
and like it the same bytes for the same files, whatever their times and order on disk.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tf import schema, types
from tf.iface import Config, DataSource, Provider, ReadDataContext, Resource, State
from tf.runner import run_provider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tf.utils import Diagnostics

# A zip has no time zone and begins in 1980; the real provider writes this time too.
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

    A glob that matches a folder excludes all that it holds.
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
    """Return what ``archive_file`` says of an archive."""
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


class ArchiveFile(DataSource):
    """The data source ``archive_file``."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        """Return the name without the provider's prefix."""
        return "file"

    @classmethod
    def get_schema(cls) -> schema.Schema:
        """Return the arguments that are supported and the results."""
        return schema.Schema(
            attributes=[
                schema.Attribute("type", types.String(), required=True),
                schema.Attribute("source_dir", types.String(), required=True),
                schema.Attribute("output_path", types.String(), required=True),
                schema.Attribute("output_file_mode", types.String(), optional=True),
                schema.Attribute("excludes", types.Set(types.String()), optional=True),
                schema.Attribute("exclude_symlink_directories", types.Bool(), optional=True),
                *(
                    schema.Attribute(name, types.Number() if name == "output_size" else types.String(), computed=True)
                    for name in results(b"")
                ),
            ]
        )

    def read(self, ctx: ReadDataContext, config: Config) -> State | None:
        """Write the archive and return what it is."""
        if config["type"] != "zip":
            ctx.diagnostics.add_error(
                "type must be zip", "This stand-in for hashicorp/archive makes zip archives only."
            )
            return None
        source, output = Path(config["source_dir"]), Path(config["output_path"])
        if not source.is_dir():
            ctx.diagnostics.add_error("missing source_dir", f"Could not archive {source}: there is no such folder.")
            return None
        mode = config.get("output_file_mode")
        content = archive(source, config.get("excludes") or (), int(mode, 8) if mode else None)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
        return {**config, **results(content)}


class ArchiveProvider(Provider):
    """The provider."""

    def get_model_prefix(self) -> str:
        """Return the prefix of every type."""
        return "archive_"

    def full_name(self) -> str:
        """Return the source address."""
        return "registry.terraform.io/hashicorp/archive"

    def get_provider_schema(self, diags: Diagnostics) -> schema.Schema:  # noqa: ARG002 - the interface's
        """Return the empty schema: the provider has no settings."""
        return schema.Schema(attributes=[])

    def validate_config(self, diags: Diagnostics, config: Config) -> None:
        """Accept: there is nothing to set."""

    def configure_provider(self, diags: Diagnostics, config: Config) -> None:
        """Accept: there is nothing to set."""

    def get_data_sources(self) -> list[type[DataSource]]:
        """Return the one data source."""
        return [ArchiveFile]

    def get_resources(self) -> list[type[Resource]]:
        """Return none."""
        return []


def main() -> None:
    """Serve Terraform."""
    run_provider(ArchiveProvider(), [])


if __name__ == "__main__":
    main()
