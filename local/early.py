"""Run a module as ``python -m`` does: ``python -m local.early MODULE``. An early Ctrl-C shows no traceback.

Loading a program may take a second. Until it is ready for Ctrl-C, that ends the process, which has nothing to tidy up.
"""

import runpy
import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
