"""How the page names a picture without holding it: in what a visitor chose, in keys of caches, in markup."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from sfhub.pipelines.sample import Sample
from sfhub.steps.checks import check_seed

__all__ = ["PictureRef", "refs"]


@dataclass(frozen=True, order=True)
class PictureRef:
    """The portrait of a seed, or a picture that has none, such as one that was mixed, edited or made of a photograph.

    Attributes:
        key: the seed in digits, or `sha256:` and the digest of the picture's recipe.
    """

    key: str

    @classmethod
    def of_seed(cls, seed: Any) -> Self:
        """The portrait of a seed.

        Raises:
            InputError: unless the seed is a whole number in range.
        """
        return cls(str(check_seed(seed)))

    @classmethod
    def read(cls, key: Any) -> Self:
        """The picture that a browser names.

        Raises:
            InputError: unless it is a seed in range or a digest.
        """
        if isinstance(key, str) and re.fullmatch("sha256:[0-9a-f]{64}", key):
            return cls(key)
        return cls.of_seed(int(key) if isinstance(key, str) and re.fullmatch("[0-9]{1,10}", key) else key)

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """A picture, by how it was made."""
        made = json.dumps([sample.recipe["model"], sample.recipe["steps"]], sort_keys=True)
        return cls(f"sha256:{hashlib.sha256(made.encode()).hexdigest()}")

    @property
    def seed(self) -> int | None:
        """The seed of a portrait that has one."""
        return int(self.key) if self.key.isdecimal() else None

    @property
    def label(self) -> str:
        """What people read: the seed, or the beginning of the digest."""
        return self.key.removeprefix("sha256:")[:8] if self.seed is None else self.key

    def __str__(self) -> str:
        return self.label


def refs(*seeds: int) -> tuple[PictureRef, ...]:
    """The portraits of some seeds."""
    return tuple(map(PictureRef.of_seed, seeds))
