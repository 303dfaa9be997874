"""An edited picture beside what it was: what differs, where it was meant to, and all of it drawn once for everybody."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sfhub.images.lock import OutsideChange, outside_change
from sfhub.pipelines.sample import Sample, Segmentation
from sfhub.space.common.pictures import data_uri, enlarge, heat_map, outline

__all__ = ["EditComparison"]


@dataclass(frozen=True, eq=False)
class EditComparison:
    """An edited picture beside the one it was, and beside the same edits in the whole picture.

    Attributes:
        base, result, everywhere: the pictures.
        segmentation: which region each pixel of the result belongs to, by the names of the menu.
        changed: boolean `[H, W]`, the regions of all edits as they lie in any of the pictures on the way.
        difference: CIELAB distance of base and result per pixel, float32 `[H, W]`.
    """

    base: Sample
    result: Sample
    everywhere: Sample
    segmentation: Segmentation
    changed: np.ndarray
    difference: np.ndarray

    @cached_property
    def outside(self) -> OutsideChange:
        """What the edits changed where they were not meant to."""
        return outside_change(self.result.image, self.base.image, self.changed)

    @cached_property
    def outside_everywhere(self) -> OutsideChange:
        """The same of the edits in the whole picture."""
        return outside_change(self.everywhere.image, self.base.image, self.changed)

    # Drawn once for all visitors.

    @cached_property
    def base_uri(self) -> str:
        return data_uri(enlarge(self.base.image))

    @cached_property
    def result_uri(self) -> str:
        return data_uri(enlarge(self.result.image))

    @cached_property
    def everywhere_uri(self) -> str:
        return data_uri(enlarge(self.everywhere.image))

    @cached_property
    def difference_uri(self) -> str:
        return data_uri(heat_map(self.difference, self.changed))

    @cached_property
    def outlines(self) -> dict[str, str]:
        """Path data of each region that can be seen."""
        names, labels = self.segmentation.regions, self.segmentation.labels
        return {name: outline(labels == k) for k, name in enumerate(names) if (labels == k).any()}
