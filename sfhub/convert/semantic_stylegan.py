"""Checkpoints of the official SemanticStyleGAN (`train.py` of that repository).

A file is a dict with `g_ema` (the averaged generator, preferred), `g`, `d` and `args`, an `argparse.Namespace` that the
unpickler reads as plain attributes. Widths, sizes and numbers of layers show in keys and shapes; which layers take the
base codes and which make the shape, which classes are transparent and two switches stand in `args` alone. The official
code keeps one module per class, this package one tensor for all classes, so most tensors are stacked here. No file
stores the mean latent; it is estimated.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator
from sfhub.portraits.classes import CLASSES

from .networks import (
    MEAN_LATENT_NOTE,
    Checkpoint,
    build,
    check_filters,
    left_out,
    resolution_of,
    size_of,
    tensors_of,
    with_mean_latent,
)
from .rosinality import DISCRIMINATOR_ENDS, DISCRIMINATOR_PARTS

MAX_CLASSES = 256
MAX_ELEMENTS = 2**29  # of all tensors together; keys may share one tensor, whose copies would fill the memory
SIGNATURE = {
    "pos_embed.weights",
    "local_nets.0.linears.0.conv.weight",
    "render_net.convs.0.weight",
    "style.1.weight",
}
LAYER_PARTS = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine_weight",
    "conv.modulation.bias": "affine_bias",
    "activate.bias": "bias",
}
RENDER_PARTS = {
    "weight": "weight",
    "modulation": "modulation",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
HEAD_PARTS = {"conv.weight": "weight", "conv.modulation": "modulation", "bias": "bias"}
HEADS = {"to_feat": "feature", "to_depth": "depth", "to_rgbs": "to_rgbs", "to_segs": "to_masks"}
OFFICIAL_SETTINGS = {  # what the official training uses; a file without `args` does not say
    "base_layers": 2,
    "depth_layers": 6,
    "residual_refine": True,
    "detach_texture": True,
}
PORTRAIT_CLASSES, PORTRAIT_TRANSPARENT = 13, (10, 12)  # CelebAMask-HQ's, with glasses and earrings


def detect(root: object) -> bool:
    """Whether a loaded file holds a generator with the official key names."""
    return _generator_state(root) is not None


def load(root: dict) -> Checkpoint:
    """Rebuild the generator and, where present, the dual-branch discriminator.

    Raises:
        InputError: if the generator's tensors are missing, superfluous or of other shapes than SemanticStyleGAN's, or
            do not fit the settings beside them.
    """
    notes: list[str] = []
    generator = _load_generator(_generator_state(root), root.get("args"), notes)
    state = tensors_of(root.get("d"))
    discriminator = None
    if state:
        try:
            discriminator = _load_discriminator(state)
        except InputError as error:
            notes.append(left_out(error))
    return Checkpoint("SemanticStyleGAN", generator, discriminator, tuple(notes))


def _generator_state(root: object) -> dict[str, Tensor] | None:
    if type(root) is not dict:
        return None
    candidates = (tensors_of(value) for value in (root.get("g_ema"), root.get("g"), root))
    return next((state for state in candidates if state.keys() >= SIGNATURE), None)


def _load_generator(state: dict[str, Tensor], args: object, notes: list[str]) -> SemanticStyleGANGenerator:
    check_filters({key: value for key, value in state.items() if key.endswith(".kernel")}, gain=4.0)
    if sum(value.numel() for value in state.values()) > MAX_ELEMENTS:
        raise InputError("The checkpoint's tensors are larger than any SemanticStyleGAN; it is damaged.")
    ours = _renamed_state(state)
    config = _config_of(ours)
    config |= _settings(args, config, notes)
    ours["mapping_network.w_avg"] = torch.zeros(config["w_dim"])
    notes.append(MEAN_LATENT_NOTE)
    return with_mean_latent(build(SemanticStyleGANGenerator, ours, **config))


# Tensors -------------------------------------------------------------------------------------------------------------


def _renamed_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors under our names, those of the local generators stacked."""
    ours: dict[str, Tensor] = {}
    parts: dict[str, dict[tuple[int, ...], Tensor]] = defaultdict(dict)
    for key, value in state.items():
        if key.endswith(".kernel"):
            continue
        if key.startswith("local_nets."):
            name, index, tensor = _local(key, value)
            parts[name][index] = tensor
        else:
            name, tensor = _renamed(key, value)
            ours[name] = tensor
    return ours | {name: _stacked(name, tensors) for name, tensors in parts.items()}


