"""Start the page; `python app.py` here, and what a Hugging Face Space runs.

The environment variable `SFHUB_MODEL` names other models than the built-in ones: aliases, folders or repo ids, with
commas between them.
"""

import logging
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# Before torch: on ZeroGPU it takes the place of the CUDA that torch would look for.
import space.accelerator  # noqa: F401, I001

import torch

from space.models import open_models
from space.ui import build_app, launch

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    names = [name.strip() for name in os.environ.get("SFHUB_MODEL", "").split(",")]
    launch(build_app(open_models(list(filter(None, names)), "cuda" if torch.cuda.is_available() else "cpu")))
