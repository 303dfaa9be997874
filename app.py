"""Start the page for one model; `python app.py` here, and what a Hugging Face Space runs.

The environment variable `SFHUB_MODEL` names another model than the built-in one: an alias, a folder or a repo id.
"""

import logging
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# Before torch: on ZeroGPU it takes the place of the CUDA that torch would look for.
import space.accelerator  # noqa: F401, I001

import torch

from sfhub.pipelines.stylegan import StyleGANPipeline
from space.ui import build_app, launch

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    pipe = StyleGANPipeline.from_pretrained(os.environ.get("SFHUB_MODEL", "portraits"))
    launch(build_app(pipe.to("cuda" if torch.cuda.is_available() else "cpu")))
