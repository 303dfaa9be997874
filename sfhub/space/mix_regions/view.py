"""What the tab Mix regions shows, as HTML: pure functions from choices and pictures to markup.

Names of regions come from a model that may be anybody's, so they are escaped. Pictures travel as `data:` URIs, which
need no second request and no file on the server.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sfhub.space.common import markup
from sfhub.space.common.gallery import offered
from sfhub.space.common.menu import Menu
from sfhub.space.common.picture_ref import PictureRef
from sfhub.space.common.pictures import (
    DIFFERENCE_SCALE,
    colour_of,
    data_uri,
    enlarge,
    heat_map,
    heat_stops,
    hex_colour,
    overlay,
)
from sfhub.space.mix_regions.state import BASE, BOTH, POSE, SHAPE, TEXTURE, Mix, Session, Source
from sfhub.space.mix_regions.work import Comparison

__all__ = ["VIEWS", "chips", "gallery", "label", "notes", "views"]

VIEWS = ("result", "base", "regions", "difference")
"""What is shown beside each other."""


def label(region: str) -> str:
    """The name of a region, or of the layout, as people read it."""
    return "pose" if region == POSE else region.replace("_", " ")


def gallery(session: Session, menu: Menu) -> list[dict[str, Any]]:
    """What each portrait on offer is used for."""
    uses: dict[PictureRef, list[tuple[str, str]]] = {session.mix.base: [("the base", "")]}
    for source in session.mix.used:
        uses.setdefault(source.picture, []).append((_use(source), menu.colour(source.region)))
    return offered(session.gallery, _active_picture(session), uses)


def _use(source: Source) -> str:
    return label(source.region) if source.part == BOTH else f"{source.part} of {label(source.region)}"


def _active_picture(session: Session) -> PictureRef | None:
    if session.active == BASE:
        return session.mix.base
    source = session.mix.source(session.active, session.part)
    return source.picture if source else None


def chips(session: Session, menu: Menu, pictures: Mapping[str, str]) -> str:
    """The base, the pose and every region with its source, and what the next click on a portrait will do.

    Args:
        pictures: thumbnails of the base and all sources.
    """
    base = _chip(BASE, "Base", session, [Source(BASE, session.mix.base)], pictures, "var(--body-text-color)")
    pose = [POSE] if session.mix.way.TAKES_LAYOUT else []
    first = "".join(_region_chip(region, session, menu, pictures) for region in (*pose, *menu.single))
    groups = "".join(_region_chip(region, session, menu, pictures) for region in menu.groups)
    return (
        f'<div class="chip-list" role="group" aria-label="Regions">{base}{first}</div>'
        + (_fold(groups, opened=_in_use(session, menu.groups)) if groups else "")
        + f'<p class="hint" aria-live="polite">{_hint(session, menu)}</p>'
    )


def _fold(groups: str, opened: bool) -> str:
    return (
        f'<details class="groups"{" open" if opened else ""}><summary>Several regions at once</summary>'
        f'<div class="chip-list" role="group" aria-label="Groups of regions">{groups}</div></details>'
    )


def _in_use(session: Session, groups: Sequence[str]) -> bool:
    return session.active in groups or any(source.region in groups for source in session.mix.sources)


def _hint(session: Session, menu: Menu) -> str:
    if session.active == BASE:
        return "Now click the portrait to start from."
    within = ", ".join(map(label, menu.within(session.active)))
    part = "" if session.part == BOTH or session.active == POSE else f"{session.part} of the "
    return (
        f"Now click a portrait to take the {part}<b>{markup.escaped(label(session.active))}</b>"
        f"{f' ({markup.escaped(within)})' if within else ''} from."
    )


def _region_chip(region: str, session: Session, menu: Menu, pictures: Mapping[str, str]) -> str:
    # Without a source of its own a region shows that of the nearest group that has one.
    found = (session.mix.sources_of(name) for name in (region, *menu.above.get(region, ())))
    return _chip(region, label(region), session, next(filter(None, found), ()), pictures, menu.colour(region))


def _chip(
    region: str, name: str, session: Session, sources: Sequence[Source], pictures: Mapping[str, str], colour: str
) -> str:
    own = any(source.region == region for source in sources)
    clear = markup.cross("region", region, f"Take {name} from the base again") if region != BASE and own else ""
    return markup.tile(
        "region",
        region,
        name,
        _chip_note(sources, own),
        _chip_picture(sources, session, pictures),
        colour,
        active=session.active == region,
        classes="" if own else " inherits",
        extra=clear,
    )


def _chip_picture(sources: Sequence[Source], session: Session, pictures: Mapping[str, str]) -> str:
    """The source's portrait; where shape and texture differ both, cut from corner to corner, the shape on the left."""
    if not sources:
        return "<i></i>"
    shown = {part: session.mix.base for part in (SHAPE, TEXTURE)}
    for source in sources:
        shown |= dict.fromkeys((SHAPE, TEXTURE) if source.part == BOTH else (source.part,), source.picture)
    return markup.small(*dict.fromkeys(pictures[ref.key] for ref in shown.values()))


