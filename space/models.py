"""The models that a page offers, one workbench each.

Which ones: those that somebody names, in the environment variable `SFHUB_MODEL` or on the command line, else all that
are built in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sfhub.errors import InputError
from sfhub.pipelines import open_pipeline
from sfhub.pipelines.generator import GeneratorPipeline
from sfhub.pipelines.hub import ALIASES
from sfhub.pipelines.recipe import read_recipe
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from space.workbench import Workbench

__all__ = ["Models", "built_in", "open_models"]


class Models(Mapping[str, Workbench]):
    """Workbenches by the names of their models; the first is what visitors find.

    Args:
        benches: at least one.

    Raises:
        InputError: if two models have one name.
    """

    def __init__(self, benches: Sequence[Workbench]):
        self._benches = {bench.name: bench for bench in benches}
        if len(self._benches) < len(benches):
            names = [bench.name for bench in benches]
            double = next(name for name in names if names.count(name) > 1)
            raise InputError(f"Two models of this page are called {double!r}; rename the folder of one, or drop it.")

    def __getitem__(self, name: str) -> Workbench:
        """The workbench of a model.

        Raises:
            InputError: if the page has no such model.
        """
        if name not in self._benches:
            raise InputError(f"There is no model {name!r} on this page; it has {', '.join(self._benches)}.")
        return self._benches[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._benches)

    def __len__(self) -> int:
        return len(self._benches)

    @property
    def first(self) -> Workbench:
        """What visitors find."""
        return next(iter(self._benches.values()))

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What a picker shows of each model, and its name."""
        return [(f"{name} ({_family(bench.pipe)})", name) for name, bench in self._benches.items()]

    def of(self, pipes: Sequence[GeneratorPipeline]) -> "Models":
        """Those of some pipelines only, on the same workbenches."""
        return Models([bench for bench in self._benches.values() if bench.pipe in pipes])

    def maker(self, path: str) -> Workbench:
        """The workbench whose model made a saved picture, the first one if none did.

        Raises:
            InputError: if the file has no recipe.
        """
        revision = read_recipe(path)["model"]["revision"]
        made = (bench for bench in self._benches.values() if bench.pipe.model_record["revision"] == revision)
        return next(made, self.first)


def _family(pipe: GeneratorPipeline) -> str:
    if isinstance(pipe, SemanticStyleGANPipeline):
        return "SemanticStyleGAN"
    return "StyleGAN2" if pipe.fusion is None else "StyleFusion"


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
