"""The operator's commands: `payments`, or `python -m ops`. `make` calls some of them. No function carries them."""

import sys

from local import ROOT

# What a payment, a message and a stream record are is the functions' to say.
sys.path.insert(0, str(ROOT / "src"))
