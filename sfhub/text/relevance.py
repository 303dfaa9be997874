"""How much each channel of a generator moves its pictures along each direction of a text encoder's space.

*StyleCLIP* (Patashnik et al., ICCV 2021), section 6: the matrix that global directions are made with, measured once for
a generator and an encoder and kept as a component. The paper's channels are those of S, by the convolutions. Where W
itself is made of meaningful channels, as that of the portraits is, its dimensions can be taken instead: a basis "w",
whose displacement all vectors of W+ share.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from tqdm.auto import tqdm

from sfhub.editing.spaces import CodeSpace, StyleSpace
from sfhub.editing.text_directions import global_direction, relevance, text_direction
from sfhub.errors import InputError
from sfhub.text.encoder import TextEncoder

__all__ = ["TextRelevance", "displaced", "measure_relevance"]

STEP = 5.0
"""How far a channel is moved, in standard deviations, down and up, as in the official code."""

BASES = ("s", "w")
QUANTILES = (0.002, 0.998)
"""Of the values that a channel takes over samples: an edit goes no further."""


class TextRelevance(ModelMixin, ConfigMixin):
    """The relevance matrix of one generator and one encoder.

    Args:
        basis: "s", channels of the flat code, or "w", dimensions of W.
        channels: number C of channels that were measured.
        dim: length D of the encoder's vectors.
        size: length of the whole basis.
        encoder: name of the encoder.
        encoder_digest: by which another one is told apart.
        layers: name and width of the parts of the generator's flat code, by which another generator is refused.
        resolution: side of its image in pixels.
        neutral: text that directions start from.
        alpha: how far a direction of strength 1 goes, in standard deviations of its most relevant channel.
        beta: channels of less relevance for a text stay.
        measured: what is known of it, plain data.

    Buffers:
        relevance `[C, D]`; places `[C]`, which entries of the basis the channels are; std, low, high `[C]`, their
        spread and range over samples.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        *,
        basis: str,
        channels: int,
        dim: int,
        size: int,
        encoder: str,
        encoder_digest: str,
        layers: Sequence[Sequence],
        resolution: int,
        neutral: str = "a person",
        alpha: float = 3.0,
        beta: float = 0.15,
        measured: dict[str, Any] | None = None,
    ):
        super().__init__()
        if basis not in BASES:
            raise InputError(f"There is no basis {basis!r} for text directions; choose one of {', '.join(BASES)}.")
        self.register_buffer("relevance", torch.zeros(channels, dim))
        self.register_buffer("places", torch.zeros(channels, dtype=torch.int64))
        for name in ("std", "low", "high"):
            self.register_buffer(name, torch.zeros(channels))

    def check_space(self, space: CodeSpace) -> None:
        """Raise an InputError unless it was measured on a generator with these spaces."""
        theirs, size = (
            [list(row) for row in self.config.layers],
            space.w_dim if self.config.basis == "w" else space.size,
        )
        if theirs != space.layers or size != self.config.size:
            raise InputError(
                f"These text directions were measured on a generator of {self.config.resolution} pixels with "
                f"{sum(width for _, width in theirs)} channels and do not fit one of {space.resolution} pixels with "
                f"{space.size}; measure them with scripts/measure_text_directions.py."
            )

    def check_encoder(self, encoder: TextEncoder) -> None:
        """Raise an InputError unless it was measured with this encoder."""
        if encoder.digest != self.config.encoder_digest:
            raise InputError(
                f"These text directions were measured with the encoder {self.config.encoder!r}, not with "
                f"{encoder.name!r}; use that one, or measure them anew with scripts/measure_text_directions.py."
            )

    def direction(
        self, encoder: TextEncoder, text: str, *, neutral: str | None = None, beta: float | None = None
    ) -> Tensor:
        """What a text asks of the basis, `[size]`: the most relevant channel by its standard deviation.

        Args:
            encoder: the one it was measured with.
            text: what the picture should show.
            neutral: what it shows without; the component's own if None.
            beta: as in the configuration, if None.

        Raises:
            InputError: for another encoder, a text that means nothing, or one that no channel is about.
        """
        self.check_encoder(encoder)
        templates = encoder.templates or ("{}",)
        both = [
            encoder.texts([template.replace("{}", each) for template in templates])
            for each in (text, self.config.neutral if neutral is None else neutral)
        ]
        wanted = text_direction(*both)
        found = global_direction(
            self.relevance.float(), wanted, self.std.float(), self.config.beta if beta is None else beta
        )
        return torch.zeros(self.config.size, device=found.device).index_copy(0, self.places, found)


