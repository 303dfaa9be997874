"""StyleFusion: one style code out of several, each for its own region of the image.

*StyleFusion: Disentangling Spatial Segments in StyleGAN-Generated Images* (Kafri et al., ACM TOG 2022), sections 4.2
and 4.4, numerically equal to the official repository (OmerKafri/StyleFusion), whose weights enter through
`sfhub.convert`:

    LatentBlender    q = sigmoid(D(a, b)),  a + q (b - a)                                   equation 2
    FusionNet        aligns two codes with a layout code, then fuses them                   figure 4
    FusionHierarchy  a FusionNet at every inner node of a region tree                       figure 6

One blender serves all style layers of the generator: each layer is a row of the same width with an encoding of its
place. The rows of all layers, of both siblings and of the whole batch go through it in one matrix product per linear
layer, so every weight is read once; what they cost beyond that is in `scripts/benchmark.py`.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from sfhub.errors import InputError, short
from sfhub.models.layers import EqualLinear, leaky_relu
from sfhub.models.region_tree import RegionTree
from sfhub.models.style_space import StyleGenerator, check_same_layout

__all__ = ["FusionHierarchy", "FusionNet", "FusionResult", "LatentBlender"]

LEARNING_RATE_MULTIPLIER = 0.01


@dataclass(frozen=True)
class FusionResult:
    """What a FusionNet makes of its codes.

    Attributes:
        code: `[B, S]`.
        align_coefficient: how far each sibling went to the layout code, in (0, 1), `[siblings, B, aligned layers,
            width]` (q_align of equation 6); None if nothing was aligned.
        fuse_coefficient: how far the result went from the first to the second sibling, `[B, layers, width]`; None if
            nothing was fused.
        aligned: the siblings after alignment, `[siblings, B, S]`; None if nothing was aligned.
    """

    code: Tensor
    align_coefficient: Tensor | None = None
    fuse_coefficient: Tensor | None = None
    aligned: Tensor | None = None


class LatentBlender(nn.Module):
    """Blends two codes channel by channel (figure 5): `a + q (b - a)`, `q = sigmoid(D(a, b, ...))`.

    D is made of equalised linear layers, all of them followed by the leaky ReLU, the last one too.

    Args:
        width: channels of a row.
        hidden_widths: of the layers before the last.
        encoding_size: length of the encoding of a row's place.
        context: whether D sees a third row besides the two that are blended.
    """

    def __init__(self, width: int, hidden_widths: Sequence[int], encoding_size: int, *, context: bool):
        super().__init__()
        widths = [(3 if context else 2) * width + encoding_size, *hidden_widths, width]
        self.layers = nn.ModuleList(
            EqualLinear(before, after, lr_multiplier=LEARNING_RATE_MULTIPLIER)
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, a: Tensor, b: Tensor, encoding: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Blend rows.

        Args:
            a, b: `[..., L, width]`.
            encoding: `[L, encoding_size]`.
            context: `[..., L, width]` if the blender has it.

        Returns:
            The blend and the coefficient q in (0, 1), both `[..., L, width]`.
        """
        rows = [a, b] if context is None else [a, b, context]
        x = torch.cat([*rows, encoding.to(a.dtype).expand(*a.shape[:-1], -1)], dim=-1).flatten(0, -2)
        for layer in self.layers:
            # Scaling the few rows rather than the many weights leaves one read per weight.
            x = leaky_relu(F.linear(x * layer.weight_gain, layer.weight, layer.bias * layer.bias_gain))
        q = torch.sigmoid(x).view_as(a)
        return a + q * (b - a), q


