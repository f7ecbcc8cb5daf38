"""A page about the stack that runs on this machine, for a browser on this machine."""
