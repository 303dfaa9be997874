"""What the tab *Edit* shows, as HTML: pure functions from choices and pictures to markup.

Over the large view lie the picture as it was, cut off where the slider over it stands (`compare.js`), and the outlines
of the regions, of which a click chooses one. Names come from a model that may be anybody's, so they are escaped.
"""

from collections.abc import Sequence
from typing import Any

from sfhub.images.lock import OutsideChange
from sfhub.space.common import markup
from sfhub.space.common.comparison import EditComparison
from sfhub.space.common.little_pictures import ENTRIES
from sfhub.space.common.pictures import DIFFERENCE_SCALE, data_uri, enlarge, heat_stops
from sfhub.space.common.region_pills import Regions, label, listed, region_pills
from sfhub.space.common.repertoire import Layer
from sfhub.space.edit.state import Editing
from sfhub.space.edit.work import Editor

__all__ = [
    "VIEWS",
    "catalogue",
    "catalogue_template",
    "film",
    "film_template",
    "notes",
    "pills",
    "stack",
    "views",
]

VIEWS = ("result", "base", "everywhere", "difference")
"""What is shown beside each other."""

EYE = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2.5 12s3.5-6 9.5-6 9.5 6 9.5 6-3.5 6-9.5 6-9.5-6-9.5-6Z"/>'
    '<circle cx="12" cy="12" r="2.6"/><path class="slash" d="M4 20 20 4"/></svg>'
)


def said(strength: float) -> str:
    """A strength in as few characters as tell it."""
    return f"{strength:+.2g}".replace("-", "\N{MINUS SIGN}") if strength else "0"


# The views --------------------------------------------------------------------------------------------------------


def views(comparison: EditComparison, session: Editing, result: Any = None, lit: bool = False) -> str:
    """Result, picture before, the same edits everywhere, and difference.

    Args:
        comparison: of what is shown, or while a slider moves of what was shown before.
        session: whose regions are outlined.
        result: the picture, while a slider moves and the others wait.
        lit: whether regions were chosen just now, which lights up their outlines for a moment.
    """
    shown = [
        ("result", "After", "The edited picture", data_uri(enlarge(result)) if result else comparison.result_uri),
        ("base", "Before", "The picture before", comparison.base_uri),
        ("everywhere", "Everywhere", "The same edits in the whole picture", comparison.everywhere_uri),
        ("difference", "Difference", "Heat map of what changed", comparison.difference_uri),
    ]
    live = " data-live" if result else ""
    return markup.views(
        shown,
        f'<div class="over"{live}><div class="before"><img src="{comparison.base_uri}" alt="" draggable="false">'
        "<span>Before</span></div>"
        f"{_outlines(comparison, session.regions, lit)}"
        '<input class="cut" type="range" min="0" max="100" step="1" value="0" aria-label="Before, up to here" '
        'title="Drag to see the picture before"></div>',
    )


def _outlines(comparison: EditComparison, regions: Regions, lit: bool) -> str:
    height, width = comparison.segmentation.labels.shape
    paths = "".join(
        f'<path class="area" data-region="{markup.escaped(name)}" d="{path}">'
        f"<title>{markup.escaped(label(name))}</title></path>"
        for name, path in comparison.outlines.items()
    )
    lines = "".join(comparison.outlines.get(name, "") for name in regions)
    return (
        f'<svg class="areas{" flash" if lit else ""}" viewBox="0 0 {width} {height}" aria-hidden="true">{paths}'
        f'<path class="halo" d="{lines}"/><path class="line" d="{lines}"/></svg>'
    )


def notes(comparison: EditComparison, session: Editing) -> str:
    """How much changed outside the regions, beside what would have without them; and the scale of the heat map."""
    return (
        f'<div class="notes"><p class="summary" role="status">{_summary(comparison, session)}</p>'
        f'<div class="scale"><div class="bar" style="background:linear-gradient(to right,{",".join(heat_stops())})">'
        f'</div><div class="ticks"><span>no difference</span><span>&Delta;E {DIFFERENCE_SCALE:.0f} or more</span>'
        "</div></div></div>"
    )


def _summary(comparison: EditComparison, session: Editing) -> str:
    heard = session.picture.heard
    if not heard:
        return "Choose an edit: its little picture shows what it does to this face."
    if comparison.changed.all():
        return "The edits may show everywhere; choose regions to keep them there."
    regions = markup.escaped(listed(tuple(dict.fromkeys(region for layer in heard for region in layer.regions))))
    return (
        f"Outside <b>{regions}</b>, {_change(comparison.outside)}. "
        f"Done everywhere, {_change(comparison.outside_everywhere)} there."
    )


def _change(change: OutsideChange) -> str:
    if change.share == 0:
        return "<b>not one pixel</b> changed"
    share = f"{change.share:.0%}" if change.share >= 0.01 else "less than 1%"
    return f"<b>{share}</b> of the pixels changed, by {change.mean:.1f} of 255 on average"


# What can be chosen -----------------------------------------------------------------------------------------------

catalogue_template = """
<div class="catalogue" role="group" aria-label="Edits">
${((little) => value.map((group) => ({...group, edits: group.edits.filter((edit) => edit.search.includes(query))}))
    .filter((group) => group.edits.length).map((group) => `
  <section><h3><i style="background:${group.colour}"></i><span>${group.title}</span></h3><div class="edits">
  ${group.edits.map((edit) => `
    <button type="button" class="edit-tile" data-action="add" data-edit="${edit.name}" aria-pressed="${edit.pressed}">
      <span class="face">${little[edit.key] ? `<img src="${little[edit.key]}" alt="">` : ''}</span>
      <b>${edit.label}</b>
    </button>`).join('')}
  </div></section>`).join(''))(PICTURES) || '<p class="hint">No edit has such a name.</p>'}
</div>
""".replace("PICTURES", ENTRIES.format("thumbnails"))
"""Of `catalogue`, by escaped name the `thumbnails`, and the `query` that is looked for, in small letters."""


