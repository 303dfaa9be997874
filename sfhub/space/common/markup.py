"""Markup that tabs share: the views of a picture, of which one is large, and tiles to choose from.

Names come from a model that may be anybody's, so they are escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["cross", "empty_views", "escaped", "small", "tile", "views"]


def escaped(text: str, quote: bool = True) -> str:
    """Text that may be anybody's, such as names in a model or a recipe, to stand in markup; nothing else lets it in.

    Args:
        quote: also for the value of an attribute.
    """
    return escape(text, quote)


def empty_views(names: Iterable[str]) -> str:
    """What stands in the place of `views` until the first pictures come, so that nothing jumps."""
    places = "".join(f'<div class="view {name}"></div>' for name in names)
    return f'<div class="views">{places}</div>'


def views(shown: Sequence[tuple[str, str, str, str]], over: str = "") -> str:
    """Pictures beside each other; the browser decides which of them is large.

    Args:
        shown: key, title, description and `data:` URI of each.
        over: markup that lies over the large one.
    """
    buttons = "".join(
        f'<button type="button" class="view {key}" data-view="{key}" title="Show large">'
        f'<img src="{source}" alt="{description}" draggable="false"><span>{title}</span></button>'
        for key, title, description, source in shown
    )
    return f'<div class="views">{buttons}{over}</div>'


def tile(
    kind: str, target: str, title: str, note: str, picture: str, colour: str, *, active: bool, classes: str = "",
    extra: str = "",
) -> str:  # fmt: skip
    """Something that can be chosen.

    Args:
        kind: name of the data attribute that holds `target`.
        target: what a click reports.
        title: plain text.
        note, picture, extra: markup; below the title, before it, and after the button.
        colour: of the frame, as CSS has it.
        active: whether it is chosen.
        classes: more of them, each after a blank.
    """
    return (
        f'<div class="chip{" active" if active else ""}{classes}" style="--region: {colour}">'
        f'<button type="button" class="choose" data-action="choose" data-{kind}="{escaped(target)}" '
        f'aria-pressed="{str(active).lower()}">{picture}<span><b>{escaped(title)}</b><small>{note or "&nbsp;"}</small>'
        f"</span></button>{extra}</div>"
    )


def cross(kind: str, target: str, sentence: str) -> str:
    """A button on a tile that undoes what was chosen; `sentence`, plain text, says so."""
    sentence = escaped(sentence)
    return (
        f'<button type="button" class="clear" data-action="clear" data-{kind}="{escaped(target)}" '
        f'aria-label="{sentence}" title="{sentence}">&times;</button>'
    )


def small(*sources: str) -> str:
    """The picture on a tile, of `data:` URIs; a second one covers the first below its diagonal."""
    classes = ("", 'class="texture" ')
    images = (
        f'<img {which}src="{source}" alt="" width="40" height="40">'
        for which, source in zip(classes, sources, strict=False)
    )
    return f'<span class="faces">{"".join(images)}</span>'
