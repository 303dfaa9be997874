"""The one kind of error that a user can cause.

Every message is one sentence that names the value, what was expected and what to do. The page shows it through
`gr.Error`, the command line prints it and exits with status 2. What was sent may be long, so sentences quote it through
`short` or `clipped`.
"""

import reprlib

__all__ = ["InputError", "clipped", "short"]

LONGEST = 80
"""Characters that a sentence repeats of what somebody sent."""


class InputError(ValueError):
    """A value, file or repository that cannot be used, explained in one sentence."""


_WRITER = reprlib.Repr()
_WRITER.maxlist = _WRITER.maxtuple = _WRITER.maxdict = _WRITER.maxset = _WRITER.maxfrozenset = LONGEST
_WRITER.maxstring = _WRITER.maxother = _WRITER.maxlong = 2 * LONGEST


def short(value: object) -> str:
    """A value as a sentence can quote it: as Python writes it, in at most 80 characters."""
    try:
        return clipped(_WRITER.repr(value))
    except ValueError:  # a number of more digits than Python writes
        return f"a very long {type(value).__name__}"


def clipped(text: str) -> str:
    """A text as a sentence can hold it: on one line, in at most 80 characters."""
    line = " ".join(text[: 2 * LONGEST].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
