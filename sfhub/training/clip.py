"""Training a small text-and-image encoder on renders: the portraits CLIP, in open_clip's own folder format.

Contrastive, as *Learning Transferable Visual Models From Natural Language Supervision* (Radford et al., ICML 2021),
with one difference: the attributes of a portrait tell exactly which texts are true of which pictures of a batch
(`sfhub.portraits.statements`), so a text that is true of several is not taught to tell them apart, and pairs that are
unclear do not count. So few pairs teach slowly, and two helpers that are thrown away at the end carry most of the
training: heads that read the attributes from the image tower, and one *anchor* for each statement, a unit vector that
pictures come near where the statement is true, and texts where they make it. Half of the portraits are drawn in colours
that portraits rarely have, so that words for them are learned.

The tokenizer is learned first, from the same texts.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from sfhub.portraits import attribute_vector, attribute_visibility, sample_attributes
from sfhub.portraits.captions import COLOURS
from sfhub.portraits.statements import FALSE, STATEMENTS, TRUE, truths
from sfhub.training.attribute_loss import balanced_loss
from sfhub.training.clip_folder import Texts, learn_tokenizer, new_network, save_clip, tokens_of
from sfhub.training.clip_losses import Anchors, Readers, contrastive_loss
from sfhub.training.data import BatchOrder, RenderedPortraits, with_even_kinds
from sfhub.training.parser import degrade
from sfhub.training.run import Run, step_generator

__all__ = ["ClipTraining", "SpokenPortraits", "evaluate_clip", "train_clip"]

FREE_SETTINGS = ("log_every", "save_every")
"""Settings that a training may change when it goes on."""

MAX_LOGIT_SCALE = 4.6
"""Logarithm of 100, as in the paper."""


@dataclass
class ClipTraining:
    """Settings of one training.

    Attributes:
        steps, batch_size: length of the training, in batches of as many pictures and texts.
        learning_rate: highest of AdamW's one cycle.
        attribute_weight: weight of the attributes that are read from the image embedding.
        anchor_weight: weight of the distances of pictures and texts from the anchors.
        held_out: portraits at the end of the data set kept for `evaluate_clip`.
        vocabulary: tokens.
        embed_dim: length of the embeddings.
        image_size, image_width, image_layers: of the image tower, a ResNet as in the paper.
        text_width, text_heads, text_layers, context_length: of the text tower, a transformer.
        save_every: steps between two checkpoints.
        log_every: steps between two lines of `log.jsonl`.
        seed: of everything random.
    """

    steps: int = 3_000
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    attribute_weight: float = 2.0
    anchor_weight: float = 1.0
    held_out: int = 1_000
    vocabulary: int = 900
    embed_dim: int = 128
    image_size: int = 96
    image_width: int = 14
    image_layers: list[int] = field(default_factory=lambda: [1, 1, 1, 1])
    text_width: int = 96
    text_heads: int = 4
    text_layers: int = 2
    context_length: int = 77
    save_every: int = 250
    log_every: int = 25
    seed: int = 0


class SpokenPortraits(RenderedPortraits):
    """Rendered portraits of which every second has some colours and kinds that portraits rarely have."""

    _kind = "spoken"

    def _draw(self, count: int, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        source = torch.Generator().manual_seed(seed)
        attributes = sample_attributes(count, generator=source)
        unusual = torch.rand(count, generator=source) < 0.5
        attributes = with_even_kinds(attributes, unusual, source)
        palette = torch.tensor(list(COLOURS.values()))
        for thing in ("hair", "glasses", "hat", "clothes", "background", "background2"):
            drawn = palette[torch.randint(len(palette), (count,), generator=source)]
            drawn = (drawn + 0.04 * torch.randn(count, 3, generator=source)).clamp(0.02, 0.98)
            taken = unusual & (torch.rand(count, generator=source) < 0.4)
            for index, part in enumerate(("red", "green", "blue")):
                name = f"{thing}_{part}"
                attributes[name] = torch.where(taken, drawn[:, index], attributes[name])
        return attributes, {}


def train_clip(
    config: ClipTraining, dataset: RenderedPortraits, out_dir: str | Path, *, accelerator: Accelerator | None = None
) -> nn.Module:
    """Train an encoder on renders, or go on where a checkpoint in `out_dir` left off; return it in evaluation mode.

    Args:
        config: settings; those of a training that goes on may differ in `log_every` and `save_every` only.
        dataset: rendered portraits.
        out_dir: receives `clip`, the folder that open_clip opens as `local-dir:`; `metrics.json`, what `evaluate_clip`
            says at the end; `log.jsonl` and the checkpoint.
        accelerator: device and mixed precision; one process.

    Raises:
        InputError: if open_clip is not installed, or the checkpoint is of other settings.
    """
    accelerator = accelerator or Accelerator()
    device = accelerator.device

    # Build.
    torch.manual_seed(config.seed)
    torch.set_flush_denormal(True)
    texts = Texts(dataset.attributes, config.seed)
    tokenizer = learn_tokenizer(texts, config)
    network = new_network(config, tokenizer).to(device, memory_format=torch.channels_last).train()
    head = Readers(network.visual, config).to(device)
    anchors = Anchors(config.embed_dim, texts.known[: -config.held_out]).to(device)
    modules = {"clip": network, "head": head, "anchors": anchors}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    targets, visible = attribute_vector(dataset.attributes), attribute_visibility(dataset.attributes)
    attribute_loss = balanced_loss(targets[: -config.held_out], visible[: -config.held_out]).to(device)

    def write_results(folder: Path, state: Mapping[str, Any]) -> None:
        save_clip(network, tokenizer, config, folder / "clip")
        (folder / "metrics.json").write_text(json.dumps(state.get("metrics"), indent=1), encoding="utf-8")

    run = Run(
        out_dir,
        accelerator,
        modules=modules,
        optimizers={"adam": optimizer},
        length=config.steps,
        counter="step",
        write_results=write_results,
        settings={name: value for name, value in asdict(config).items() if name not in FREE_SETTINGS},
    )
    run.restore()
    schedule = _one_cycle(optimizer, config, run.step)
    order = BatchOrder(len(dataset) - config.held_out, config.batch_size, seed=config.seed, first_step=run.step)
    for rows in order:
        if run.is_done:
            break
        index = torch.tensor(sorted(rows))  # the order in which they lie on disk
        source = step_generator(config.seed, run.step, 0, torch.device("cpu"))
        image = degrade(_images(dataset, index).to(device), source).contiguous(memory_format=torch.channels_last)
        said, made, true = texts.of(index, run.step)
        tokens = tokens_of(tokenizer, said, config.context_length).to(device)
        with accelerator.autocast():
            seen, read = head(network.visual, image)
            meant = _meaning(network, tokens)
        seen, meant = F.normalize(seen.float(), dim=1), F.normalize(meant.float(), dim=1)
        truth, shown = (values[index].repeat(2, 1).to(device) for values in (targets, visible))
        losses = {
            "contrastive": contrastive_loss(seen, meant, true.to(device), network.logit_scale),
            "pictures": anchors.pictures(seen, texts.known[index].to(device)),
            "texts": anchors.texts(meant, made.to(device)),
            "attributes": attribute_loss(read.float(), truth, shown),
        }
        anchored = losses["pictures"] + losses["texts"]
        accelerator.backward(
            losses["contrastive"] + config.attribute_weight * losses["attributes"] + config.anchor_weight * anchored
        )
        accelerator.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        run.note(**losses)
        run.advance()

        # Status, network and checkpoint.
        if run.reaches(config.log_every):
            run.log()
        if run.is_done:
            network.eval()
            run.save({"metrics": evaluate_clip(network, tokenizer, dataset, config)})
        elif run.reaches(config.save_every):
            run.save()
    run.close()
    return network.eval()


def _one_cycle(optimizer: torch.optim.Optimizer, config: ClipTraining, step: int) -> Any:
    """The schedule of learning rate and momentum, from that step on."""
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimiser made these steps before it was restored
        for _ in range(step):
            schedule.step()
    return schedule


def _meaning(network: nn.Module, tokens: Tensor) -> Tensor:
    """As `network.encode_text`, but only of as many places as the longest of the texts has, which is faster."""
    used = int((tokens != 0).sum(dim=1).max())
    x = network.token_embedding(tokens[:, :used]) + network.positional_embedding[:used]
    x = network.ln_final(network.transformer(x, attn_mask=network.attn_mask[:used, :used]))
    ends = (tokens != 0).sum(dim=1) - 1
    return x[torch.arange(len(x)), ends] @ network.text_projection


def _images(dataset: RenderedPortraits, index: Tensor) -> Tensor:
    return torch.from_numpy(dataset.images[index.numpy()]).float() / 127.5 - 1


@torch.no_grad()
def evaluate_clip(network: nn.Module, tokenizer, dataset: RenderedPortraits, config: ClipTraining) -> dict:
    """How well texts tell held-out portraits apart.

    Returns:
        `mean`: mean over statements of the area under the ROC curve: how often a portrait of which the statement is
        true comes before one of which it is false, by the cosine with each of its wordings; `statements`: each.
    """
    first = len(dataset) - config.held_out
    index = torch.arange(first, len(dataset))
    device = next(network.parameters()).device
    seen = [
        F.normalize(network.encode_image(_images(dataset, part).to(device)), dim=1).cpu() for part in index.split(50)
    ]
    seen, known = torch.cat(seen), truths({name: value[first:] for name, value in dataset.attributes.items()})
    found = {}
    for column, (name, statement) in enumerate(STATEMENTS.items()):
        true, false = seen[known[:, column] == TRUE], seen[known[:, column] == FALSE]
        if min(len(true), len(false)) < 5:
            continue
        texts = tokens_of(tokenizer, [*statement.things, *statement.kinds], config.context_length).to(device)
        meant = F.normalize(network.encode_text(texts), dim=1).cpu()
        above = ((meant @ true.mT)[:, :, None] > (meant @ false.mT)[:, None]).float()
        found[name] = above.mean().item()
    return {"mean": sum(found.values()) / len(found), "statements": found}
