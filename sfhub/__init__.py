"""sfhub: give every semantic region of a generated picture its own source, and share the result on the Hub.

`import sfhub` costs next to nothing: the names below are imported, and torch with them, when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME_OF = {
    "InputError": "sfhub.errors",
    "PortraitParser": "sfhub.portraits.parser",
    "RegionCatalog": "sfhub.regions.catalog",
    "Sample": "sfhub.pipelines.sample",
    "SemanticStyleGANGenerator": "sfhub.models.semantic_stylegan",
    "SemanticStyleGANPipeline": "sfhub.pipelines.semantic_stylegan",
    "Segmentation": "sfhub.pipelines.sample",
    "StyleGAN2Generator": "sfhub.models.stylegan2",
    "StyleGANPipeline": "sfhub.pipelines.stylegan",
    "open_pipeline": "sfhub.pipelines.families",
    "redo": "sfhub.pipelines.redo",
}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562) and keep it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sfhub' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
