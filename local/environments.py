"""The environments: one tfvars file each, and where each one's state is."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from local import ROOT, LocalError
from local.hcl import Module, Shape, load, unknown_names
from local.mirror import cli_config

LOCAL = "local"
FOLDER = ROOT / ".local"
PLUGIN_CACHE = ROOT / "build" / "plugin-cache"


def known() -> list[str]:
    """Return the environments that have a tfvars file."""
    return sorted(file.stem for file in (ROOT / "env").glob("*.tfvars"))


def variables(environment: str) -> Path:
    """Return the environment's tfvars file.

    Raises LocalError, listing the known ones, for an unknown environment.
    """
    if environment not in known():
        raise LocalError(
            f"there is no environment {environment!r}. Known environments: {', '.join(known())}. "
            f"To create one, write env/{environment}.tfvars."
        )
    return ROOT / "env" / f"{environment}.tfvars"


def misspelt(values: dict[str, Any], shape: Shape) -> list[str]:
    """Describe each name in a tfvars file's values that no variable has, with the nearest that one has."""
    lines = []
    for path, names in unknown_names(values, shape):
        near = difflib.get_close_matches(path[-1], names, 1)
        lines.append(".".join(path) + (f". Did you mean {near[0]}?" if near else ""))
    return lines


def check_variables(environment: str) -> None:
    """Raise LocalError for names in a tfvars file that no variable has: Terraform only warns, or says nothing."""
    file = variables(environment)
    lines = misspelt(load(file), Module(ROOT).variables())
    if lines:
        counted = "an unknown name" if len(lines) == 1 else f"{len(lines)} unknown names"
        raise LocalError("\n  ".join([f"env/{file.name} has {counted}:", *lines]))


def _installs_providers(file: str | None) -> bool:
    if not file:
        return False
    path = Path(file)
    return path.is_file() and "provider_installation" in path.read_text(encoding="utf-8")


def provider_environment(directory: Path) -> dict[str, str]:
    """Return the variables that let Terraform find its providers; a configuration is written into ``directory``."""
    given = os.environ.get("TF_CLI_CONFIG_FILE")
    # A configuration that says where providers come from is the operator's decision.
    if given and given != str(directory / "terraformrc") and _installs_providers(given):
        return {"TF_CLI_CONFIG_FILE": given}
    config = cli_config(directory)
    if config is not None:
        return {"TF_CLI_CONFIG_FILE": str(config)}
    PLUGIN_CACHE.mkdir(parents=True, exist_ok=True)
    # The AWS provider is some 700 MB: one download serves every environment.
    return {"TF_PLUGIN_CACHE_DIR": os.environ.get("TF_PLUGIN_CACHE_DIR") or str(PLUGIN_CACHE)}


def outside_environment() -> dict[str, str]:
    """Return this process's environment without what `. .local/env` has put there for Terraform alone."""
    return {
        name: value
        for name, value in os.environ.items()
        if not (name == "TF_DATA_DIR" or name.startswith("TF_CLI_ARGS")) or str(FOLDER) not in value
    }


def bare_environment() -> dict[str, str]:
    """Return this process's environment without anything of an AWS account, and of an earlier `. .local/env`."""
    return {
        name: value
        for name, value in outside_environment().items()
        if not name.startswith("AWS_") and name not in {"TF_WORKSPACE", "TF_DATA_DIR"}
    }