def displaced(space: CodeSpace, basis: str, displacement: Tensor) -> Tensor:
    """A displacement in a basis as one of the flat code.

    Args:
        space: of the generator.
        basis: "s" or "w".
        displacement: `[B, size]`.

    Returns:
        `[B, S]`.
    """
    if basis == "s":
        return displacement
    everywhere = displacement[:, None].expand(-1, space.num_ws, -1)
    return space.in_s(everywhere) if isinstance(space, StyleSpace) else everywhere.flatten(1)


@torch.no_grad()
def measure_relevance(
    space: CodeSpace,
    render: Callable[[Tensor], Tensor],
    w_plus: Tensor,
    codes: Tensor,
    encoder: TextEncoder,
    *,
    basis: str = "s",
    images: int = 16,
    neutral: str = "a person",
    alpha: float = 3.0,
    beta: float = 0.15,
    batch_size: int = 16,
    progress: bool = True,
) -> TextRelevance:
    """Measure the relevance matrix of a generator.

    Every channel is moved far down and far up in some pictures, all others as they are, and the encoder says what has
    changed (the official `SingleChannel.py`, which moves it from its mean; here, from its own value in the basis "w").

    Args:
        space: of the generator.
        render: flat codes `[B, S]` -> pictures `[B, 3, H, W]` in [-1, 1].
        w_plus: W+ codes `[N, num_ws, w_dim]` of samples, for the spread of the channels.
        codes: the flat codes of these samples, `[N, S]`; the pictures are the first `images` of them.
        encoder: of texts and pictures.
        basis: "s" or "w", see the module.
        images: pictures per channel.
        neutral, alpha, beta: for the component.
        batch_size: pictures at once.
        progress: show a bar.

    Raises:
        InputError: for an unknown basis, or fewer codes than images.
    """
    if len(codes) < max(2, images):
        raise InputError(f"{len(codes)} codes are too few to measure text directions on {images} pictures.")
    values = codes if basis == "s" else w_plus.mean(dim=1)
    places = _channels(space, basis, values)
    std, chosen = values.std(dim=0, correction=0), codes[:images]
    low, high = (torch.quantile(values, share, dim=0) for share in QUANTILES)
    rows = []
    for place in tqdm(places.tolist(), desc="Measuring text directions", unit="channel", disable=not progress):
        moved = torch.zeros(2 * images, values.shape[1])
        start = values[:images, place] if basis == "w" else values[:, place].mean().expand(images)
        offset = start - values[:images, place]
        moved[:images, place], moved[images:, place] = offset - STEP * std[place], offset + STEP * std[place]
        flat = chosen.repeat(2, 1) + displaced(space, basis, moved.to(chosen))
        seen = torch.cat([encoder.pictures(render(part)) for part in flat.split(batch_size)])
        rows.append(relevance(seen[None, :images], seen[None, images:])[0])
    found = TextRelevance(
        basis=basis,
        channels=len(places),
        dim=encoder.dim,
        size=values.shape[1],
        encoder=encoder.name,
        encoder_digest=encoder.digest,
        layers=space.layers,
        resolution=space.resolution,
        neutral=neutral,
        alpha=alpha,
        beta=beta,
        measured={"images": images, "step": STEP},
    )
    found.relevance.copy_(F.normalize(torch.stack(rows), dim=1))
    found.places.copy_(places)
    for name, each in {"std": std, "low": low, "high": high}.items():
        getattr(found, name).copy_(each[places])
    return found.eval()


def _channels(space: CodeSpace, basis: str, values: Tensor) -> Tensor:
    """Which entries of the basis are measured: no toRGB styles, which only tint, and nothing that never varies."""
    if basis not in BASES:
        raise InputError(f"There is no basis {basis!r} for text directions; choose one of {', '.join(BASES)}.")
    varies = values.std(dim=0) > 1e-5
    if basis == "s" and isinstance(space, StyleSpace):
        for entry in space.generator.style_layout:
            varies[entry.start : entry.stop] &= entry.kind != "to_rgb"
    return varies.nonzero()[:, 0]
