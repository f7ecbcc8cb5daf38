"""Say in one line what this machine lacks. Runs on any Python 3, before anything is installed."""

import re
import shutil
import subprocess
import sys

PYTHON = (3, 11)
TERRAFORM = (1, 11)


def complaint():
    """Return what is missing and the way out, or None."""
    if sys.version_info < PYTHON:
        return "Python %d.%d or newer is needed; this is %s. Name another: make PYTHON=python3.13 ..." % (
            *PYTHON,
            sys.version.split()[0],
        )
    path = shutil.which("terraform")
    if path is None:
        return "Terraform %d.%d or newer is needed and is not on the PATH. Install it, then run make again." % TERRAFORM
    said = subprocess.run([path, "version"], stdout=subprocess.PIPE, check=False).stdout.decode()
    version = re.search(r"Terraform v(\d+)\.(\d+)", said)
    if version is None or tuple(map(int, version.groups())) < TERRAFORM:
        return "Terraform %d.%d or newer is needed; %s is %s." % (*TERRAFORM, path, said.split("\n")[0])
    return None


if __name__ == "__main__":
    sys.exit(complaint())
