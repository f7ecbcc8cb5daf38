"""The operator's commands: `payments`, or `python -m ops`. `make` calls some of them. No function carries them."""

import sys

from local import ROOT

# The functions' code defines payments, messages and stream records.
sys.path.insert(0, str(ROOT / "src"))
