"""A stand-in for the ``hashicorp/archive`` provider on a machine that cannot reach the registry.

It has the data source ``archive_file`` for zip archives of a folder, with the real one's arguments and results. As with
the real one, the same files give the same bytes. Their times and order on disk do not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tf import schema, types
from tf.iface import Config, DataSource, Provider, ReadDataContext, Resource, State
from tf.runner import run_provider

from local.archive import archive, results

if TYPE_CHECKING:
    from tf.utils import Diagnostics


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
        """Write the archive and return its state."""
        if config["type"] != "zip":
            ctx.diagnostics.add_error(
                "type must be zip", "This stand-in for hashicorp/archive creates only zip archives."
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
