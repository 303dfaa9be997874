"""Official networks that edit codes: StyleCLIP's mappers and StyleFlow's flow.

orpatashnik/StyleCLIP      mapper/latent_mappers.py: `LevelsMapper`, `SingleMapper`, `WithoutToRGBStyleSpaceMapper`,
                           bare or inside the `.pt` of a training, beside the generator
RameenAbdal/StyleFlow      module/flow.py: the state dict of `build_model`
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import ModelMixin
from torch import Tensor

from sfhub.errors import InputError
from sfhub.models.latent_mapper import LEVELS, LatentMapper, StyleSpaceMapper
from sfhub.models.style_flow import StyleFlow
from sfhub.models.stylegan2 import StyleGAN2Generator

MAPPER_FAMILY, FLOW_FAMILY = "StyleCLIP mapper", "StyleFlow"

MAPPER_KEY = re.compile(
    r"(?:mapper\.)?(course_mapping|medium_mapping|fine_mapping|mapping|mapper_\d+)\.mapping\.(\d)\.(\w+)"
)
GROUPS = {"course_mapping": "coarse", "medium_mapping": "medium", "fine_mapping": "fine", "mapping": "all"}
FLOW_KEY = re.compile(r"(?:module\.)?chain\.(\d+)\.(.+)")
COUNTERS = ("step", "_num_evals")

ATTRIBUTES = (
    *(f"light {k}" for k in range(9)),
    "gender",
    "glasses",
    "yaw",
    "pitch",
    "baldness",
    "beard",
    "age",
    "expression",
)
"""What the official flow takes: nine spherical harmonics of the light, then eight attributes."""


@dataclass(frozen=True)
class EditorCheckpoint:
    """A rebuilt network and what is known about it.

    Attributes:
        family: architecture and format of the file.
        network: the network.
        facts: what it is, for a report.
        notes: clauses on what was left out or assumed.
    """

    family: str
    network: ModelMixin
    facts: str
    notes: tuple[str, ...] = ()


def detect_mapper(root: object) -> bool:
    """Whether a loaded file is a mapper of StyleCLIP, bare or with the training's other tensors."""
    return bool(_mapper_tensors(root))


def load_mapper(root: object) -> EditorCheckpoint:
    """Rebuild the mapper.

    Raises:
        InputError: if tensors are missing or of shapes that do not fit.
    """
    tensors = _mapper_tensors(root)
    nets = {key.split(".")[0] for key in tensors}
    numbered = sorted(int(net.removeprefix("mapper_")) for net in nets if net.startswith("mapper_"))
    network = _style_space_mapper(tensors, numbered) if numbered else _latent_mapper(tensors, nets)
    names = _names_of_styles(network) if numbered else GROUPS
    state = {}
    for key, value in tensors.items():
        net, _, layer, kind = key.split(".")
        state[f"nets.{names[net]}.layers.{int(layer) - 1}.{kind}"] = value.float()
    _check(network, state)
    network.load_state_dict(state)
    what = "S" if numbered else f"W+, {', '.join(network.config.groups)}"
    notes = ("the generator beside it was left out",) if _has_decoder(root) else ()
    return EditorCheckpoint(MAPPER_FAMILY, network.eval().requires_grad_(False), f"mapper of {what}", notes)


def _mapper_tensors(root: object) -> dict[str, Tensor]:
    """Those of a mapper, by their names without prefix."""
    found = {}
    for key, value in _state(root).items():
        match = MAPPER_KEY.fullmatch(key)
        if match is not None:
            found[key.removeprefix("mapper.")] = value
    return found


def _has_decoder(root: object) -> bool:
    return any(key.startswith("decoder.") for key in _state(root))


def _state(root: object) -> dict[str, Tensor]:
    """The tensors of a file: bare or under `state_dict`."""
    if type(root) is not dict:
        return {}
    state = root["state_dict"] if type(root.get("state_dict")) is dict else root
    return {key: value for key, value in state.items() if type(key) is str and type(value) is Tensor}