def catalogue(session: Editing, editor: Editor) -> list[dict[str, Any]]:
    """All edits, by the region that each is about."""
    edits, used = editor.edits, {layer.edit for layer in session.picture.stack if not layer.text}
    groups: dict[Regions, list[str]] = {}
    for name in edits.edits:
        groups.setdefault(edits.found(name).regions, []).append(name)
    order = list(dict.fromkeys([*edits.regions, *sum(groups, ())]))
    return [
        {
            "title": markup.escaped(listed(regions)),
            "colour": editor.model.menu.colour(regions[0]) if len(regions) == 1 else "transparent",
            "edits": [_entry(name, regions, name in used) for name in groups[regions]],
        }
        for regions in sorted(groups, key=lambda each: (len(each) or len(order), [*map(order.index, each)]))
    ]


def _entry(name: str, regions: Regions, used: bool) -> dict[str, str]:
    return {
        "key": name,
        "name": markup.escaped(name),
        "label": markup.escaped(label(name)),
        "search": markup.escaped(f"{label(name)} {listed(regions)}".lower()),
        "pressed": str(used).lower(),
    }


def pills(session: Editing, editor: Editor) -> str:
    """Where the active edit may show, or the next one."""
    edits, layer, chosen = editor.edits, session.layer, session.regions
    if not edits.regions:
        return ""
    # Groups are offered that an edit is about; others can be put together by hand.
    more = tuple(region for name in edits.edits for region in edits.found(name).regions)
    if layer is None:
        head = f"Show the next edit in <b>{markup.escaped(listed(chosen)) if chosen else 'its own region'}</b>"
        return region_pills(editor.model.menu, chosen, f"{head}; click the picture to choose.", more=more)
    own, back = edits.own(layer), ""
    if chosen != own:
        back = f'<button type="button" class="plain" data-action="own">Back to {markup.escaped(listed(own))}</button>'
    head = f"Show <b>{markup.escaped(layer.title)}</b> in <b>{markup.escaped(listed(chosen))}</b> {back}"
    return region_pills(editor.model.menu, chosen, head, more=more, whole=True)


# The stack ----------------------------------------------------------------------------------------------------------


def stack(session: Editing, pictures: Sequence[str]) -> str:
    """The edits upon the picture, the last one on top.

    Args:
        pictures: small ones of how it looks after each of them, as `data:` URIs.
    """
    layers = session.picture.stack
    if not layers:
        return '<p class="hint">No edit yet.</p>'
    rows = "".join(_row(k, layers[k], session, pictures[k]) for k in reversed(range(len(layers))))
    return f'<ol class="stack" reversed aria-label="Edits upon this picture, the last one first">{rows}</ol>'


def _row(index: int, layer: Layer, session: Editing, picture: str) -> str:
    title, top = markup.escaped(layer.title), len(session.picture.stack) - 1
    active = index == session.active
    lock = ", all else locked" if layer.lock and layer.regions else ""
    buttons = (
        _button("mute", index, f"Show {title}", EYE, f'aria-pressed="{str(not layer.muted).lower()}"')
        + _button("up", index, f"Do {title} later", "&uarr;", "disabled" if index == top else "")
        + _button("down", index, f"Do {title} earlier", "&darr;", "" if index else "disabled")
        + _button("remove", index, f"Take {title} off", "&times;", "")
    )
    return (
        f'<li class="layer{" active" if active else ""}{" muted" if layer.muted else ""}">'
        f'<button type="button" class="choose" data-action="choose" data-layer="{index}" '
        f'aria-pressed="{str(active).lower()}"><span class="face"><img src="{picture}" alt=""></span>'
        f"<span><b>{title}</b><small>{markup.escaped(listed(layer.regions))}{lock}</small></span>"
        f"<output>{said(layer.strength)}</output></button>{buttons}</li>"
    )


def _button(action: str, index: int, sentence: str, sign: str, more: str) -> str:
    return (
        f'<button type="button" class="act {action}" data-action="{action}" data-layer="{index}" '
        f'aria-label="{sentence}" title="{sentence}" {more}>{sign}</button>'
    )


film_template = """
<div class="film" role="group" aria-label="Strengths">
${((little) => value.map((frame) => `
  <button type="button" class="frame" data-action="strength" data-strength="${frame.strength}"
          aria-pressed="${value.every((other) => Math.abs(other.strength - now) >= Math.abs(frame.strength - now))}"
          aria-label="Strength ${frame.said}">
    <span class="face">${little[frame.strength] ? `<img src="${little[frame.strength]}" alt="">` : ''}</span>
    <small>${frame.said}</small>
  </button>`).join(''))(PICTURES)}
</div>
""".replace("PICTURES", ENTRIES.format("pictures"))
"""Of `film`, by strength in digits the `pictures`, and the strength `now`, the nearest to which is marked."""


def film(strengths: Sequence[float]) -> list[dict[str, str]]:
    """The strengths of a film, for `film_template`."""
    return [{"strength": f"{each:g}", "said": said(each)} for each in strengths]
