"""A model whose pictures are computed once each while memory lasts, for many visitors at once.

What is remembered is keyed by what a picture is made of, never by visitor, so it holds no state of theirs, and two
people who look at the same portrait share it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sfhub.errors import InputError
from sfhub.limits import limits
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.sample import Sample
from sfhub.space.common.accelerator import SHARED, on_accelerator
from sfhub.space.common.cache import Cache
from sfhub.space.common.menu import Menu
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.turns import TURNS
from sfhub.steps.recipe import cost_of, read_steps

__all__ = ["MEMORY_BYTES", "CachedModel", "check_cost"]

MEMORY_BYTES = 128 * 2**20


class CachedModel:
    """The pictures of one pipeline.

    Args:
        pipe: with regions; its progress bars are turned off.

    Attributes:
        name: of the model.
        menu: what there is to choose from.
    """

    def __init__(self, pipe: GeneratorPipeline):
        self.pipe = pipe
        self.name = pipe.model_record["name"]
        self.menu = Menu.of(pipe)
        # Progress bars would fill a server's log; the page shows its own.
        pipe.set_progress_bar_config(disable=True)
        if not SHARED:  # what runs there runs in another process
            pipe.between_pictures = TURNS.pause
        self._generate = on_accelerator(self._compute_samples)
        self._redo = on_accelerator(self._compute_redo)
        # A code, a picture and two maps.
        self._samples = Cache(self.capacity(10))
        self._brought = Cache(self.capacity(10))

    def capacity(self, bytes_per_pixel: int) -> int:
        """How many pictures of this model a cache may hold, at so many bytes per pixel."""
        return max(32, MEMORY_BYTES // (bytes_per_pixel * self.pipe.generator.config.resolution**2))

    def samples(self, pictures: Sequence[PictureRef], psi: float) -> list[Sample]:
        """Some pictures, in their order.

        Args:
            pictures: portraits of seeds, or what was brought by `bring`.
            psi: of the portraits.

        Raises:
            InputError: as `sample` of the pipeline, for a picture that is not remembered any longer, or for too many.
        """
        known = {ref: self._known(ref, psi) for ref in pictures}
        missing = [ref for ref, sample in known.items() if sample is None]
        check_cost(len(missing))
        if missing:
            for ref, sample in zip(missing, self._generate([ref.seed for ref in missing], psi), strict=True):
                known[ref] = self._samples.put((ref, psi), sample)
        return [known[ref] for ref in pictures]

    def bring(self, sample: Sample) -> PictureRef:
        """Remember a picture of this model that has no seed, such as one that was edited."""
        ref = PictureRef.of(sample)
        self._brought.put(ref, sample.on_cpu())
        return ref

    def knows(self, ref: PictureRef) -> bool:
        """Whether `samples` can give a picture."""
        return ref.seed is not None or self._brought.get(ref) is not None

    def _known(self, ref: PictureRef, psi: float) -> Sample | None:
        if ref.seed is not None:
            return self._samples.get((ref, psi))
        found = self._brought.get(ref)
        if found is None:
            raise InputError(f"The picture {ref.label} is no longer kept on this page; open it again.")
        return found

    def redo(self, recipe: Mapping[str, Any]) -> Sample:
        """The picture that a checked recipe describes, made again.

        Raises:
            InputError: if it is of another model, or would cost too much.
        """
        self.check_model(recipe)
        check_cost(cost_of(read_steps(recipe)))
        return self._redo(recipe)

    def check_model(self, recipe: Mapping[str, Any]) -> None:
        """Refuse the recipe of another model; a page must not fetch models that its visitors name.

        Raises:
            InputError: naming both models.
        """
        theirs, ours = recipe["model"], self.pipe.model_record
        if theirs["revision"] != ours["revision"]:
            raise InputError(
                f"This picture was made with the model {theirs['name']} ({theirs['revision']}), but this page runs "
                f"{ours['name']} ({ours['revision']}); make it again with `sfhub redo`."
            )

    def _compute_samples(self, seeds: list[int], psi: float) -> list[Sample]:
        return [sample.on_cpu() for sample in self.pipe.sample(seeds, truncation_psi=psi)]

    def _compute_redo(self, recipe: Mapping[str, Any]) -> Sample:
        return self.pipe.redo(recipe).on_cpu()


def check_cost(cost: float) -> None:
    """Refuse what would take too long for others to wait.

    Args:
        cost: in pictures of the model.

    Raises:
        InputError: if it is more than `Limits.request_cost`.
    """
    most = limits().request_cost
    if cost > most:
        raise InputError(
            f"This would take as long as {cost:,.0f} portraits, more than the {most:,} that this page makes for one "
            "request; ask for less, or use sfhub on a machine of your own."
        )
