"""Build the functions' layers from ``uv.lock``: for Lambda, and for the Python that runs the functions here.

One is every function's. The other is Stripe's package, for those that charge through it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from local import BUILD, EMBEDDED_PYTHON, ROOT, LocalError
from local.environments import LOCAL, variables
from local.hcl import Module, load

if TYPE_CHECKING:
    from pathlib import Path

UV = BUILD / "venv-uv" / "bin" / "uv"
PLATFORMS = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}
# Not needed to run: what pip would use to uninstall, what only a type checker reads, and what boto3 in the runtime
# brings with it, there compiled already.
LEFT_OUT = (
    "**/__pycache__",
    "bin",
    "**/*.dist-info/RECORD",
    "**/*.dist-info/direct_url.json",
    "**/*.pyi",
    "jmespath",
    "jmespath-*.dist-info",
    "*.lock",
    ".lock",
)


# What the layer of all functions has, and Stripe's package needs too.
COMMON = ("typing-extensions",)


def _without(packages: tuple[str, ...]) -> list[str]:
    return [word for package in packages for word in ("--no-emit-package", package)]


def requirements(group: str | None = None) -> str:
    """Return a layer's packages with their versions and hashes, as the lock has them.

    Those of a dependency group are without what the layer of all functions brings already.
    """
    command = [
        str(UV),
        "export",
        "--frozen",
        *(["--no-dev"] if group is None else ["--only-group", group, *_without(COMMON)]),
        "--no-emit-project",
        "--no-header",
        "--format",
        "requirements-txt",
    ]
    return _run(command)


def _run(command: list[str]) -> str:
    """Run uv and return what it prints. Raises LocalError if it fails; its own message is on standard error then."""
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - the locked uv
    if ran.returncode:
        raise LocalError(
            "the functions' layer could not be built: uv's message is above. Fix the cause, then repeat the command."
        )
    return ran.stdout


def target(env: str = LOCAL) -> tuple[str, str]:
    """Return the processor architecture and Python version that an environment's functions run on in AWS.

    What its tfvars leave out, and all of the local one's, is the root's default. Raises LocalError for tfvars that
    cannot be read, and for an architecture that there is no platform for.
    """
    wanted = {} if env == LOCAL else load(variables(env)).get("runtime", {})
    architecture, name = (
        wanted.get(attribute) or Module(ROOT).default("runtime", attribute) for attribute in ("architecture", "name")
    )
    if architecture not in PLATFORMS:
        raise LocalError(f"runtime.architecture must be one of {', '.join(PLATFORMS)}, not {architecture!r}")
    return architecture, name.removeprefix("python")


def build(folder: Path, options: list[str], made_for: str, group: str | None = None) -> bool:
    """Build a layer into ``folder`` unless it is there for this lock already; say whether it was built."""
    wanted = requirements(group) + f"# {' '.join(options)}, without {' '.join(LEFT_OUT)}\n# for {made_for}\n"
    stamp = folder / "requirements.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    packages = folder / "python"
    packages.mkdir(parents=True)
    listed = folder / "requirements.partial"
    listed.write_text(wanted, encoding="utf-8")
    command = [
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--target",
        str(packages),
        # The lock lists them all.
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-compile-bytecode",
    ]
    _run([*command, "--require-hashes", *options, "-r", str(listed)])
    for pattern in LEFT_OUT:
        for path in list(packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Last, since its presence says that the layer is whole.
    listed.rename(stamp)
    return True


def build_all(env: str = LOCAL) -> None:
    """Build each layer, for an environment's functions in AWS and for this machine. Raises LocalError if one fails."""
    architecture, version = target(env)
    wanted = {
        "layer": ["--python-platform", PLATFORMS[architecture], "--python-version", version],
        "layer-local": ["--python", str(EMBEDDED_PYTHON)],
    }
    # By this Terraform sees that a layer is for another runtime than the functions.
    made_for = {"layer": f"python{version} on {architecture}", "layer-local": "the Python of this machine"}
    for name, options in wanted.items():
        for group, folder in {None: name, "stripe": f"{name}-stripe"}.items():
            if build(BUILD / folder, options, made_for[name], group):
                sys.stderr.write(f"built build/{folder}\n")


def main(env: str = LOCAL) -> int:
    """Build the layers; return the exit status."""
    try:
        build_all(env)
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
