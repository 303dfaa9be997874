"""What the tab *Build a face* shows, as HTML: pure functions from choices and pictures to markup.

The outlines of all components lie over the large view as SVG paths, which the browser finds under a pointer and moves
with it; where they were drawn for travels along (`data-places`). Names come from a model that may be anybody's, so they
are escaped.
"""

import json
from collections.abc import Mapping, Sequence

from PIL import Image

from sfhub.pipelines.semantic_stylegan import Component
from sfhub.space.build_face.state import BACKGROUND, HOME, WHOLE, Backdrop, Building, Face, Place
from sfhub.space.build_face.work import Drawing
from sfhub.space.common import markup
from sfhub.space.common.pictures import (
    colour_of,
    data_uri,
    depth_map,
    enlarge,
    hex_colour,
    thumbnail,
)

__all__ = ["VIEWS", "chips", "label", "notes", "steps", "views"]

EYE = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2.5 12s3.5-6 9.5-6 9.5 6 9.5 6-3.5 6-9.5 6-9.5-6-9.5-6Z"/>'
    '<circle cx="12" cy="12" r="2.6"/><path class="slash" d="M4 20 20 4"/></svg>'
)

VIEWS = ("result", "components", "depth", "alone")


def label(name: str) -> str:
    """The name of a component as people read it."""
    return {WHOLE: "person", BACKGROUND: "background"}.get(name, name.replace("_", " "))


# The views --------------------------------------------------------------------------------------------------------


def views(picture: Image.Image, drawing: Drawing, alone: Image.Image, building: Building, answered: int = 0) -> str:
    """The face, its components, the depth and the active component alone; over the large one of them the outlines.

    Args:
        picture: the face.
        drawing: of it, or while something is dragged of what it was before.
        alone: the active component.
        answered: number of the message that this answers, for the browser to know when all are.
    """
    shown = [
        ("result", "Face", "The face that was built", data_uri(enlarge(picture))),
        ("components", "Components", "The components in colours", drawing.components),
        ("depth", "Depth", "Pseudo-depth of the chosen component, light is near", drawing.depth(building.active)),
        ("alone", "Alone", "The chosen component by itself", data_uri(enlarge(alone))),
    ]
    return markup.views(shown, _handles(drawing, building, answered))


def _handles(drawing: Drawing, building: Building, answered: int) -> str:
    height, width = drawing.dissection.labels.shape
    places = {name: tuple(drawing.face.place(name)) for name in (WHOLE, *drawing.dissection.components[1:])}
    paths = "".join(
        f'<path class="part" data-part="{markup.escaped(name)}" d="{path}"><title>{markup.escaped(label(name))}</title>'
        "</path>"
        for name, path in drawing.outlines.items()
        if name != WHOLE
    )
    chosen = drawing.outlines.get(building.active, "")
    return (
        f'<svg class="handles" viewBox="0 0 {width} {height}" tabindex="0" role="application" '
        f'aria-label="Drag components, or move the {markup.escaped(label(building.active))} with the arrow keys" '
        f'data-active="{markup.escaped(building.active)}" data-answered="{answered}" '
        f'data-places="{markup.escaped(json.dumps(places))}">{paths}'
        f'<g class="chosen"><path class="grip" data-part="{markup.escaped(building.active)}" d="{chosen}"/>'
        f'<path class="halo" d="{chosen}"/><path class="line" d="{chosen}"/></g></svg>'
    )


def notes(building: Building, drawing: Drawing) -> str:
    """What can be done with the active component and what was done."""
    return f'<div class="notes"><p class="summary" role="status">{_summary(building, drawing)}</p></div>'


def _summary(building: Building, drawing: Drawing) -> str:
    name = building.active
    if name == BACKGROUND:
        return _behind(building.face)
    shown = name == WHOLE or name in drawing.dissection.present
    place = building.face.place(name)
    title = markup.escaped(label(name)).capitalize()
    if name in building.face.hidden:
        return f"<b>{title}</b>: left out."
    if place != HOME:
        return f"<b>{title}</b>: {_place(place)}."
    if shown:
        return f"<b>{title}</b>: drag it in the picture, or move it with the arrow keys."
    return f"<b>{title}</b>: not to be seen in this picture."


def _behind(face: Face) -> str:
    if face.background is None:
        return "<b>Background</b>: the portrait's own."
    if isinstance(face.background, Backdrop):
        return "<b>Background</b>: your picture. Downloads name it by its checksum, but do not carry it."
    return f"<b>Background</b>: that of portrait {face.background}."


