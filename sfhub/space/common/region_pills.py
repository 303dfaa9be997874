"""Choosing regions, several at once: a pill for each, and what a click on one makes of those chosen."""

from sfhub.space.common.markup import escaped
from sfhub.space.common.menu import Menu

__all__ = ["WHOLE", "Regions", "label", "listed", "region_pills", "toggled"]

Regions = tuple[str, ...]
"""Names of regions; none at all for the whole picture."""

WHOLE = "whole picture"


def label(name: str) -> str:
    """The name of a region or an edit as people read it."""
    return name.replace("_", " ")


def listed(regions: Regions) -> str:
    """Regions in words."""
    names = [label(each) for each in regions]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else (names or [WHOLE])[0]


def toggled(regions: Regions, region: str, menu: Menu) -> Regions:
    """Regions with one more, or without it if it was among them; a group stands for all that are part of it."""
    if region in regions:
        return tuple(each for each in regions if each != region)
    around = next((group for group in menu.above.get(region, ()) if group in regions), None)
    if around is None:
        return tuple(each for each in (*regions, region) if each not in menu.within(region))
    rest = (each for each in menu.within(around) if each != region)
    return tuple(dict.fromkeys((*(each for each in regions if each != around), *rest)))


def region_pills(menu: Menu, chosen: Regions, head: str, *, more: Regions = (), whole: bool = False) -> str:
    """A line that says what the regions are for, and a button for each.

    Args:
        menu: of the model.
        chosen: those that are pressed, with what is part of them.
        head: markup.
        more: what to offer beside the single regions of the menu.
        whole: whether no region at all stands for the whole picture, which then has a pill that is pressed.
    """
    offered = dict.fromkeys((*menu.single, *more, *chosen))
    first = [_pill("whole", "", WHOLE, "", not chosen)] if whole else []
    rest = (_pill("region", each, label(each), menu.colour(each), _covered(each, menu, chosen)) for each in offered)
    return (
        f'<p class="hint" aria-live="polite">{head}</p>'
        f'<div class="pills" role="group" aria-label="Regions">{"".join([*first, *rest])}</div>'
    )


def _covered(region: str, menu: Menu, chosen: Regions) -> bool:
    return region in chosen or (region in menu.single and any(group in chosen for group in menu.above.get(region, ())))


def _pill(action: str, region: str, title: str, colour: str, pressed: bool) -> str:
    dot = f'<i style="background:{colour}"></i>' if colour else ""
    return (
        f'<button type="button" class="pill" data-action="{action}" data-region="{escaped(region)}" '
        f'aria-pressed="{str(pressed).lower()}">{dot}<span>{escaped(title)}</span></button>'
    )