def _chip_note(sources: Sequence[Source], own: bool) -> str:
    if not sources:
        return "from the base"
    if not own:
        return f"{sources[0].picture} with {markup.escaped(label(sources[0].region))}"
    if sources[0].part == BOTH:
        return f"portrait {sources[0].picture}"
    return ", ".join(f"{source.part} {source.picture}" for source in sources)


def views(comparison: Comparison) -> str:
    """Result, base, regions and difference; the browser decides which of them is large."""
    result, base = comparison.result.image, comparison.base.image
    heat = heat_map(comparison.difference, comparison.changed)
    titles = ("Result", "Base", "Regions", "Difference")
    descriptions = (
        "The mixed portrait",
        "The base portrait",
        "The regions of the result in colours",
        "Heat map of where the result differs from the base",
    )
    pictures = (enlarge(result), enlarge(base), overlay(result, comparison.segmentation), heat)
    return markup.views(list(zip(VIEWS, titles, descriptions, map(data_uri, pictures), strict=True)))


def notes(comparison: Comparison, mix: Mix) -> str:
    """Legend of the regions, scale of the heat map, and how much changed inside and outside."""
    segmentation = comparison.segmentation
    legend = "".join(
        f'<li><i style="background:{hex_colour(colour_of(index))}"></i>'
        f"<span>{markup.escaped(label(region))}</span></li>"
        for index, region in enumerate(segmentation.regions)
        if (segmentation.labels == index).any()
    )
    ticks = "".join(f"<span>{DIFFERENCE_SCALE * third / 3:.0f}</span>" for third in range(3))
    return (
        f'<div class="notes"><ul class="legend" aria-label="Colours of the regions">{legend}</ul>'
        f'<div class="scale"><div class="bar" style="background:linear-gradient(to right,{",".join(heat_stops())})">'
        f'</div><div class="ticks">{ticks}<span>{DIFFERENCE_SCALE:.0f} or more</span></div></div>'
        f'<p class="summary" role="status">{_summary(comparison, mix)}</p></div>'
    )


def _summary(comparison: Comparison, mix: Mix) -> str:
    if not mix.used:
        return "Nothing is mixed yet: the result is the base."
    names = markup.escaped(_listed(list(dict.fromkeys(label(source.region) for source in mix.used))))
    if comparison.inside is None:
        return f"Neither the base nor the result shows {names}."
    if comparison.outside is None:
        return f"Mean colour difference &Delta;E: <b>{comparison.inside:.1f}</b>; nothing lies outside."
    return (
        f"Mean colour difference &Delta;E: <b>{comparison.inside:.1f}</b> inside {names}, "
        f"<b>{comparison.outside:.1f}</b> outside, <b>{_ratio(comparison.inside, comparison.outside)}</b>"
    )


def _ratio(inside: float, outside: float) -> str:
    if outside < inside / 1000 or outside == 0:
        return "all inside"
    ratio = inside / outside
    return f"{ratio:.0f} : 1" if ratio >= 10 else f"{ratio:.1f} : 1"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
