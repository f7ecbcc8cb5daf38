"""The source of Terraform's providers: the registry if it answers, otherwise a mirror on this machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from local import BUILD, EMBEDDED_PYTHON, ROOT, LocalError

VARIABLE = "PAYMENTS_PROVIDER_MIRROR"
REGISTRY = "registry.terraform.io"
AWS = f"{REGISTRY}/hashicorp/aws"
ARCHIVE = f"{REGISTRY}/hashicorp/archive"
ARCHIVE_VERSION = "2.7.1"
_EXECUTABLE = 0o755


def registry_answers() -> bool:
    """Say whether Terraform's registry can be reached from here."""
    try:
        with urllib.request.urlopen(f"https://{REGISTRY}/.well-known/terraform.json", timeout=3) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def usual_places() -> list[Path]:
    """Return the folders that may hold a ``registry.terraform.io`` folder, the most specific first."""
    home = Path.home()
    data_home = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    data_dirs = [Path(part) for part in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")]
    system = Path("/opt")
    return [
        home / ".terraform.d" / "plugins",
        data_home / "terraform" / "plugins",
        *(folder / "terraform" / "plugins" for folder in data_dirs),
        *(sorted(folder for folder in system.iterdir() if folder.is_dir()) if system.is_dir() else []),
    ]


def find_mirror() -> Path:
    """Return the folder that holds the AWS provider.

    Raises LocalError if there is none, with the folders that were searched.
    """
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else usual_places()
    for place in places:
        if (place / AWS).is_dir():
            return place
    looked = "\n".join(f"  {place}" for place in places)
    raise LocalError(
        f"Terraform's registry does not answer, and there is no mirror of the AWS provider in\n{looked}\n"
        f"Set {VARIABLE} to a folder that contains {AWS}, as `terraform providers mirror` creates it."
    )


def install_archive_provider(mirror: Path = BUILD / "mirror") -> Path:
    """Put the stand-in for ``hashicorp/archive`` into a mirror of its own and return that mirror."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    folder = mirror / ARCHIVE / ARCHIVE_VERSION / f"{sys.platform}_{machine}"
    folder.mkdir(parents=True, exist_ok=True)
    executable = folder / f"terraform-provider-archive_v{ARCHIVE_VERSION}_x5"
    root, python = shlex.quote(str(ROOT)), shlex.quote(str(EMBEDDED_PYTHON))
    script = f"#!/bin/sh\nPYTHONPATH={root} exec {python} -m local.archive_provider\n"
    if not executable.exists() or executable.read_text(encoding="utf-8") != script:
        # Another process may run it meanwhile.
        with tempfile.NamedTemporaryFile("w", dir=mirror.parent, delete=False, encoding="utf-8") as written:
            written.write(script)
        Path(written.name).chmod(_EXECUTABLE)
        Path(written.name).rename(executable)
    return mirror


def cli_config(directory: Path) -> Path | None:
    """Write a Terraform CLI configuration for this machine and return its path.

    Returns None if the registry answers, since Terraform then needs no configuration. Raises LocalError if neither the
    registry nor a mirror is available.
    """
    if not os.environ.get(VARIABLE) and registry_answers():
        return None
    blocks = "\n".join(
        f'  filesystem_mirror {{\n    path    = "{path}"\n    include = ["{provider}"]\n  }}'
        for provider, path in ((AWS, find_mirror()), (ARCHIVE, install_archive_provider()))
    )
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "terraformrc"
    file.write_text(
        f'provider_installation {{\n{blocks}\n  direct {{\n    exclude = ["{AWS}", "{ARCHIVE}"]\n  }}\n}}\n',
        encoding="utf-8",
    )
    return file
