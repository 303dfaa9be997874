"""What a visitor has done in the tab Label regions: which clusters are chosen and how they are named.

Values that never change; every click makes a new one.
"""

from dataclasses import dataclass, replace

from sfhub.errors import InputError, short

__all__ = ["OTHER", "Labels"]

OTHER = "other"
"""The region of all clusters that were not named."""

MAX_NAME = 40


@dataclass(frozen=True)
class Labels:
    """Names of clusters.

    Attributes:
        seed: of the pictures that the clusters were found on.
        names: one per cluster, empty while it has none.
        chosen: the clusters that the next name is for.
    """

    seed: int
    names: tuple[str, ...]
    chosen: frozenset[int] = frozenset()

    @classmethod
    def blank(cls, seed: int, count: int) -> "Labels":
        """Of `count` clusters without names."""
        return cls(seed, ("",) * count)

    @property
    def regions(self) -> tuple[str, ...]:
        """The names given so far, in the order of their first clusters."""
        return tuple(dict.fromkeys(filter(None, self.names)))

    @property
    def final_names(self) -> list[str]:
        """One name per cluster, that of `OTHER` included."""
        return [name or OTHER for name in self.names]

    def toggle(self, cluster: int) -> "Labels":
        """Choose a cluster, or leave it if it is chosen; numbers that are no cluster's change nothing."""
        return replace(self, chosen=self.chosen ^ ({cluster} & set(range(len(self.names)))))

    def rename(self, name: str) -> "Labels":
        """Name the chosen clusters, which merges them with others of that name; an empty name takes theirs away.

        Raises:
            InputError: if no cluster is chosen, or the name is too long.
        """
        name = " ".join(name.split())
        if not self.chosen:
            raise InputError("No cluster is chosen; click one in a picture or in the list first.")
        if len(name) > MAX_NAME:
            raise InputError(f"The name {short(name[:20])}... has {len(name)} characters; take at most {MAX_NAME}.")
        names = (name if index in self.chosen else old for index, old in enumerate(self.names))
        return replace(self, names=tuple(names), chosen=frozenset())

    def with_names(self, names: list[str]) -> "Labels":
        """All names at once, as a parser suggests them."""
        return replace(self, names=tuple(names), chosen=frozenset())
