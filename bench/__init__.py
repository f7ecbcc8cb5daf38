"""Measure what the stack costs: time, calls, bytes and money. ``python -m bench --help`` lists the measurements."""
