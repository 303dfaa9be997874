"""Pictures as files for downloading, in the folder that Gradio serves from and tidies up."""

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from sfhub.pipelines.sample import Sample

__all__ = ["saved"]


def saved(sample: Sample) -> str:
    """The path of a PNG with the recipe inside; equal pictures share one file."""
    seeds = dict.fromkeys(step["seed"] for step in sample.recipe["steps"] if step["op"] == "sample")
    name = f"portrait-{'-'.join(map(str, seeds))}"[:80]
    return save_bytes_to_cache(sample.png(), f"{name}.png", get_upload_folder())