def _local(key: str, value: Tensor) -> tuple[str, tuple[int, ...], Tensor]:
    """One tensor of a local generator: name of the stack, place in it ([layer,] class), and the tensor for there."""
    if match := re.fullmatch(r"local_nets\.(\d{1,3})\.linears\.(\d{1,2})\.(.+)", key):
        part = LAYER_PARTS.get(match[3])
        value = value[0, :, :, 0, 0] if part == "weight" else value
        index = (int(match[2]), int(match[1]))
    elif match := re.fullmatch(r"local_nets\.(\d{1,3})\.(to_feat|to_depth)\.(.+)", key):
        part = HEAD_PARTS.get(match[3])
        depth = match[2] == "to_depth"  # a single channel, which the background has not
        value = value[:, :, 0, 0] if part == "weight" and not depth else value.flatten()
        value = value.reshape(()) if depth and part == "bias" else value
        part = part and f"{HEADS[match[2]]}_{part}"
        index = (int(match[1]) - depth,)
    if match is None or part is None:
        raise _superfluous(key)
    return f"local_generators.{part}", index, value


def _renamed(key: str, value: Tensor) -> tuple[str, Tensor]:
    """One tensor outside the local generators under our name and in our shape."""
    if key == "pos_embed.weights":
        return "position_weight", value[:, :, 0, 0]
    if match := re.fullmatch(r"style\.([1-9]\d{0,2})\.(weight|bias)", key):
        return f"mapping_network.layers.{int(match[1]) - 1}.{match[2]}", value
    if match := re.fullmatch(r"render_net\.noises\.noise_(\d{1,3})", key):
        return f"render_net.convs.{match[1]}.noise_const", value.reshape(value.shape[-2:])
    match = re.fullmatch(r"render_net\.(convs|to_rgbs|to_segs)\.(\d{1,3})\.(.+)", key)
    part = match and (RENDER_PARTS if match[1] == "convs" else HEAD_PARTS).get(match[3])
    if part is None:
        raise _superfluous(key)
    value = value if part == "weight" else value.flatten()
    value = value.reshape(()) if part == "noise_strength" else value
    return f"render_net.{HEADS.get(match[1], match[1])}.{match[2]}.{part}", value


def _superfluous(key: str) -> InputError:
    return InputError(f"The checkpoint has {key[:80]!r}, which SemanticStyleGAN does not; it cannot be used.")


def _stacked(name: str, tensors: Mapping[tuple[int, ...], Tensor]) -> Tensor:
    """Tensors by place, as one tensor with the places in front."""
    extents = [max(index[axis] for index in tensors) + 1 for axis in range(len(next(iter(tensors))))]
    places = list(itertools.product(*map(range, extents))) if max(extents) <= MAX_CLASSES else []
    if sorted(tensors) != places:
        raise InputError(
            f"The checkpoint lacks some of the tensors that become {name}, or has some for more classes than it "
            "should; download it again."
        )
    return torch.stack([tensors[place].float() for place in places]).unflatten(0, extents)


# Settings ------------------------------------------------------------------------------------------------------------


def _config_of(state: Mapping[str, Tensor]) -> dict[str, object]:
    """What names and shapes tell of a generator's configuration."""
    blocks = sum(re.fullmatch(r"render_net\.to_rgbs\.\d+\.weight", key) is not None for key in state)
    minimum = size_of(state, "render_net.convs.0.noise_const", 0) // 2
    resolution = resolution_of([minimum * 2 ** min(blocks, 16)])
    feature_width = size_of(state, "local_generators.feature_weight", 1)
    channels = {minimum * 2 ** (k + 1): size_of(state, f"render_net.convs.{2 * k}.weight", 0) for k in range(blocks)}
    inputs = {minimum * 2**k: size_of(state, f"render_net.convs.{2 * k}.weight", 1) for k in range(blocks)}
    coarse = [side for side in inputs if side in channels and inputs[side] == channels[side] + feature_width]
    if len(coarse) != 1:
        raise InputError("The checkpoint's render net has no layer that takes the feature map; it is damaged.")
    return {
        "resolution": resolution,
        "z_dim": size_of(state, "mapping_network.layers.0.weight", 1),
        "w_dim": size_of(state, "local_generators.affine_weight", 3),
        "num_mapping_layers": sum(
            re.fullmatch(r"mapping_network\.layers\.\d+\.weight", key) is not None for key in state
        ),
        "num_classes": size_of(state, "local_generators.weight", 1),
        "coarse_resolution": coarse[0],
        "min_resolution": minimum,
        "local_layers": size_of(state, "local_generators.weight", 0),
        "local_width": size_of(state, "local_generators.weight", 2),
        "feature_width": feature_width,
        "channels": {str(side): width for side, width in channels.items()},
        "image_channels": size_of(state, "render_net.to_rgbs.0.weight", 0),
    }


