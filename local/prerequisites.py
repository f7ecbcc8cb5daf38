"""Name what this machine lacks, in one line. Runs on any Python 3, before anything is installed."""

import re
import shutil
import signal
import subprocess
import sys

PYTHON = (3, 11)
TERRAFORM = (1, 11)


def complaint():  # type: ignore[no-untyped-def]  # noqa: ANN201 - annotations of today fail on the Pythons that this must refuse
    """Return what is missing and the way out, or None."""
    if sys.version_info < PYTHON:
        return "Python 3.11 or newer is required. This is %s. Try: make PYTHON=python3.13 up" % sys.version[:6]  # noqa: UP031
    path = shutil.which("terraform")
    if path is None:
        return "Terraform 1.11 or newer is required and is not on the PATH. Install it, then run make again."
    said = subprocess.check_output([path, "version"], stderr=subprocess.DEVNULL).decode()  # noqa: S603 - found above
    version = re.search(r"Terraform v(\d+)\.(\d+)", said)
    if version is None or tuple(map(int, version.groups())) < TERRAFORM:
        return "Terraform 1.11 or newer is required. {} is {}.".format(path, said.split("\n")[0])
    return None


if __name__ == "__main__":
    # Ctrl-C ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(complaint())  # type: ignore[no-untyped-call]
