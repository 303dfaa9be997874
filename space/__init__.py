"""The entry of the page for `app.py` and Hugging Face Spaces; the page itself is the package `sfhub.space`."""

import logging
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# Before torch: on ZeroGPU it takes the place of the CUDA that torch would look for.
import sfhub.space.common.accelerator  # noqa: F401, I001

import torch

from sfhub.space.common.models import open_models
from sfhub.space.page import build_app, launch

__all__ = ["main"]


def main() -> None:
    """Serve the models that the environment variable `SFHUB_MODEL` names, else the built-in ones.

    It holds aliases, folders or repo ids, with commas between them.
    """
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    names = [name.strip() for name in os.environ.get("SFHUB_MODEL", "").split(",")]
    launch(build_app(open_models(list(filter(None, names)), "cuda" if torch.cuda.is_available() else "cpu")))
