"""Settings of a training from the command line: `NAME=VALUE`, the value in JSON."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sfhub.errors import InputError

__all__ = ["choose_preset", "with_settings"]

Config = TypeVar("Config")


def choose_preset(presets: Mapping[str, Config], name: str, what: str = "preset") -> Config:
    """The preset of that name; `what` is what errors call it.

    Raises:
        InputError: if there is none.
    """
    if name not in presets:
        raise InputError(f"There is no {what} {name!r}; choose one of {', '.join(presets)}.")
    return presets[name]


def with_settings(config: Config, pairs: Sequence[str]) -> Config:
    """Settings with some of them changed.

    Args:
        config: a dataclass.
        pairs: `NAME=VALUE`, the value in JSON (`images=1000`, `channels={"4": 64}`); what is no JSON is taken as text,
            and lists become tuples.

    Raises:
        InputError: for a pair without `=`, a name that is no setting, or text where a number is set.
    """
    known = {field.name for field in dataclasses.fields(config)}
    changes: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} sets nothing; give NAME=VALUE, such as seed=1.")
        if name not in known:
            raise InputError(f"There is no setting {name!r}; choose among {', '.join(sorted(known))}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        before = getattr(config, name)
        if isinstance(before, (int, float)) and not isinstance(value, (int, float, type(None))):
            raise InputError(f"The setting {name} is a number, {before} if not set, and {text!r} is none.")
        changes[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(config, **changes)
