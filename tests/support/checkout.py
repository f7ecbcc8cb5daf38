"""A copy of the root module: each stack writes its zips into its own copy, so several can be deployed at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from local import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def copy_of_root(folder: Path) -> Path:
    """Copy what Terraform reads into a folder, and return the folder."""
    folder.mkdir()
    for file in ROOT.glob("*.tf"):
        (folder / file.name).symlink_to(file)
    # The routes are in docs/openapi.json.
    for name in ("docs", "modules"):
        (folder / name).symlink_to(ROOT / name)
    # archive_file does not follow a link to the folder that it packs.
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for layer in BUILD.glob("layer*/"):
        shutil.copytree(layer, folder / BUILD.name / layer.name)
    return folder