class StyleRows(nn.Module):
    """Some layers of a flat style code as rows of one width.

    A style of fewer channels is brought to that width by nearest up-sampling and back by taking the maximum over the
    copies of each channel.

    Args:
        slices: of these layers in S.
        width: of the rows, at least that of every layer.

    Buffers:
        channels `[C]`, what of S these layers cover; cell_channel `[L * width]`, the index into S of every cell of the
        rows; channel_cells `[C, copies]`, the cells of every channel, the last one repeated where there are fewer.
    """

    def __init__(self, slices: Sequence[slice], width: int):
        super().__init__()
        self.width = width
        empty = torch.zeros(0, dtype=torch.int64)
        channels, cell_channel, first, last = [empty], [empty], [empty], [empty]
        for row, part in enumerate(slices):
            count = part.stop - part.start
            channels.append(torch.arange(part.start, part.stop))
            cell_channel.append(part.start + torch.arange(width) * count // width)
            borders = row * width + (torch.arange(count + 1) * width + count - 1) // count
            first.append(borders[:-1])
            last.append(borders[1:] - 1)
        first, last = torch.cat(first)[:, None], torch.cat(last)[:, None]
        # Known without looking into the tensors, which hold nothing when a model is built on the meta device.
        copies = max((-(-width // (part.stop - part.start)) for part in slices), default=1)
        self.register_buffer("channels", torch.cat(channels), persistent=False)
        self.register_buffer("cell_channel", torch.cat(cell_channel), persistent=False)
        self.register_buffer("channel_cells", (first + torch.arange(copies)).minimum(last), persistent=False)

    def enlarge(self, codes: Tensor) -> Tensor:
        """Flat codes `[..., S]` -> rows `[..., L, width]`."""
        return codes.index_select(-1, self.cell_channel).unflatten(-1, (-1, self.width))

    def shrink(self, rows: Tensor) -> Tensor:
        """Rows `[..., L, width]` -> the channels `[..., C]` that these layers cover."""
        cells, (count, copies) = rows.flatten(-2), self.channel_cells.shape
        if copies == 1:
            return cells
        return cells.index_select(-1, self.channel_cells.flatten()).unflatten(-1, (count, copies)).amax(dim=-1)


class FusionNet(nn.Module):
    """Aligns two style codes with a layout code and fuses them, the first for one region, the second for the other.

    Args:
        style_layers: name and width of every layer in the order of S, convolutions first, as in `StyleLayout`.
        width: of the rows that the blenders work on; at least that of every layer. 512 officially.
        hidden_widths: of the blenders' hidden layers; the official 5, 5, 5 and 1 times `width` if None.
        common_layers: how many of the first convolutions, and of the first toRGB layers, are aligned; all if None. The
            others are fused without regard to the layout code.
        max_layers: number of places that the encoding tells apart.
        encoding_repeats: how often the encoding is repeated in the input, which is its weight at the start.
        separate_to_rgb: let the encoding always tell the k-th toRGB layer from the k-th convolution; the official code
            does so when it only aligns.

    Raises:
        InputError: for widths that do not fit, or more layers than the encoding has places.
    """

    def __init__(
        self,
        style_layers: Sequence[tuple[str, int]],
        *,
        width: int = 512,
        hidden_widths: Sequence[int] | None = None,
        common_layers: int | None = 5,
        max_layers: int = 18,
        encoding_repeats: int = 10,
        separate_to_rgb: bool = False,
    ):
        super().__init__()
        places = _places(style_layers, max_layers)
        slices = _slices(style_layers, width)
        limit = max_layers if common_layers is None else common_layers
        aligned = [index < limit for index in places]
        hidden_widths = (5 * width,) * 3 + (width,) if hidden_widths is None else hidden_widths

        # The official code counts convolutions and toRGB layers from 0 each. It tells them apart by a last, separate
        # bit when it only aligns, and not at all otherwise; two layers of one number then share what they learn.
        encoding = F.one_hot(torch.tensor(places), max_layers + 1).float()
        flagged = encoding.clone()
        flagged[:, -1] = torch.tensor([float(name.startswith("to_rgb")) for name, _ in style_layers])
        encoding = flagged if separate_to_rgb else encoding
        self.register_buffer("encoding", encoding.repeat(1, encoding_repeats), persistent=False)
        self.register_buffer("flagged_encoding", flagged.repeat(1, encoding_repeats), persistent=False)
        self.register_buffer("aligned", torch.tensor(aligned), persistent=False)
        self.rows = StyleRows(slices, width)
        self.aligned_rows = StyleRows([part for part, use in zip(slices, aligned, strict=True) if use], width)
        self.align_blender = LatentBlender(width, hidden_widths, self.encoding.shape[1], context=False)
        self.fuse_blender = LatentBlender(width, hidden_widths, self.encoding.shape[1], context=True)

    def forward(self, first: Tensor, second: Tensor, layout: Tensor) -> Tensor:
        """The fused code `[B, S]` of three codes `[B, S]`."""
        return self.align_and_fuse(first, second, layout).code

    def align_and_fuse(self, first: Tensor, second: Tensor, layout: Tensor) -> FusionResult:
        """As `forward`, with the coefficients of both blenders."""
        siblings, align_coefficient = self._align(torch.stack([first, second]), layout, self.encoding)
        context = self.rows.enlarge(layout) * self.aligned[:, None]
        code, fuse_coefficient = self._fuse(siblings[0], siblings[1], context)
        return FusionResult(code, align_coefficient, fuse_coefficient, siblings)

    def align_only(self, code: Tensor, layout: Tensor) -> FusionResult:
        """`code` moved towards `layout`, both `[B, S]`, without a second region (`only_common` officially)."""
        codes, coefficient = self._align(code[None], layout, self.flagged_encoding)
        return FusionResult(codes[0], align_coefficient=coefficient, aligned=codes)

    def fuse_only(self, first: Tensor, second: Tensor) -> FusionResult:
        """Two codes `[B, S]` fused as they are, without a layout (`only_segments` officially)."""
        code, coefficient = self._fuse(first, second, torch.zeros_like(self.rows.enlarge(first)))
        return FusionResult(code, fuse_coefficient=coefficient)

    def _align(self, codes: Tensor, layout: Tensor, encoding: Tensor) -> tuple[Tensor, Tensor]:
        """Codes `[N, B, S]` towards the layout `[B, S]`: the codes and the coefficient `[N, B, aligned, width]`."""
        a = self.aligned_rows.enlarge(codes)
        b = self.aligned_rows.enlarge(layout).expand_as(a)
        rows, coefficient = self.align_blender(a, b, encoding[self.aligned])
        return codes.index_copy(-1, self.aligned_rows.channels, self.aligned_rows.shrink(rows)), coefficient

    def _fuse(self, first: Tensor, second: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Two codes `[B, S]` and the context `[B, layers, width]`: the code and the coefficient."""
        rows, coefficient = self.fuse_blender(
            self.rows.enlarge(first), self.rows.enlarge(second), self.encoding, context
        )
        return self.rows.shrink(rows), coefficient


class FusionHierarchy(ModelMixin, ConfigMixin):
    """A FusionNet at the inner nodes of a region tree: style codes of all nodes -> one style code.

    Args:
        tree: what `RegionTree.to_config` returns, or the tree itself.
        style_layers: name and width of every style layer in the order of S; with `resolution` this is the fingerprint
            by which another generator is refused.
        resolution: side of the generator's image in pixels.
        fusion_nodes: the inner nodes that have a network; all if None. One without stands for all that is below it.
        width, hidden_widths, common_layers, max_layers, encoding_repeats, separate_to_rgb: of every `FusionNet`.

    Raises:
        InputError: for a tree, nodes or widths that do not fit together.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        tree: Mapping[str, Any],
        style_layers: Sequence[tuple[str, int]],
        resolution: int,
        fusion_nodes: Sequence[str] | None = None,
        width: int = 512,
        hidden_widths: Sequence[int] | None = None,
        common_layers: int | None = 5,
        max_layers: int = 18,
        encoding_repeats: int = 10,
        separate_to_rgb: bool = False,
    ):
        super().__init__()
        self.tree = tree if isinstance(tree, RegionTree) else RegionTree.from_config(tree)
        self.register_to_config(tree=self.tree.to_config())
        self.style_size = sum(int(channels) for _, channels in style_layers)
        names = self.tree.inner if fusion_nodes is None else tuple(fusion_nodes)
        self.tree.check(names, "network")
        for name in names:
            if name not in self.tree.inner or hasattr(nn.ModuleDict, name) or names.count(name) > 1:
                raise InputError(
                    f"Node {short(name)} cannot have a network: it is a leaf, named twice, or has a name that PyTorch "
                    f"reserves; give one to each of {', '.join(self.tree.inner)} at most."
                )
        self.nets = nn.ModuleDict(
            {
                name: FusionNet(
                    style_layers,
                    width=width,
                    hidden_widths=hidden_widths,
                    common_layers=common_layers,
                    max_layers=max_layers,
                    encoding_repeats=encoding_repeats,
                    separate_to_rgb=separate_to_rgb,
                )
                for name in names
            }
        )

    @classmethod
    def for_generator(
        cls, generator: StyleGenerator, tree: RegionTree, *, width: int | None = None, **config: Any
    ) -> "FusionHierarchy":
        """An untrained hierarchy for `generator`; `width` is that of its widest style if None."""
        layers = generator.style_layout.fingerprint
        return cls(
            tree=tree.to_config(),
            style_layers=layers,
            resolution=generator.config.resolution,
            width=width or max(channels for _, channels in layers),
            **config,
        )

    def check_generator(self, generator: StyleGenerator) -> None:
        """Raise an InputError unless `generator` has the style layout that this hierarchy was made for."""
        remedy = "use the hierarchy that was trained on this generator"
        check_same_layout(generator, self.config.style_layers, self.config.resolution, "fusion hierarchy", remedy)

    @property
    def active_nodes(self) -> tuple[str, ...]:
        """The nodes that a code can be given to with effect: none below a node without a network."""
        hidden = {below for node in self.tree.inner if node not in self.nets for below in self.tree.subtree(node)[1:]}
        return tuple(node for node in self.tree.nodes if node not in hidden)

    def forward(self, codes: Mapping[str, Tensor]) -> Tensor:
        """Fuse the codes of the nodes, exactly as the official code does.

        A node whose children do not both have a code returns its own, whatever codes lie below; `mix` gives every node
        one first.

        Args:
            codes: by node `[B, S]`; of a leaf its look, of an inner node the layout of its two regions. A batch of one
                goes with any other.

        Returns:
            `[B, S]`.

        Raises:
            InputError: for an unknown node, a node whose code is needed and missing, or codes of another layout.
        """
        self._check_codes(codes)
        order, open_ends = [], [self.tree.root]
        while open_ends:
            node = open_ends.pop()
            if node not in codes:
                raise InputError(
                    f"The code of node {short(node)} is missing, which the nodes below it cannot do without."
                )
            children = self.tree.children.get(node, ())
            if node in self.nets and all(child in codes for child in children):
                order.append(node)
                open_ends.extend(children)
        found = dict(codes)
        for node in reversed(order):
            first, second = (found[child] for child in self.tree.children[node])
            if first is second is codes[node]:
                found[node] = first  # what the network returns too: a + q (a - a)
            else:
                found[node] = self.nets[node](*torch.broadcast_tensors(first, second, codes[node]))
        return found[self.tree.root]

    def mix(self, regions: Mapping[str, Tensor], layouts: Mapping[str, Tensor] | None = None) -> Tensor:
        """Fuse codes given at any level of the tree; each covers its subtree (see `RegionTree.spread`).

        Args:
            regions: codes by node `[B, S]`, at least that of the root; a code of an inner node is also its layout.
            layouts: codes of inner nodes whose layout shall come from elsewhere; at the root, the pose of everything.

        Returns:
            `[B, S]`. Subtrees in which all codes are the same tensor cost nothing.

        Raises:
            InputError: as `forward` and `RegionTree.spread`.
        """
        return self(self.tree.spread(regions, layouts))

    def _check_codes(self, codes: Mapping[str, Tensor]) -> None:
        self.tree.check(codes)
        for node, code in codes.items():
            if code.ndim != 2 or code.shape[1] != self.style_size:
                raise InputError(
                    f"The code of node {short(node)} has shape {list(code.shape)} and does not fit this "
                    "hierarchy, whose "
                    f"generator of {self.config.resolution} pixels takes [batch, {self.style_size}]; use codes of that "
                    "generator."
                )
        sizes = {len(code) for code in codes.values()} - {1}
        if len(sizes) > 1:
            raise InputError(
                f"The codes come in batches of {', '.join(map(str, sorted(sizes)))}; give them one batch size."
            )


def _places(style_layers: Sequence[tuple[str, int]], max_layers: int) -> list[int]:
    """Place of every layer among those of its kind."""
    to_rgb = [name.startswith("to_rgb") for name, _ in style_layers]
    places = [to_rgb[:index].count(kind) for index, kind in enumerate(to_rgb)]
    if max(places, default=-1) not in range(max_layers):
        raise InputError(
            f"The generator has {max(places, default=-1) + 1} layers of a kind where this fusion network tells 1 to "
            f"{max_layers} apart; set max_layers to at least that."
        )
    return places


def _slices(style_layers: Sequence[tuple[str, int]], width: int) -> list[slice]:
    """Where every layer lies in S."""
    slices, start = [], 0
    for name, channels in style_layers:
        if not 0 < channels <= width:
            raise InputError(
                f"Layer {name} has {channels} channels, which do not fit into rows of width {width}; set width to that "
                "of the widest layer."
            )
        slices.append(slice(start, start + channels))
        start += channels
    return slices
