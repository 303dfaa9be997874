"""ZeroGPU, the shared GPUs of Hugging Face Spaces: a function gets one only while it runs, and only if it asks.

Elsewhere the package `spaces` is not installed, and functions stay as they are. Import this module before torch, as
`spaces` wants to be.
"""

from collections.abc import Callable
from typing import TypeVar

try:
    import spaces
except ImportError:
    spaces = None

Function = TypeVar("Function", bound=Callable)

__all__ = ["SHARED", "on_accelerator"]

SHARED = spaces is not None
"""Whether the GPUs are shared, and so functions run in processes of their own."""


def on_accelerator(function: Function) -> Function:
    """`function`, run with a GPU attached where the page runs on ZeroGPU."""
    return function if spaces is None else spaces.GPU(function)
