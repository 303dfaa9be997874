"""Checks of values that come from a stranger's recipe: bounded, typed, and named where they are wrong."""

from typing import Any

from sfhub.errors import InputError, short

__all__ = ["check_seed", "is_integer", "is_named", "is_names", "is_number", "is_text", "need"]

MAX_SEED = 2**32 - 1
MAX_NAMES = 64


def check_seed(seed: Any) -> int:
    """`seed` as an int.

    Raises:
        InputError: unless it is an integer from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) <= MAX_SEED:
        raise InputError(f"Seed {short(seed)} cannot be used; take a whole number from 0 to {MAX_SEED}.")
    return int(seed)


def need(fine: Any, what: str, value: Any, expected: str) -> None:
    """Raise an InputError unless `fine`; `what` says where in the recipe `value` is, `expected` what should be."""
    if not fine:
        raise InputError(f"The recipe is damaged: {what} is {short(value)} where {expected} is expected.")


def is_integer(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any, low: float, high: float) -> bool:
    """Whether it is a number from `low` to `high`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def is_text(value: Any) -> bool:
    """Whether it is a line of 1 to 500 characters."""
    return isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable()


def is_names(value: Any) -> bool:
    """Whether it is a list of different names, of none to 64."""
    fine = isinstance(value, list) and len(value) <= MAX_NAMES and all(map(is_text, value))
    return fine and len(set(value)) == len(value)


def is_named(value: Any) -> bool:
    """Whether it is an object of none to 64 entries with such names."""
    return isinstance(value, dict) and is_names(list(value))
