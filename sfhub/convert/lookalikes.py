"""What a checkpoint looks like that no adapter takes, told from its key names.

The names are those of the official repositories, as the parity fixtures list them. Order matters: composed models (an
encoder with its decoder) come before their parts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from .nvidia import PersistentObject, flatten

MAX_KEYS = 20_000
MAX_DEPTH = 4
MAX_NAME = 100

FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "a model already converted by sfhub, which from_pretrained opens",
        (r"conv1\.affine\.weight$", r"to_rgb1\.affine\."),
    ),
    ("a model already converted by sfhub, which from_pretrained opens", (r"local_generators\.affine_weight$",)),
    ("a SemanticStyleGAN generator with some of its tensors missing", (r"local_nets\.0\.", r"render_net\.")),
    ("StyleFusion's FusionNet", (r"disentangle_net\.\d", r"blender_")),
    ("an e4e or pSp encoder", (r"encoder\.styles\.\d", r"encoder\.(input_layer|body)\.")),
    ("an e4e, pSp or ReStyle encoder", (r"(^|\.)styles\.\d+\.linear\.", r"(^|\.)input_layer\.0\.")),
    ("a StyleCLIP mapper", (r"(course_mapping|medium_mapping|mapper_\d+|mapping)\.mapping\.\d",)),
    ("StyleGAN3", (r"synthesis\.L\d+_\d+_\d+\.",)),
    ("StyleGAN1", (r"g_mapping\.dense\d|g_synthesis\.blocks",)),
    ("StyleGAN1 (rosinality)", (r"generator\.progression\.\d", r"style\.\d")),
    ("StyleGAN1 (GenForce)", (r"synthesis\.layer\d+\.|synthesis\.early_layer",)),
    ("Progressive GAN", (r"(^|\.)progression_\d|toRGBLayers\.\d|scaleLayers\.\d|(^|\.)layer\d+\.wscale",)),
    ("a StyleGAN2 discriminator alone, without its generator", (r"convs\.0\.0\.weight$", r"final_linear\.1\.")),
    ("a StyleGAN2 discriminator alone, without its generator", (r"b\d+\.fromrgb\.", r"b4\.out\.")),
    ("a StyleGAN2 generator with some of its tensors missing", (r"conv1\.conv\.modulation\.|synthesis\.b4\.",)),
    ("Stable Diffusion", (r"model\.diffusion_model\.|down_blocks\.\d+\.attentions",)),
    ("CLIP", (r"visual\.(transformer|conv1)", r"token_embedding\.")),
    ("a BiSeNet face parser", (r"(^|\.)cp\.arm16\.|ffm\.convblk",)),
    ("an ArcFace recogniser", (r"(^|\.)output_layer\.\d", r"(^|\.)input_layer\.")),
    ("a ResNet classifier", (r"layer4\.\d+\.conv1\.weight$", r"(^|\.)fc\.weight$")),
    ("a VGG network", (r"features\.\d+\.weight$", r"classifier\.")),
)


def looks_like(root: object) -> str | None:
    """Name of the architecture that a loaded file looks like, None if its keys tell nothing."""
    keys = list(itertools.islice(_keys(root), MAX_KEYS))
    for family, patterns in FAMILIES:
        if all(any(re.search(pattern, key) for key in keys) for pattern in patterns):
            return family
    return None


def _keys(value: object, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Dotted names in nested dicts and persistent objects; a file can loop, so callers take so many only."""
    yield prefix.removesuffix(".")
    if type(value) is PersistentObject:
        yield from flatten(value)[0]
    elif type(value) is dict and depth < MAX_DEPTH:
        for name, child in value.items():
            if type(name) is str:
                yield from _keys(child, f"{prefix}{name[:MAX_NAME]}.", depth + 1)
