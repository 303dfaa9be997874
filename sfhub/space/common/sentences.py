"""Errors that a visitor caused, shown as the sentence they carry."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from sfhub.errors import InputError

__all__ = ["errors_as_sentences"]


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Turn an `InputError` into a `gr.Error`, which the page and `gradio_client` show; others stay errors of ours."""
    try:
        yield
    except InputError as error:
        raise gr.Error(str(error), duration=12, print_exception=False) from error
