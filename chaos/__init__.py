"""Prove the system under fire: faults between the functions and AWS, and an audit from outside when they are over."""

import sys

from local import ROOT

# The functions' code, as they have it, for the currencies alone.
sys.path.insert(0, str(ROOT / "src"))
