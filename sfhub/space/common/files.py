"""Pictures as files for downloading, in the folder that Gradio serves from and tidies up."""

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from sfhub.pipelines.sample import Sample
from sfhub.steps.recipe import read_steps

__all__ = ["saved"]


def saved(sample: Sample) -> str:
    """The path of a PNG with the recipe inside, named after the pictures it was made of; equal ones share one file."""
    names = dict.fromkeys(each.step.name for each in read_steps(sample.recipe) if each.step.name is not None)
    return save_bytes_to_cache(sample.png(), f"{'-'.join(['portrait', *names])[:80]}.png", get_upload_folder())
