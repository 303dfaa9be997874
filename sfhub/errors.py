"""The one kind of error that a user can cause.

Every message is one sentence that names the value, what was expected and what to do. The page shows it through
`gr.Error`, the command line prints it and exits with status 2.
"""

__all__ = ["InputError"]


class InputError(ValueError):
    """A value, file or repository that cannot be used, explained in one sentence."""
