"""Training a StyleFlow on samples of a generator: codes, and the attributes that a parser sees in their pictures.

*StyleFlow* (Abdal et al., ACM TOG 2021), section 4: maximise the likelihood of codes given attributes. A little noise
is added to the codes, since codes of meaning, like those of the portraits, lie on a thin set, whose likelihood has no
bound. The linear map that reads attributes from W is fitted to the same samples first.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from sfhub.editing.spaces import CodeSpace, StyleSpace
from sfhub.editing.style_flow import LAYERS, AttributeFlow, scaled_layers
from sfhub.errors import InputError
from sfhub.portraits.attributes import ATTRIBUTE_VECTOR_NAMES, attribute_columns
from sfhub.training.run import Run, step_generator

__all__ = ["PORTRAIT_ATTRIBUTES", "FlowAttribute", "FlowTraining", "portrait_values", "train_style_flow"]

logger = logging.getLogger(__name__)

FREE_SETTINGS = ("log_every", "save_every")
"""Settings that a training may change when it goes on."""

MAX_GRADIENT = 5.0


@dataclass(frozen=True)
class FlowAttribute:
    """An attribute of a flow.

    Attributes:
        columns: of the attribute vector, with their weights; their sum is the value.
        region: where an edit shows.
        layers: the entry of `LAYERS` that says which vectors of W+ take it.
    """

    columns: Mapping[str, float]
    region: str | None
    layers: str


PORTRAIT_ATTRIBUTES: dict[str, FlowAttribute] = {
    "smile": FlowAttribute({"smile": 1.0}, "mouth", "expression"),
    "mouth open": FlowAttribute({"mouth_open": 1.0}, "mouth", "expression"),
    "age": FlowAttribute({"age": 1.0}, "face", "age"),
    "baldness": FlowAttribute({"hair_style=bald": 1.0, "hair_style=buzz": 0.5}, "hair", "baldness"),
    "fringe": FlowAttribute({"fringe=straight": 1.0, "fringe=side": 1.0}, "hair", "baldness"),
    "beard": FlowAttribute({"beard=full": 1.0, "beard=goatee": 0.5, "beard=stubble": 0.5}, "face", "beard"),
    "glasses": FlowAttribute({"glasses=none": -1.0}, "glasses", "glasses"),
    "yaw": FlowAttribute({"yaw": 1.0}, None, "yaw"),
    "light": FlowAttribute({"light_x": 1.0}, None, "light"),
}
"""What a flow of portraits is trained with: the paper's attributes, as far as portraits have them."""


@dataclass
class FlowTraining:
    """Settings of one training.

    Attributes:
        steps, batch_size: length of the training.
        learning_rate: of Adam; falls to 0 along a cosine.
        hidden_dims: widths inside the flow; the paper has five of 512.
        noise: standard deviation of what is added to the codes, in units of their mean one.
        tolerance: of the solver while training.
        official_layers: whether an edit reaches the paper's layers only, scaled; all if not.
        log_every: steps between two lines of `log.jsonl`.
        save_every: steps between two checkpoints.
        seed: of everything random.
    """

    steps: int = 1_500
    batch_size: int = 128
    learning_rate: float = 2e-3
    hidden_dims: list[int] = field(default_factory=lambda: [192, 192, 192])
    noise: float = 0.1
    tolerance: float = 1e-3
    official_layers: bool = True
    log_every: int = 25
    save_every: int = 250
    seed: int = 0


def portrait_values(vectors: Tensor) -> Tensor:
    """The values `[N, C]` of `PORTRAIT_ATTRIBUTES` of attribute vectors `[N, A]`, such as a parser gives.

    Kinds, which a parser gives as logits, become shares first.
    """
    shares = vectors.clone()
    for columns in attribute_columns().values():
        if columns.stop - columns.start > 1:
            shares[:, columns] = vectors[:, columns].softmax(dim=1)
    return torch.stack(
        [
            sum(w * shares[:, _place(column)] for column, w in each.columns.items())
            for each in PORTRAIT_ATTRIBUTES.values()
        ],
        dim=1,
    )


def _place(column: str) -> int:
    return ATTRIBUTE_VECTOR_NAMES.index(column)


