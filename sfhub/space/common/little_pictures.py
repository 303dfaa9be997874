"""Little pictures that take long together, sent a few at a time, and no longer than somebody wants them."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import gradio as gr

from sfhub.space.common.cache import Cache
from sfhub.space.common.sentences import answer_in_turn

__all__ = ["ENTRIES", "LittlePictures"]

ENTRIES = "Object.fromEntries(JSON.parse('[' + {} + '[]]'))"
"""JavaScript in a template that gives the pictures by key; the name of the property goes in."""

AT_ONCE = 4
"""Pictures that are sent together."""

VISITORS = 4096


class LittlePictures:
    """Remembers what each visitor wants to see now, to stop making what they wanted before."""

    def __init__(self):
        self._newest = Cache(VISITORS)

    def sent(self, pictures: Iterator[tuple[str, str]], prop: str, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Updates of a `gr.HTML`: none of its pictures first, then more and more, until the visitor wants others.

        Args:
            pictures: keys and `data:` URIs, made as they are asked for.
            prop: the property of the component that has them, for `ENTRIES` to read.
            request: by which visitors are told apart.
        """
        place, run = (request.session_hash, prop), object()
        self._newest.put(place, run)
        # Gradio sends what was added only, and browsers notice that in strings, but not inside of objects.
        told = ""
        yield gr.update(**{prop: told})
        for count in itertools.count(1):
            with answer_in_turn():  # each in a turn of its own
                entry = next(pictures, None)
            if entry is None:
                break
            if self._newest.get(place) is not run:
                # What is sent last is sent again at the end, when others have come in its place.
                yield gr.skip()
                return
            told += f"{json.dumps(entry)},"
            if count % AT_ONCE == 0:
                yield gr.update(**{prop: told})
        yield gr.update(**{prop: told})
