"""Test the system under faults: break calls between the functions and AWS, then audit the results from outside."""

import sys

from local import ROOT

# Only for the list of currencies in the functions' code.
sys.path.insert(0, str(ROOT / "src"))
