"""What users call: pipelines put the networks together, load them from the Hub and turn codes into pictures."""

from typing import Any

__all__ = ["open_pipeline"]


def __getattr__(name: str) -> Any:
    """Import `open_pipeline`, and torch with it, on first use (PEP 562)."""
    if name != "open_pipeline":
        raise AttributeError(f"module 'sfhub.pipelines' has no attribute {name!r}")
    from sfhub.pipelines.families import open_pipeline

    return open_pipeline
