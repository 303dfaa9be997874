"""What the tab Mix regions shows, as HTML: pure functions from choices and pictures to markup.

Names of regions come from a model that may be anybody's, so they are escaped. Pictures travel as `data:` URIs, which
need no second request and no file on the server.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sfhub.pipelines.sample import Sample
from space.menu import Menu
from space.mixing import BASE, BOTH, LAYOUT, POSING, SHAPE, TEXTURE, Mix, Session, Source
from space.pictures import (
    DIFFERENCE_SCALE,
    colour_of,
    data_uri,
    enlarge,
    heat_map,
    heat_stops,
    hex_colour,
    overlay,
    thumbnail,
)
from space.workbench import Comparison

__all__ = ["chips", "empty_views", "gallery", "gallery_template", "label", "notes", "thumbnails", "views"]

gallery_template = """
<div class="gallery" role="group" aria-label="Portraits to take from">
${value.map((item) => `
  <button type="button" class="portrait" data-action="pick" data-seed="${item.seed}" aria-pressed="${item.picked}"
          aria-label="Portrait ${item.seed}${item.use}">
    <img src="${thumbnails[item.seed]}" alt="" width="128" height="128">
    <span class="marks">${item.colours.map((colour) => `<i style="background:${colour}"></i>`).join('')}</span>
    <span class="seed">${item.seed}</span>
  </button>`).join('')}
</div>
"""
"""Of `gallery` and `thumbnails`; the latter stay in the browser while a click changes only the former."""


def thumbnails(samples: Mapping[int, Sample]) -> dict[str, str]:
    """Seed, as JSON has keys, -> small picture as a `data:` URI."""
    return {str(seed): data_uri(thumbnail(sample.image), quality=82) for seed, sample in samples.items()}


def label(region: str) -> str:
    """The name of a region, or of the layout, as people read it."""
    return "pose" if region == LAYOUT else region.replace("_", " ")


def gallery(session: Session, menu: Menu) -> list[dict[str, Any]]:
    """What each portrait on offer is used for, for `gallery_template`."""
    return [_portrait(seed, session, menu) for seed in session.gallery]


def _portrait(seed: int, session: Session, menu: Menu) -> dict[str, Any]:
    used_for = [source for source in session.mix.used if source.seed == seed]
    uses = [*(["the base"] if seed == session.mix.base else []), *map(_use, used_for)]
    return {
        "seed": seed,
        "picked": str(_active_seed(session) == seed).lower(),
        "colours": [menu.colour(source.region) for source in used_for],
        "use": escape(f", used for {' and '.join(uses)}" if uses else ""),
    }


def _use(source: Source) -> str:
    return label(source.region) if source.part == BOTH else f"{source.part} of {label(source.region)}"


def _active_seed(session: Session) -> int | None:
    if session.active == BASE:
        return session.mix.base
    source = session.mix.source(session.active, session.part)
    return source.seed if source else None


def chips(session: Session, menu: Menu, pictures: Mapping[str, str]) -> str:
    """The base, the pose and every region with its source, and what the next click on a portrait will do.

    Args:
        pictures: thumbnails of the base and all sources.
    """
    base = _chip(BASE, "Base", session, [Source(BASE, session.mix.base)], pictures, "var(--body-text-color)")
    pose = [LAYOUT] if session.mix.method in POSING else []
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
    part = "" if session.part == BOTH or session.active == LAYOUT else f"{session.part} of the "
    return (
        f"Now click a portrait to take the {part}<b>{escape(label(session.active))}</b>"
        f"{f' ({escape(within)})' if within else ''} from."
    )


def _region_chip(region: str, session: Session, menu: Menu, pictures: Mapping[str, str]) -> str:
    # Without a source of its own a region shows that of the nearest group that has one.
    found = (session.mix.sources_of(name) for name in (region, *menu.above.get(region, ())))
    return _chip(region, label(region), session, next(filter(None, found), ()), pictures, menu.colour(region))


def _chip(
    region: str, name: str, session: Session, sources: Sequence[Source], pictures: Mapping[str, str], colour: str
) -> str:
    name, target = escape(name), escape(region, quote=True)
    active, own = session.active == region, any(source.region == region for source in sources)
    clear = (
        f'<button type="button" class="clear" data-action="clear" data-region="{target}" '
        f'aria-label="Take {name} from the base again" title="Take {name} from the base again">&times;</button>'
        if region != BASE and own
        else ""
    )
    return (
        f'<div class="chip{" active" if active else ""}{"" if own else " inherits"}" style="--region: {colour}">'
        f'<button type="button" class="choose" data-action="choose" data-region="{target}" '
        f'aria-pressed="{str(active).lower()}">{_chip_picture(sources, session, pictures)}'
        f"<span><b>{name}</b><small>{_chip_note(sources, own)}</small></span></button>{clear}</div>"
    )


def _chip_picture(sources: Sequence[Source], session: Session, pictures: Mapping[str, str]) -> str:
    """The source's portrait; where shape and texture differ both, cut from corner to corner, the shape on the left."""
    if not sources:
        return "<i></i>"
    seeds = {part: session.mix.base for part in (SHAPE, TEXTURE)}
    for source in sources:
        seeds |= dict.fromkeys((SHAPE, TEXTURE) if source.part == BOTH else (source.part,), source.seed)
    first, second = (pictures[str(seed)] for seed in seeds.values())
    over = f'<img class="texture" src="{second}" alt="" width="40" height="40">' if second != first else ""
    return f'<span class="faces"><img src="{first}" alt="" width="40" height="40">{over}</span>'


def _chip_note(sources: Sequence[Source], own: bool) -> str:
    if not sources:
        return "from the base"
    if not own:
        return f"{sources[0].seed} with {escape(label(sources[0].region))}"
    if sources[0].part == BOTH:
        return f"portrait {sources[0].seed}"
    return ", ".join(f"{source.part} {source.seed}" for source in sources)


def empty_views() -> str:
    """What stands in the place of `views` until the first pictures come, so that nothing jumps."""
    places = "".join(f'<div class="view {name}"></div>' for name in ("result", "base", "regions", "difference"))
    return f'<div class="views">{places}</div>'


def views(comparison: Comparison) -> str:
    """Result, base, regions and difference; the browser decides which of them is large."""
    result, base = comparison.result.image, comparison.base.image
    heat = heat_map(comparison.difference, comparison.changed)
    shown = [
        ("result", "Result", "The mixed portrait", enlarge(result)),
        ("base", "Base", "The base portrait", enlarge(base)),
        ("regions", "Regions", "The regions of the result in colours", overlay(result, comparison.segmentation)),
        ("difference", "Difference", "Heat map of where the result differs from the base", heat),
    ]
    buttons = "".join(
        f'<button type="button" class="view {key}" data-view="{key}" title="Show large">'
        f'<img src="{data_uri(picture)}" alt="{description}"><span>{title}</span></button>'
        for key, title, description, picture in shown
    )
    return f'<div class="views">{buttons}</div>'


def notes(comparison: Comparison, mix: Mix) -> str:
    """Legend of the regions, scale of the heat map, and how much changed inside and outside."""
    segmentation = comparison.segmentation
    legend = "".join(
        f'<li><i style="background:{hex_colour(colour_of(index))}"></i><span>{escape(label(region))}</span></li>'
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
    names = escape(_listed(list(dict.fromkeys(label(source.region) for source in mix.used))))
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
