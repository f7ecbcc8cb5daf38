"""What the stack takes: time, calls, bytes and money. ``python -m bench --help`` says what can be measured."""
