"""Starting networks from those of another training: layers that fit are taken over, new ones start unseen.

A training that goes on at a higher resolution so starts with the picture of the old one enlarged and with the verdict
of the old discriminator on the picture made small.
"""

import math
from pathlib import Path

import torch
from torch import nn

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator
from sfhub.training.checkpoint import load_matching, read_checkpoint

__all__ = ["start_from", "start_semantic_from", "take_discriminator"]


@torch.no_grad()
def start_from(G: StyleGAN2Generator, D: StyleGAN2Discriminator, checkpoint: str | Path) -> None:
    """Take over the layers of a lower-resolution training so that both networks start where they stopped.

    New toRGB layers start at zero, so the picture is the old one enlarged. If the new first block of the discriminator
    keeps the number of channels, it starts as plain down-sampling, so the verdict is the old one on the small picture.
    """
    missing = load_matching(G, checkpoint, "ema")
    if len(missing) == len(G.state_dict()):
        raise InputError(f"Nothing in {checkpoint} fits this generator; start from a training with the same channels.")
    for name in (f"{entry.name}.weight" for entry in G.style_layout if entry.kind == "to_rgb"):
        if name in missing:
            nn.init.zeros_(G.get_parameter(name))
    new = set(load_matching(D, checkpoint, "discriminator"))
    for side, block in D.blocks.items():
        if f"blocks.{side}.skip.weight" in new and "from_rgb.weight" not in new:
            nn.init.zeros_(block.conv1.weight)
            gain = block.skip.weight_gain * math.sqrt(0.5)  # equalisation and the block's own scaling
            block.skip.weight.copy_(torch.eye(len(block.skip.weight))[:, :, None, None] / gain)


@torch.no_grad()
def start_semantic_from(G: SemanticStyleGANGenerator, D: SemanticStyleGANDiscriminator, checkpoint: str | Path) -> None:
    """Take over the layers of another training so that both networks start where they stopped.

    At a higher resolution new output layers start at zero, so the picture is the old one enlarged; the new frequency
    of the position features starts unheard; and a new first block of the discriminator that keeps the number of
    channels starts as plain down-sampling, so that the verdict is the old one on the small picture.
    """
    missing = load_matching(G, checkpoint, "ema")
    if len(missing) == len(G.state_dict()):
        raise InputError(f"Nothing in {checkpoint} fits this generator; start from a training with the same channels.")
    for name in missing:
        if name.startswith(("render_net.to_rgbs", "render_net.to_masks")) and name.endswith(".weight"):
            nn.init.zeros_(G.get_parameter(name))
    if "position_weight" in missing:
        stored = read_checkpoint(checkpoint)[0]["ema/position_weight"]
        heard = min(stored.shape[1], G.position_weight.shape[1])
        G.position_weight.zero_()  # its columns are divided by the square root of their number at run time
        G.position_weight[:, :heard] = stored[:, :heard] * math.sqrt(G.position_weight.shape[1] / stored.shape[1])
    new = set(load_matching(D, checkpoint, "discriminator"))
    for name, block in D.image_branch.blocks.items():
        if f"image_branch.blocks.{name}.skip.weight" in new and "image_branch.entry.weight" not in new:
            nn.init.zeros_(block.conv1.weight)
            gain = block.skip.weight_gain * math.sqrt(0.5)  # equalisation and the block's own scaling
            block.skip.weight.copy_(torch.eye(len(block.skip.weight))[:, :, None, None] / gain)


def take_discriminator(D: SemanticStyleGANDiscriminator, checkpoint: str | Path) -> None:
    """Start image branch and epilogue from the discriminator of a StyleGAN2 training."""
    prefix = "discriminator/"
    tensors = read_checkpoint(checkpoint)[0]
    stored = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    own = D.state_dict()
    renamed = {}
    for name in own:
        source = name.removeprefix("image_branch.").replace("entry.", "from_rgb.")
        if source in stored and stored[source].shape == own[name].shape:
            renamed[name] = stored[source]
    wanted = [name for name in own if name.startswith(("image_branch.", "epilogue."))]
    missing = [name for name in wanted if name not in renamed]
    if missing:
        raise InputError(
            f"The discriminator in {checkpoint} does not fit: {missing[0]} is missing or has another shape; "
            "take a checkpoint of the same resolution and channels."
        )
    D.load_state_dict(renamed, strict=False)
