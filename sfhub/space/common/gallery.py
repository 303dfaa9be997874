"""The portraits on offer, which a visitor picks from; the browser keeps their small pictures while choices change."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sfhub.space.common.cached_model import CachedModel
from sfhub.space.common.markup import escaped
from sfhub.space.common.picture_ref import PictureRef, refs
from sfhub.space.common.pictures import data_uri, thumbnail

__all__ = ["FIRST_GALLERY", "SURPRISES", "gallery_template", "offered", "thumbnails"]

FIRST_GALLERY = refs(10, 2, 21, 6, 27, 3, 7, 18, 5, 11, 8, 4)
"""What visitors find; the first two make a mix that shows at once."""

SURPRISES = 6
"""New portraits for one click."""

gallery_template = """
<div class="gallery" role="group" aria-label="Portraits to take from">
${value.map((item) => `
  <button type="button" class="portrait" data-action="pick" data-picture="${item.key}" aria-pressed="${item.picked}"
          aria-label="Portrait ${item.label}${item.use}">
    <img src="${thumbnails[item.key]}" alt="" width="128" height="128">
    <span class="marks">${item.colours.map((colour) => `<i style="background:${colour}"></i>`).join('')}</span>
    <span class="seed">${item.label}</span>
  </button>`).join('')}
</div>
"""
"""Of `offered` and `thumbnails`."""


def offered(
    pictures: Sequence[PictureRef], picked: PictureRef | None, uses: Mapping[PictureRef, Iterable[tuple[str, str]]]
) -> list[dict[str, Any]]:
    """What each portrait on offer is used for, for `gallery_template`.

    Args:
        pictures: on offer.
        picked: the one in use for what is chosen.
        uses: by picture what it is used for, and the colour of that, empty for none.
    """
    return [
        {
            "key": ref.key,
            "label": ref.label,
            "picked": str(ref == picked).lower(),
            "colours": [colour for _, colour in uses.get(ref, ()) if colour],
            "use": escaped(_sentence([use for use, _ in uses.get(ref, ())])),
        }
        for ref in pictures
    ]


def _sentence(uses: Sequence[str]) -> str:
    return f", used for {' and '.join(uses)}" if uses else ""


def thumbnails(model: CachedModel, pictures: Sequence[PictureRef], psi: float) -> dict[str, str]:
    """Small pictures as `data:` URIs, by key."""
    samples = model.samples(pictures, psi)
    return {
        ref.key: data_uri(thumbnail(sample.image), quality=82) for ref, sample in zip(pictures, samples, strict=True)
    }
