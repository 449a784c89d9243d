"""One module a command; each has `add_parser` and what the command runs."""
