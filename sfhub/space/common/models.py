"""The models that a page offers.

Which ones: those that somebody names, in the environment variable `SFHUB_MODEL` or on the command line, else all that
are built in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sfhub.errors import InputError, short
from sfhub.pipelines import open_pipeline
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.hub import ALIASES
from sfhub.space.common.cached_model import CachedModel
from sfhub.steps.png import read_recipe
from sfhub.steps.recipe import Recipe

__all__ = ["Models", "built_in", "open_models"]


class Models(Mapping[str, CachedModel]):
    """Models by their names; the first is what visitors find.

    Args:
        models: at least one.

    Raises:
        InputError: if two models have one name.
    """

    def __init__(self, models: Sequence[CachedModel]):
        self._models = {model.name: model for model in models}
        if len(self._models) < len(models):
            names = [model.name for model in models]
            double = next(name for name in names if names.count(name) > 1)
            raise InputError(
                f"Two models of this page are called {short(double)}; rename the folder of one, or drop it."
            )

    def __getitem__(self, name: str) -> CachedModel:
        """A model by name.

        Raises:
            InputError: if the page has no such model.
        """
        if name not in self._models:
            raise InputError(f"There is no model {short(name)} on this page; it has {', '.join(self._models)}.")
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @property
    def first(self) -> CachedModel:
        """What visitors find."""
        return next(iter(self._models.values()))

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What a picker shows of each model, and its name."""
        return [(f"{name} ({_title(model)})", name) for name, model in self._models.items()]

    def of(self, pipes: Sequence[GeneratorPipeline]) -> "Models":
        """The models of some pipelines only; their cached pictures stay."""
        return Models([model for model in self._models.values() if model.pipe in pipes])

    def opened(self, path: str) -> tuple[CachedModel, Recipe]:
        """The model that made a saved picture, the first one if none did, and the picture's recipe.

        Raises:
            InputError: if the file has no recipe.
        """
        recipe = read_recipe(path)
        revision = recipe["model"]["revision"]
        made = (each for each in self._models.values() if each.pipe.model_record["revision"] == revision)
        return next(made, self.first), recipe


def _title(model: CachedModel) -> str:
    """What tells models apart: the family, or the best way of mixing where that is not all of the family's."""
    best = model.menu.ways[0]
    return best.TITLE if best.TAKES_LAYOUT else model.pipe.FAMILY


def built_in() -> list[str]:
    """Names of the built-in models that this installation has."""
    return [name for name, folder in ALIASES.items() if folder.is_dir()]


def open_models(names: Sequence[str] = (), device: str = "cpu", **kwargs: Any) -> list[GeneratorPipeline]:
    """Load the models of a page.

    Args:
        names: aliases, folders or repo ids; all built-in models if there are none.
        device: where to compute.
        **kwargs: for `from_pretrained`, such as `revision`.

    Raises:
        InputError: as `from_pretrained`.
    """
    return [open_pipeline(name, **kwargs).to_device(device) for name in names or built_in()]
