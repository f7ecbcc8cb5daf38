"""Inspect, run and repair a payments deployment: `payments`, or `python -m ops`."""

import signal
import sys


def main() -> int:
    """Run a command; return the process's exit status."""
    # Loading the commands takes a second. Until they are ready for Ctrl-C, it ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ops.program import run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
