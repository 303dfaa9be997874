"""A small CLIP of portraits as a folder that open_clip opens: texts about portraits, tokenizer, network, files."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sfhub.errors import InputError
from sfhub.files import replace_folder
from sfhub.portraits.captions import captions
from sfhub.portraits.phrases import NEUTRAL_TEXTS, phrase
from sfhub.portraits.statements import STATEMENTS, TRUE, truths
from sfhub.training.clip_losses import matches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sfhub.training.clip import ClipTraining

__all__ = ["TEMPLATES", "Texts", "learn_tokenizer", "new_network", "save_clip", "tokens_of"]

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unknown>"
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789'.,\N{LOWER ONE EIGHTH BLOCK}"


class Texts:
    """Texts about portraits, a function of seed, step and portrait."""

    def __init__(self, attributes: dict[str, Tensor], seed: int):
        self.known, self.seed = truths(attributes), seed
        self._names = list(STATEMENTS)
        self._places = {name: index for index, name in enumerate(STATEMENTS)}
        self._attributes = attributes

    def of(self, index: Tensor, step: int) -> tuple[list[str], Tensor, Tensor]:
        """One text for each of these portraits, what each says, and which are true of which (`matches`)."""
        source = random.Random(f"{self.seed} {step}")
        known = self.known[index]
        pairs = [phrase(self.true(row), source) for row in known]
        made = torch.zeros(len(pairs), len(self._names))
        for row, (_, statements) in enumerate(pairs):
            made[row, [self._places[name] for name in statements]] = 1
        return [text for text, _ in pairs], made, matches(made, known)

    def true(self, row: Tensor) -> list[str]:
        """The names of the statements that are true, of a row of `known`."""
        return [name for name, value in zip(self._names, row.tolist(), strict=True) if value == TRUE]

    def corpus(self, count: int) -> Iterator[str]:
        """Texts to learn the tokenizer from."""
        source = random.Random(f"corpus {self.seed}")
        yield from NEUTRAL_TEXTS
        for statement in STATEMENTS.values():
            yield from (*statement.things, *statement.kinds)
        rows = source.choices(range(len(self.known)), k=count)
        yield from (phrase(self.true(self.known[row]), source)[0] for row in rows)
        yield from captions({name: values[:count] for name, values in self._attributes.items()})


TEMPLATES = ("{}", "a picture of {}", "a portrait of {}", "an image of {}")
"""What a text is averaged over; written into the configuration for `sfhub.text.encoder`."""


def learn_tokenizer(texts: Texts, config: "ClipTraining") -> "PreTrainedTokenizerFast":
    """A lower-case byte-pair tokenizer in the format of transformers, learned from texts about portraits.

    Words that it has not met are spelled in pieces, so every text has tokens.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learned = Tokenizer(models.BPE(unk_token=UNKNOWN))
    learned.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Replace("-", " ")]
    )
    learned.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Metaspace()])
    learned.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=[PAD, START, END, UNKNOWN],
        initial_alphabet=list(ALPHABET),  # all of it, for what is left out is numbered in no fixed order
        show_progress=False,
    )
    learned.train_from_iterator(texts.corpus(4_000), trainer)
    ends = {token: learned.token_to_id(token) for token in (START, END)}
    learned.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=list(ends.items())
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=learned, bos_token=START, eos_token=END, pad_token=PAD, unk_token=UNKNOWN
    )


def tokens_of(tokenizer: "PreTrainedTokenizerFast", texts: list[str], length: int) -> Tensor:
    """Tokens `[B, length]`, as open_clip's tokenizer of the folder gives them."""
    return tokenizer(texts, return_tensors="pt", max_length=length, padding="max_length", truncation=True).input_ids


def new_network(config: "ClipTraining", tokenizer: "PreTrainedTokenizerFast") -> nn.Module:
    """An untrained one of open_clip's.

    Raises:
        InputError: if open_clip is not installed.
    """
    try:
        from open_clip.model import CLIP
    except ImportError as error:
        raise InputError("Training a CLIP needs open_clip; get it with pip install 'sfhub[clip]'.") from error
    model = _model_config(config, tokenizer)
    return CLIP(model["embed_dim"], model["vision_cfg"], model["text_cfg"])


def _model_config(config: "ClipTraining", tokenizer: "PreTrainedTokenizerFast") -> dict:
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": {
            "image_size": config.image_size,
            "layers": list(config.image_layers),
            "width": config.image_width,
            "head_width": 64,
        },
        "text_cfg": {
            "context_length": config.context_length,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "the folder itself",
            "tokenizer_kwargs": {"clean": "whitespace"},
            "width": config.text_width,
            "heads": config.text_heads,
            "layers": config.text_layers,
            "pool_type": "eos",
            "eos_id": tokenizer.eos_token_id,
            "pad_id": tokenizer.pad_token_id,
        },
    }


def save_clip(network: nn.Module, tokenizer: "PreTrainedTokenizerFast", config: "ClipTraining", folder: Path) -> None:
    """Write what `open_clip.create_model("local-dir:FOLDER")` opens, in half precision."""
    half = lambda value: value.half() if value.is_floating_point() else value  # noqa: E731
    with replace_folder(folder) as new:
        save_file({key: half(value).contiguous() for key, value in network.state_dict().items()}, new / WEIGHTS)
        tokenizer.save_pretrained(new)
        described = {
            "model_cfg": _model_config(config, tokenizer),
            "preprocess_cfg": {
                "mean": [0.5] * 3,
                "std": [0.5] * 3,
                "interpolation": "bilinear",
                "resize_mode": "squash",
            },
            "sfhub_templates": list(TEMPLATES),
        }
        (new / CONFIG).write_text(json.dumps(described, indent=1))
