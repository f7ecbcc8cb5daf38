"""Payment gateways: the port that they share, and one module or folder for each."""
