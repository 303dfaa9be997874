"""Answers to visitors: each in its turn, and what a visitor did wrong as the sentence that says so."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from sfhub.errors import InputError
from sfhub.space.common.markup import escaped
from sfhub.space.common.turns import TURNS
from sfhub.space.common.visitors import current_visitor, is_awaited

__all__ = ["answer_in_turn", "errors_as_sentences"]


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Turn an `InputError` into a `gr.Error`, which the page and `gradio_client` show; others stay errors of ours.

    The page shows it as markup, and it may quote what a stranger wrote.
    """
    try:
        yield
    except InputError as error:
        raise gr.Error(escaped(str(error), quote=False), duration=12, print_exception=False) from error


@contextmanager
def answer_in_turn() -> Iterator[None]:
    """The same, for what makes pictures: it begins when it is the visitor's turn."""
    with errors_as_sentences(), TURNS.job(current_visitor(), is_awaited()):
        yield
