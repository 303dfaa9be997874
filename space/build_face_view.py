"""What the tab Build a face shows, as HTML: pure functions from choices and pictures to markup.

The outlines of all components lie over the large view as SVG paths, which the browser finds under a pointer and moves
with it; where they were drawn for travels along (`data-places`). Names come from a model that may be anybody's, so they
are escaped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
from PIL import Image

from sfhub.pipelines.sample import Segmentation
from sfhub.pipelines.semantic_stylegan import Component
from space.build_face_state import BACKGROUND, HOME, WHOLE, Backdrop, Building, Face, Place
from space.build_face_work import Anatomy
from space.pictures import colour_of, cut_out, data_uri, depth_map, enlarge, hex_colour, outline, overlay, thumbnail

__all__ = ["Look", "chips", "empty_views", "label", "notes", "steps", "views"]

# The map of components has the colours of `colour_of`, and this where none is.
GROUND = (222, 226, 234)

# What a component is shown alone on.
GREY = (127, 127, 127)

EYE = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2.5 12s3.5-6 9.5-6 9.5 6 9.5 6-3.5 6-9.5 6-9.5-6-9.5-6Z"/>'
    '<circle cx="12" cy="12" r="2.6"/><path class="slash" d="M4 20 20 4"/></svg>'
)

VIEWS = ("result", "components", "depth", "alone")


@dataclass(frozen=True, eq=False)
class Look:
    """What the views show of one face, drawn when it is first asked for.

    Attributes:
        face: what it is of.
        anatomy: of its picture.
    """

    face: Face
    anatomy: Anatomy

    @cached_property
    def components(self) -> str:
        """The components in colours."""
        names = self.anatomy.components
        colours = [GROUND, *(colour_of(k) for k in range(len(names) - 1))]
        return data_uri(overlay(self.anatomy.image, Segmentation(self.anatomy.labels, names), colours))

    @cached_property
    def outlines(self) -> dict[str, str]:
        """Path data of each component that can be seen, of `WHOLE` and of `BACKGROUND`."""
        return {name: outline(self.anatomy.mask(name)) for name in (BACKGROUND, *self.anatomy.present, WHOLE)}

    def depth(self, name: str) -> str:
        """The pseudo-depths of a component, of `WHOLE` those in front."""
        depths, names = self.anatomy.depths, self.anatomy.components
        if name in names[1:]:
            return data_uri(depth_map(depths[names.index(name)]))
        present = [names.index(each) for each in self.anatomy.present]
        return data_uri(depth_map(depths[present].max(axis=0) if present else depths[0]))

    def alone(self, name: str) -> Image.Image:
        """What can be seen of a component, of `WHOLE` or of `BACKGROUND`."""
        mask = Image.fromarray(self.anatomy.mask(name).astype(np.uint8) * 255)
        return Image.composite(self.anatomy.image, Image.new("RGB", mask.size, GREY), mask)

    def cut_out(self, name: str) -> str:
        """A small picture of a component that can be seen."""
        return data_uri(cut_out(self.anatomy.image, self.anatomy.mask(name)))


def label(name: str) -> str:
    """The name of a component as people read it."""
    return {WHOLE: "person", BACKGROUND: "background"}.get(name, name.replace("_", " "))


# The views --------------------------------------------------------------------------------------------------------


def empty_views() -> str:
    """What stands in the place of `views` until the first pictures come, so that nothing jumps."""
    places = "".join(f'<div class="view {name}"></div>' for name in VIEWS)
    return f'<div class="views">{places}</div>'


def views(picture: Image.Image, look: Look, alone: Image.Image, building: Building, answered: int = 0) -> str:
    """The face, its components, the depth and the active component alone; over the large one of them the outlines.

    Args:
        picture: the face.
        look: of it, or while something is dragged of what it was before.
        alone: the active component.
        answered: number of the message that this answers, for the browser to know when all are.
    """
    shown = [
        ("result", "Face", "The face that was built", data_uri(enlarge(picture))),
        ("components", "Components", "The components in colours", look.components),
        ("depth", "Depth", "Pseudo-depth of the chosen component, light is near", look.depth(building.active)),
        ("alone", "Alone", "The chosen component by itself", data_uri(enlarge(alone))),
    ]
    buttons = "".join(
        f'<button type="button" class="view {key}" data-view="{key}" title="Show large">'
        f'<img src="{source}" alt="{description}" draggable="false"><span>{title}</span></button>'
        for key, title, description, source in shown
    )
    return f'<div class="views">{buttons}{_handles(look, building, answered)}</div>'


def _handles(look: Look, building: Building, answered: int) -> str:
    height, width = look.anatomy.labels.shape
    places = {name: tuple(look.face.place(name)) for name in (WHOLE, *look.anatomy.components[1:])}
    paths = "".join(
        f'<path class="part" data-part="{escape(name, quote=True)}" d="{path}"><title>{escape(label(name))}</title>'
        "</path>"
        for name, path in look.outlines.items()
        if name != WHOLE
    )
    chosen = look.outlines.get(building.active, "")
    return (
        f'<svg class="handles" viewBox="0 0 {width} {height}" tabindex="0" role="application" '
        f'aria-label="Drag components, or move the {escape(label(building.active))} with the arrow keys" '
        f'data-active="{escape(building.active, quote=True)}" data-answered="{answered}" '
        f'data-places="{escape(json.dumps(places), quote=True)}">{paths}'
        f'<g class="chosen"><path class="grip" data-part="{escape(building.active, quote=True)}" d="{chosen}"/>'
        f'<path class="halo" d="{chosen}"/><path class="line" d="{chosen}"/></g></svg>'
    )


def notes(building: Building, look: Look) -> str:
    """What can be done with the active component and what was done."""
    return f'<div class="notes"><p class="summary" role="status">{_summary(building, look)}</p></div>'


def _summary(building: Building, look: Look) -> str:
    name = building.active
    if name == BACKGROUND:
        return _behind(building.face)
    shown = name == WHOLE or name in look.anatomy.present
    place = building.face.place(name)
    title = escape(label(name)).capitalize()
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


def chips(building: Building, before: Look, pictures: Mapping[str, str], hidden: Sequence[str]) -> str:
    """The whole person, the background and every component, and what the next click on a portrait will do.

    Args:
        before: the portrait as it was.
        pictures: thumbnails of the seeds that go in.
        hidden: components that are left out.
    """
    face = building.face
    first = [
        _chip(WHOLE, building, _picture(before, WHOLE), "", _note(face.place(WHOLE), ""), face.place(WHOLE) != HOME),
        _background_chip(building, before, pictures),
    ]
    rest = [_component_chip(name, k, building, before, hidden) for k, name in enumerate(before.anatomy.components[1:])]
    hint = (
        "Now click a portrait to take the <b>background</b> from, or use a picture of yours."
        if building.active == BACKGROUND
        else "Click a portrait to start from it; what was done to the components stays."
    )
    return (
        f'<div class="chip-list" role="group" aria-label="Components">{"".join([*first, *rest])}</div>'
        f'<p class="hint" aria-live="polite">{hint}</p>'
    )


def _component_chip(name: str, index: int, building: Building, before: Look, hidden: Sequence[str]) -> str:
    present, gone = name in before.anatomy.present, name in hidden
    place = building.face.place(name)
    note = "left out" if gone else _note(place, "" if present else "not in this portrait")
    classes = f"{' gone' if gone else ''}{'' if present else ' inherits'}"
    picture = _picture(before, name) if present else "<i></i>"
    return _chip(name, building, picture, classes, note, place != HOME, colour_of(index), gone, present or gone)


def _background_chip(building: Building, before: Look, pictures: Mapping[str, str]) -> str:
    behind = building.face.background
    if behind is None:
        picture, note = _picture(before, BACKGROUND), "its own"
    elif isinstance(behind, Backdrop):
        side = min(behind.image.size)
        square = behind.image.resize((48, 48), box=_middle(behind.image.size, side))
        picture, note = _small(data_uri(square)), "your picture"
    else:
        picture, note = _small(pictures[str(behind)]), f"portrait {behind}"
    return _chip(BACKGROUND, building, picture, "", note, behind is not None)


def _middle(size: tuple[int, int], side: int) -> tuple[float, float, float, float]:
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


def _picture(look: Look, name: str) -> str:
    return _small(look.cut_out(name)) if look.anatomy.mask(name).any() else "<i></i>"


def _small(source: str) -> str:
    return f'<span class="faces"><img src="{source}" alt="" width="40" height="40"></span>'


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
    active = name == building.active
    target, title = escape(name, quote=True), escape(label(name))
    look = (
        f'<button type="button" class="eye" data-action="toggle" data-part="{target}" '
        f'aria-pressed="{str(not gone).lower()}" aria-label="Show {title}" '
        f'title="{"Show" if gone else "Leave out"}">{EYE}</button>'
        if eye
        else ""
    )
    cross = (
        f'<button type="button" class="clear" data-action="clear" data-part="{target}" '
        f'aria-label="Put {title} back" title="Put {title} back">&times;</button>'
        if changed
        else ""
    )
    return (
        f'<div class="chip{" active" if active else ""}{classes}" style="--region: {hex_colour(colour)}">'
        f'<button type="button" class="choose" data-action="choose" data-part="{target}" '
        f'aria-pressed="{str(active).lower()}">{picture}<span><b>{title}</b><small>{note or "&nbsp;"}</small></span>'
        f"</button>{look}{cross}</div>"
    )


def steps(components: Sequence[Component]) -> str:
    """The picture as components appear one by one, and the pseudo-depth of each below (fig. 5 of the paper)."""
    figures = "".join(
        f'<figure><img src="{data_uri(thumbnail(each.image))}" alt="With {escape(label(each.name), quote=True)}">'
        f'<img src="{data_uri(depth_map(each.depth).resize((128, 128)))}" alt="Pseudo-depth, light is near">'
        f"<figcaption>{'' if k == 0 else '+ '}{escape(label(each.name))}</figcaption></figure>"
        for k, each in enumerate(components)
    )
    return f'<div class="steps" tabindex="0" role="group" aria-label="Components one by one">{figures}</div>'
