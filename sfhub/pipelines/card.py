"""Model cards: what a saved or pushed pipeline is, how to use it, and that its pictures are synthetic."""

from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard, ModelCardData

import sfhub

if TYPE_CHECKING:
    from sfhub.pipelines.base import SfhubPipeline

__all__ = ["model_card"]


def model_card(pipe: "SfhubPipeline", name: str) -> str:
    """Text of the `README.md` for a pipeline.

    Args:
        pipe: the pipeline.
        name: repo id or name of the folder that the card is for.
    """
    metadata = ModelCardData(
        library_name="sfhub",
        pipeline_tag="unconditional-image-generation",
        tags=["sfhub", *pipe.TAGS, "region-mixing", "synthetic-media"],
    )
    template = Template(files("sfhub.pipelines").joinpath("model_card.md").read_text(encoding="utf-8"))
    body = template.substitute(
        name=name,
        pipeline=type(pipe).__name__,
        components="\n".join(_component_rows(pipe)),
        facts="\n".join(f"- {key}: {value}" for key, value in pipe.card_facts().items()),
        version=sfhub.__version__,
    )
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}"))


def _component_rows(pipe: "SfhubPipeline") -> list[str]:
    present = {name: component for name, component in pipe.components.items() if component is not None}
    counts = {name: sum(value.numel() for value in each.state_dict().values()) for name, each in present.items()}
    return [f"| `{name}` | `{type(each).__name__}` | {counts[name]:,} |" for name, each in present.items()]
