"""Checkpoints of rosinality's stylegan2-pytorch, also what most later projects ship (`model.py` of that repository).

A file is a dict with `g_ema` (the averaged generator, preferred), `g`, `d` and perhaps `latent_avg`, or one
generator's state dict. Everything but the mapping network's learning-rate multiplier, which is 0.01 throughout, shows
in keys and shapes. Training checkpoints have no mean latent; it is then estimated as that repository does by
`mean_latent`, from a fixed seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator

from .networks import (
    MEAN_LATENT_NOTE,
    Checkpoint,
    check_filters,
    discriminator_from,
    generator_from,
    left_out,
    resolution_of,
    tensors_of,
    with_mean_latent,
)

SIGNATURE = {
    "input.input",
    "conv1.conv.weight",
    "to_rgb1.conv.weight",
    "style.1.weight",
    "convs.0.conv.modulation.weight",
}
PARTS = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}
DISCRIMINATOR_PARTS = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}
DISCRIMINATOR_ENDS = {
    "convs.0.0.weight": "from_rgb.weight",
    "convs.0.1.bias": "from_rgb.bias",
    "final_conv.0.weight": "epilogue.conv.weight",
    "final_conv.1.bias": "epilogue.conv.bias",
    "final_linear.0.weight": "epilogue.fc.weight",
    "final_linear.0.bias": "epilogue.fc.bias",
    "final_linear.1.weight": "epilogue.out.weight",
    "final_linear.1.bias": "epilogue.out.bias",
}


def detect(root: object) -> bool:
    """Whether a loaded file holds a generator with rosinality's key names."""
    return _generator_state(root) is not None


def load(root: dict) -> Checkpoint:
    """Rebuild the generator and, where present and of the known architecture, the discriminator.

    Raises:
        InputError: if the generator's tensors are missing, superfluous or of other shapes than StyleGAN2's.
    """
    notes: list[str] = []
    generator = _load_generator(_generator_state(root), root.get("latent_avg"), notes)
    state = tensors_of(root.get("d"))
    discriminator = None
    if "convs.0.0.weight" in state and "final_linear.1.weight" in state:
        try:
            discriminator = _load_discriminator(state)
        except InputError as error:
            notes.append(left_out(error))
    return Checkpoint("StyleGAN2 (rosinality)", generator, discriminator, tuple(notes))


def _generator_state(root: object) -> dict[str, Tensor] | None:
    if type(root) is not dict:
        return None
    candidates = (tensors_of(value) for value in (root.get("g_ema"), root.get("g"), root))
    return next((state for state in candidates if state.keys() >= SIGNATURE), None)


def _load_generator(state: dict[str, Tensor], latent_avg: object, notes: list[str]) -> StyleGAN2Generator:
    ours: dict[str, Tensor] = {}
    filters: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith(".kernel"):
            filters[key] = value
        elif key != "latent_avg":
            name, tensor = _renamed(key, value)
            ours[name] = tensor
    check_filters(filters, gain=4.0)
    layers = sum(re.fullmatch(r"to_rgbs\.\d+\.weight", key) is not None for key in ours)
    resolution = resolution_of([4 * 2 ** min(layers, 16)])
    w_dim = ours["conv1.affine.weight"].shape[-1]
    if not any(key.endswith("noise_const") for key in ours):
        ours |= _fresh_noise(resolution)
        notes.append("it stores no noise images, so fixed ones were drawn")
    if type(latent_avg) is Tensor and latent_avg.numel() and latent_avg.shape[-1] == w_dim:
        mean = latent_avg.float().reshape(-1, w_dim).mean(dim=0)
        return generator_from(ours | {"mapping_network.w_avg": mean}, resolution=resolution)
    notes.append(MEAN_LATENT_NOTE)
    return with_mean_latent(generator_from(ours | {"mapping_network.w_avg": torch.zeros(w_dim)}, resolution=resolution))


def _renamed(key: str, value: Tensor) -> tuple[str, Tensor]:
    """One tensor of a generator under our name and in our shape."""
    if key == "input.input":
        return "const", value
    if match := re.fullmatch(r"style\.([1-9]\d{0,2})\.(weight|bias)", key):
        return f"mapping_network.layers.{int(match[1]) - 1}.{match[2]}", value
    if match := re.fullmatch(r"noises\.noise_(\d{1,3})", key):
        index = int(match[1])
        return f"{f'convs.{index - 1}' if index else 'conv1'}.noise_const", value.reshape(value.shape[-2:])
    match = re.fullmatch(r"(conv1|to_rgb1|(?:convs|to_rgbs)\.\d{1,3})\.(.+)", key)
    if match is None or match[2] not in PARTS:
        raise InputError(f"The checkpoint has the tensor {key[:80]!r}, which StyleGAN2 does not; it cannot be used.")
    part = PARTS[match[2]]
    if part == "weight":
        value = value.squeeze(0)
    elif part == "noise_strength":
        value = value.reshape(())
    elif part == "bias":
        value = value.flatten()
    return f"{match[1]}.{part}", value


def _fresh_noise(resolution: int) -> dict[str, Tensor]:
    """Noise images for files from before they were stored, the same ones each time."""
    source = torch.Generator().manual_seed(0)
    noise = {"conv1.noise_const": torch.randn(4, 4, generator=source)}
    for k in range(2 * (resolution.bit_length() - 3)):
        side = 8 * 2 ** (k // 2)
        noise[f"convs.{k}.noise_const"] = torch.randn(side, side, generator=source)
    return noise


def _load_discriminator(state: Mapping[str, Tensor]) -> StyleGAN2Discriminator:
    blocks = sum(re.fullmatch(r"convs\.\d+\.skip\.1\.weight", key) is not None for key in state)
    resolution = resolution_of([4 * 2 ** min(blocks, 16)])
    check_filters({key: value for key, value in state.items() if key.endswith(".kernel")}, gain=1.0)
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.fullmatch(r"convs\.([1-9]\d?)\.(.+)", key)
        if key in DISCRIMINATOR_ENDS:
            ours[DISCRIMINATOR_ENDS[key]] = value
        elif match and match[2] in DISCRIMINATOR_PARTS:
            ours[f"blocks.{resolution >> (int(match[1]) - 1)}.{DISCRIMINATOR_PARTS[match[2]]}"] = value
        elif not key.endswith(".kernel"):
            raise InputError(
                f"The checkpoint's discriminator has {key[:80]!r}, which StyleGAN2 does not; it cannot be used."
            )
    return discriminator_from(ours, resolution=resolution)
