"""The regions of a SemanticStyleGAN: a small tree over its classes.

So that a name means the same to both generator families, the classes of a portrait hang below the regions that the
catalogs of the other family have; any class is a region by its own name too. "eyes" is both: the region, which holds
the brows, and so the class is reached by giving "brows" another source.
"""

from collections.abc import Sequence

from sfhub.portraits.classes import CLASSES
from sfhub.regions.names import unknown_region
from sfhub.regions.naming import CLASS_GROUPS

__all__ = ["ClassRegions"]

APPEARANCE = ("background", "skin", "nose", "eyes", "brows", "mouth", "ears", "neck", "hair", "clothes")
"""In which order the paper's fig. 5 builds a face, accessories last."""


class ClassRegions:
    """The regions of a generator, by the names that users give them.

    Args:
        class_names: those of the generator's configuration, or None: `class 0`, `class 1`, ...
        num_classes: their number.

    Attributes:
        classes: names of the classes, by which pixels are labelled.
        regions, single: names to offer; none is part of another.
        groups: empty, for no region is part of another.
        labels: as `classes`.
        appearance: indices of the classes in the order in which a picture builds up, the background first.
    """

    def __init__(self, class_names: Sequence[str] | None, num_classes: int):
        self.classes = tuple(class_names or (f"class {k}" for k in range(num_classes)))
        # A class "face" of some other data set must not be taken for the portraits' region of that name.
        groups = CLASS_GROUPS if set(self.classes) <= set(CLASSES) else {}
        present = {name: tuple(each for each in group if each in self.classes) for name, group in groups.items()}
        grouped = {each for group in present.values() for each in group}
        alone = {each: (each,) for each in self.classes if each not in grouped}
        self._parts = {name: group for name, group in present.items() if group} | alone
        self.regions = self.single = tuple(self._parts)
        self.groups, self.labels = (), self.classes
        rank = {name: k for k, name in enumerate(APPEARANCE if groups else ())}
        self.appearance = sorted(range(num_classes), key=lambda k: rank.get(self.classes[k], len(rank)))

    def covered_by(self, name: str) -> tuple[str, ...]:
        """The classes that a region covers.

        Raises:
            InputError: for an unknown name.
        """
        if name not in self._parts and name not in self.classes:
            raise unknown_region(name, tuple(dict.fromkeys([*self.regions, *self.classes])))
        return self._parts.get(name, (name,))

    def groups_of(self, name: str) -> tuple[str, ...]:
        """Empty, for no region is part of another."""
        return ()

    def indices(self, names: Sequence[str]) -> list[int]:
        """Indices of the classes that regions cover, rising."""
        return sorted({self.classes.index(each) for name in names for each in self.covered_by(name)})

    def owners(self, names: Sequence[str]) -> dict[int, str]:
        """Which of `names` each class, by its index, follows: of those that cover it the innermost.

        Raises:
            InputError: as `covered_by`.
        """
        found: dict[int, str] = {}
        for name in sorted(names, key=lambda name: name not in self._parts):
            found |= dict.fromkeys(self.indices([name]), name)
        return found