def _settings(args: object, config: Mapping[str, object], notes: list[str]) -> dict[str, object]:
    """What shapes do not tell, from the file's `args`; without any, what the official training uses.

    Raises:
        InputError: if the settings are of another type, or contradict the shapes.
    """
    classes = config["num_classes"]
    transparent = PORTRAIT_TRANSPARENT if classes == PORTRAIT_CLASSES else ()
    if not isinstance(args, dict):
        notes.append("it stores no settings, so those of the official training were taken")
        return OFFICIAL_SETTINGS | _classes(classes, transparent, notes)
    shown = {"size": "resolution", "seg_dim": "num_classes", "local_layers": "local_layers"}
    for name, ours in shown.items():
        if args.get(name, config[ours]) != config[ours]:
            raise InputError(
                f"The checkpoint's settings give {name} as {str(args[name])[:20]} but its weights are for "
                f"{config[ours]}; it is damaged."
            )
    settings = {name: args.get(name, default) for name, default in OFFICIAL_SETTINGS.items()}
    transparent = args.get("transparent_dims", transparent)
    for name, value in settings.items():
        if type(value) is not type(OFFICIAL_SETTINGS[name]):
            raise _unusable(name, value)
    if type(transparent) not in (list, tuple) or any(type(index) is not int for index in transparent):
        raise _unusable("transparent_dims", transparent)
    return settings | _classes(classes, transparent, notes)


def _classes(count: int, transparent: Sequence[int], notes: list[str]) -> dict[str, object]:
    """Transparent classes, and names where the classes are those that the official code makes of CelebAMask-HQ."""
    names = None
    if count == PORTRAIT_CLASSES and tuple(transparent) == PORTRAIT_TRANSPARENT:
        names = list(CLASSES)
        notes.append("its 13 classes were named as those of CelebAMask-HQ")
    return {"transparent_classes": list(transparent), "class_names": names}


def _unusable(name: str, value: object) -> InputError:
    return InputError(f"The checkpoint's settings give {name} as {str(value)[:40]}, which cannot be used.")


# Discriminator -------------------------------------------------------------------------------------------------------


def _load_discriminator(state: Mapping[str, Tensor]) -> SemanticStyleGANDiscriminator:
    check_filters({key: value for key, value in state.items() if key.endswith(".kernel")}, gain=1.0)
    sides = {}
    for branch in ("img", "seg"):
        pattern = rf"convs_{branch}\.\d+\.skip\.1\.weight"
        blocks = sum(re.fullmatch(pattern, key) is not None for key in state)
        sides[branch] = resolution_of([4 * 2 ** min(blocks, 16)])
    ours = {_discriminator_name(key, sides): value for key, value in state.items() if not key.endswith(".kernel")}
    largest = max(sides.values())
    branch = "image_branch" if sides["img"] == largest else "mask_branch"
    channels = {"4": size_of(ours, "epilogue.conv.weight", 0)}
    channels |= {
        str(2**i): size_of(ours, f"{branch}.blocks.{2**i}.conv0.weight", 0) for i in range(3, largest.bit_length())
    }
    return build(
        SemanticStyleGANDiscriminator,
        ours,
        resolution=sides["img"],
        mask_resolution=sides["seg"],
        num_classes=size_of(ours, "mask_branch.entry.weight", 1),
        channels=channels,
        image_channels=size_of(ours, "image_branch.entry.weight", 1),
    )


def _discriminator_name(key: str, sides: Mapping[str, int]) -> str:
    """Our name of a discriminator's tensor."""
    if key in DISCRIMINATOR_ENDS and key.startswith("final_"):
        return DISCRIMINATOR_ENDS[key]
    if match := re.fullmatch(r"convs_(img|seg)\.(\d{1,2})\.(.+)", key):
        branch = "image_branch" if match[1] == "img" else "mask_branch"
        place = int(match[2])
        if place == 0 and match[3] in ("0.weight", "1.bias"):
            return f"{branch}.entry.{match[3][2:]}"
        if place and match[3] in DISCRIMINATOR_PARTS:
            return f"{branch}.blocks.{sides[match[1]] >> (place - 1)}.{DISCRIMINATOR_PARTS[match[3]]}"
    raise InputError(
        f"The checkpoint's discriminator has {key[:80]!r}, which SemanticStyleGAN's does not; it cannot be used."
    )
