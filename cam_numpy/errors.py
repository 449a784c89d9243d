"""The error of a user's input, as opposed to a bug of ours."""


class InputError(ValueError):
    """Something given cannot be used: what, what was given, what to do, in one line."""