def _place(place: Place) -> str:
    """In percent of the picture, which spans two halves."""
    right, down = round(50 * place.right), round(50 * place.down)
    said = [
        *([f"{abs(right)}% {'right' if right > 0 else 'left'}"] if right else []),
        *([f"{abs(down)}% {'down' if down > 0 else 'up'}"] if down else []),
        *([f"{place.size:g} times as large"] if place.size != 1 else []),
    ]
    return ", ".join(said) or "a little moved"


# The components -----------------------------------------------------------------------------------------------------


def chips(building: Building, before: Drawing, pictures: Mapping[str, str], hidden: Sequence[str]) -> str:
    """The whole person, the background and every component, and what the next click on a portrait will do.

    Args:
        before: the portrait as it was.
        pictures: thumbnails of the portraits that go in.
        hidden: components that are left out.
    """
    face = building.face
    first = [
        _chip(WHOLE, building, _picture(before, WHOLE), "", _note(face.place(WHOLE), ""), face.place(WHOLE) != HOME),
        _background_chip(building, before, pictures),
    ]
    rest = [
        _component_chip(name, k, building, before, hidden) for k, name in enumerate(before.dissection.components[1:])
    ]
    hint = (
        "Now click a portrait to take the <b>background</b> from, or use a picture of yours."
        if building.active == BACKGROUND
        else "Click a portrait to start from it; what was done to the components stays."
    )
    return (
        f'<div class="chip-list" role="group" aria-label="Components">{"".join([*first, *rest])}</div>'
        f'<p class="hint" aria-live="polite">{hint}</p>'
    )


def _component_chip(name: str, index: int, building: Building, before: Drawing, hidden: Sequence[str]) -> str:
    present, gone = name in before.dissection.present, name in hidden
    place = building.face.place(name)
    note = "left out" if gone else _note(place, "" if present else "not in this portrait")
    classes = f"{' gone' if gone else ''}{'' if present else ' inherits'}"
    picture = _picture(before, name) if present else "<i></i>"
    return _chip(name, building, picture, classes, note, place != HOME, colour_of(index), gone, present or gone)


def _background_chip(building: Building, before: Drawing, pictures: Mapping[str, str]) -> str:
    behind = building.face.background
    if behind is None:
        picture, note = _picture(before, BACKGROUND), "its own"
    elif isinstance(behind, Backdrop):
        side = min(behind.image.size)
        square = behind.image.resize((48, 48), box=_middle(behind.image.size, side))
        picture, note = markup.small(data_uri(square)), "your picture"
    else:
        picture, note = markup.small(pictures[behind.key]), f"portrait {behind}"
    return _chip(BACKGROUND, building, picture, "", note, behind is not None)


def _middle(size: tuple[int, int], side: int) -> tuple[float, float, float, float]:
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


def _picture(drawing: Drawing, name: str) -> str:
    return markup.small(drawing.cut_out(name)) if drawing.dissection.mask(name).any() else "<i></i>"


def _note(place: Place, otherwise: str) -> str:
    return _place(place) if place != HOME else otherwise


def _chip(
    name: str,
    building: Building,
    picture: str,
    classes: str,
    note: str,
    changed: bool,
    colour: Sequence[int] = (100, 116, 139),
    gone: bool = False,
    eye: bool = False,
) -> str:
    """One tile; with an eye that shows what is `gone` or leaves it out, and a cross that undoes what was `changed`."""
    title = label(name)
    extra = _eye(name, title, gone) if eye else ""
    extra += markup.cross("part", name, f"Put {title} back") if changed else ""
    return markup.tile(
        "part", name, title, note, picture, hex_colour(colour), active=name == building.active, classes=classes,
        extra=extra,
    )  # fmt: skip


def _eye(name: str, title: str, gone: bool) -> str:
    return (
        f'<button type="button" class="eye" data-action="toggle" data-part="{markup.escaped(name)}" '
        f'aria-pressed="{str(not gone).lower()}" aria-label="Show {markup.escaped(title)}" '
        f'title="{"Show" if gone else "Leave out"}">{EYE}</button>'
    )


def steps(components: Sequence[Component]) -> str:
    """The picture as components appear one by one, and the pseudo-depth of each below (fig. 5 of the paper)."""
    figures = "".join(
        f'<figure><img src="{data_uri(thumbnail(each.image))}" alt="With {markup.escaped(label(each.name))}">'
        f'<img src="{data_uri(depth_map(each.depth).resize((128, 128)))}" alt="Pseudo-depth, light is near">'
        f"<figcaption>{'' if k == 0 else '+ '}{markup.escaped(label(each.name))}</figcaption></figure>"
        for k, each in enumerate(components)
    )
    return f'<div class="steps" tabindex="0" role="group" aria-label="Components one by one">{figures}</div>'
