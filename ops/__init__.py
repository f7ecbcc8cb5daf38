"""The operator's commands: `python -m ops up`, `down`, `deploy`, `plan`, `outputs`. `make` calls them."""