def train_style_flow(
    config: FlowTraining,
    space: CodeSpace,
    w: Tensor,
    values: Tensor,
    out_dir: str | Path,
    *,
    attributes: Mapping[str, FlowAttribute] = PORTRAIT_ATTRIBUTES,
    accelerator: Accelerator | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> AttributeFlow:
    """Train a flow, or go on where a checkpoint in `out_dir` left off; return it in evaluation mode.

    Args:
        config: settings.
        space: of the generator.
        w: W codes of samples, `[N, w_dim]`.
        values: their attributes, `[N, C]`.
        out_dir: receives the component, `log.jsonl` and the checkpoint.
        attributes: names and layers of the C attributes.
        accelerator: device.
        callback: gets every record of the log.

    Raises:
        InputError: if there are fewer samples than a batch, or an attribute never varies, or the checkpoint is of other
            settings.
    """
    accelerator = accelerator or Accelerator()
    if len(w) < config.batch_size:
        raise InputError(f"{len(w)} samples are fewer than a batch of {config.batch_size}; take more.")
    flat = [name for name, each in zip(attributes, values.std(dim=0).tolist(), strict=True) if each < 1e-6]
    if flat:
        raise InputError(f"All samples have the same {flat[0]!r}, so nothing can be learned of it; take more samples.")
    torch.manual_seed(config.seed)
    device = accelerator.device
    component = _component(config, space, values, attributes)
    _fit_reader(component, w, values)
    component, w, values = component.to(device), w.to(device), values.to(device)
    flow, spread = component.flow.train(), config.noise * w.std(dim=0).mean()
    optimizer = torch.optim.Adam(flow.parameters(), lr=config.learning_rate)
    run = Run(
        out_dir,
        accelerator,
        modules={"flow": component},
        optimizers={"adam": optimizer},
        length=config.steps,
        counter="step",
        write_results=lambda folder, state: component.save_pretrained(folder),
        settings={name: value for name, value in asdict(config).items() if name not in FREE_SETTINGS},
        callback=callback,
    )
    run.restore()
    while not run.is_done:
        optimizer.param_groups[0]["lr"] = config.learning_rate * (0.5 + 0.5 * math.cos(math.pi * run.share))
        draw = step_generator(config.seed, run.step, 0, torch.device("cpu"))
        rows = torch.randint(len(w), (config.batch_size,), generator=draw)
        code = w[rows] + spread * torch.randn(config.batch_size, w.shape[1], generator=draw).to(device)
        probe = torch.randint(0, 2, code.shape, generator=draw).to(code) * 2 - 1
        loss = -flow.log_likelihood(code, values[rows], probe, config.tolerance).mean() / w.shape[1]
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(flow.parameters(), MAX_GRADIENT)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        run.note(bits=loss / math.log(2))
        run.advance()
        if run.reaches(config.log_every):
            run.log()
        if run.reaches(config.save_every):
            run.save()
    run.close()
    return component.eval()


def _component(
    config: FlowTraining, space: CodeSpace, values: Tensor, attributes: Mapping[str, FlowAttribute]
) -> AttributeFlow:
    """An untrained one. A SemanticStyleGAN has no layers from coarse to fine: there all vectors take an edit."""
    scaled = config.official_layers and isinstance(space, StyleSpace)
    layers = [
        list(scaled_layers(*LAYERS[each.layers], space.num_ws)) if scaled else None for each in attributes.values()
    ]
    low, high = values.min(dim=0).values, values.max(dim=0).values
    return AttributeFlow(
        code_dim=space.w_dim,
        hidden_dims=list(config.hidden_dims),
        attributes=list(attributes),
        center=values.mean(dim=0).tolist(),
        scale=values.std(dim=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        regions=[each.region for each in attributes.values()],
        layers=layers,
        layer_names=space.layers,
        resolution=space.resolution,
    )


@torch.no_grad()
def _fit_reader(component: AttributeFlow, w: Tensor, values: Tensor, ridge: float = 1e-3) -> None:
    """Least squares with a small penalty, from W to attributes."""
    mean, center = w.mean(dim=0), values.mean(dim=0)
    x, y = (w - mean).double(), (values - center).double()
    penalty = ridge * len(x) * x.square().mean() * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(x.mT @ x + penalty, x.mT @ y).float().mT
    component.reader.weight.copy_(weight)
    component.reader.bias.copy_(center - weight @ mean)
    explained = 1 - (y - x @ weight.double().mT).square().mean(dim=0) / y.square().mean(dim=0)
    for name, share in zip(component.config.attributes, explained.tolist(), strict=True):
        logger.info("The reader explains %.2f of the variance of %r.", share, name)