def _latent_mapper(tensors: Mapping[str, Tensor], nets: set[str]) -> LatentMapper:
    width = next(iter(tensors.values())).shape[-1]
    groups = {"all": (0, None)} if nets == {"mapping"} else {}
    groups |= {GROUPS[net]: LEVELS[GROUPS[net]] for net in GROUPS if net in nets and net != "mapping"}
    return LatentMapper(w_dim=width, groups=groups)


def _style_space_mapper(tensors: Mapping[str, Tensor], numbers: list[int]) -> StyleSpaceMapper:
    """For the official generator with as many layers; the file does not tell the widths of toRGB layers."""
    convolutions, resolution = len(numbers), 0
    widths = [tensors[f"mapper_{number}.mapping.1.weight"].shape[0] for number in numbers]
    if convolutions % 2:
        resolution = 2 ** ((convolutions - 1) // 2 + 2)
    if not 8 <= resolution <= 1024:
        raise InputError(f"the mapper has networks for {convolutions} convolutions, which no official generator has.")
    with torch.device("meta"):
        layout = StyleGAN2Generator(resolution=resolution).style_layout
    expected = [entry.width for entry in layout if entry.kind == "conv"]
    if widths != expected:
        raise InputError(
            f"the mapper's widths {widths} are not those of the official generator of {resolution} pixels."
        )
    return StyleSpaceMapper(style_layers=layout.fingerprint)


def _names_of_styles(network: StyleSpaceMapper) -> dict[str, str]:
    """`mapper_N` of the official interleaved order -> our name of the convolution's network."""
    names = [name.replace(".", "_") for name, _ in network.config.style_layers if not name.startswith("to_rgb")]
    # conv, toRGB, conv, conv, toRGB, conv, conv, ...
    places = [0, *(3 * (k // 2) + 2 + k % 2 for k in range(len(names) - 1))]
    return {f"mapper_{place}": name for place, name in zip(places, names, strict=True)}


def detect_flow(root: object) -> bool:
    """Whether a loaded file is a flow of StyleFlow."""
    return any(re.search(r"chain\.\d+\.odefunc\.diffeq\.layers\.\d+\._hyper_gate\.weight", key) for key in _state(root))


def load_flow(root: object) -> EditorCheckpoint:
    """Rebuild the flow.

    Raises:
        InputError: if tensors are missing or of shapes that do not fit.
    """
    state, last = {}, 0
    for key, value in _state(root).items():
        match = FLOW_KEY.fullmatch(key)
        if match is None or match[2].rsplit(".", 1)[-1] in COUNTERS:
            continue
        place, rest = int(match[1]), match[2].replace("odefunc.diffeq.", "")
        rest = (
            rest.replace("._layer.", ".linear.").replace("._hyper_gate.", ".gate.").replace("._hyper_bias.", ".offset.")
        )
        state[f"{'flows' if place % 2 else 'norms'}.{place // 2}.{rest}"] = value.float()
        last = max(last, place)
    layers = [key for key in state if re.fullmatch(r"flows\.0\.layers\.\d+\.linear\.bias", key)]
    widths = [len(state[f"flows.0.layers.{k}.linear.bias"]) for k in range(len(layers))]
    context = state["flows.0.layers.0.gate.weight"].shape[1] - 1
    network = StyleFlow(
        code_dim=widths[-1],
        hidden_dims=widths[:-1],
        context_dim=context,
        num_blocks=last // 2,
        attributes=ATTRIBUTES if context == len(ATTRIBUTES) else (),
    )
    _check(network, state)
    network.load_state_dict(state)
    facts = f"flow of codes of {widths[-1]} dimensions with {context} attributes"
    return EditorCheckpoint(FLOW_FAMILY, network.eval().requires_grad_(False), facts)


def _check(network: ModelMixin, state: Mapping[str, Tensor]) -> None:
    """Raise an InputError unless names and shapes of `state` are those of the network."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key in sorted(expected.keys() | state.keys()):
        wanted, found = expected.get(key, "nothing"), tuple(state[key].shape) if key in state else "nothing"
        if wanted != found:
            raise InputError(
                f"the checkpoint has {found} for {key[:80]} where {wanted} was expected; it is damaged or of another "
                "version."
            )
