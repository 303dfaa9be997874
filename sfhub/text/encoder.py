"""A text and image encoder: any CLIP of open_clip by name, folder or Hub id, and the small one for portraits.

*Learning Transferable Visual Models From Natural Language Supervision* (Radford et al., ICML 2021). Embeddings are unit
vectors; that of a picture has gradients, so that a picture can be moved towards a text. Folders and the Hub give
safetensors only. Needs the package open_clip_torch.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sfhub.errors import InputError
from sfhub.files import first_line

__all__ = ["PORTRAITS", "TextEncoder", "checked_text"]

logger = logging.getLogger(__name__)

PORTRAITS = "portraits"
"""Name of the encoder that comes with the package."""

SHIPPED = Path(__file__).parents[1] / "portraits" / "clip_weights"
CONFIG = "open_clip_config.json"
ALLOWED = ("*.json", "*.safetensors", "*.txt", "*.md")
MAX_CHARACTERS = 2_000
SAMPLE_CHARACTERS = 60


class TextEncoder:
    """Texts and pictures -> unit vectors.

    Args:
        network: of open_clip, with `encode_image` and `encode_text`.
        tokenizer: texts -> tokens, as open_clip gives it.
        name: by which `open` finds it again.
        templates: sentences with `{}` for a text, over which a text can be averaged.

    Attributes:
        digest: SHA-256 of the weights, by which another encoder is told apart.
        size: side of the pictures that it takes.
        dim: length of its vectors.
    """

    def __init__(self, network: torch.nn.Module, tokenizer: Any, name: str, templates: Sequence[str] = ()):
        self.network = network.eval().requires_grad_(False)
        self.tokenizer, self.name, self.templates = tokenizer, name, tuple(templates)
        described = network.visual.preprocess_cfg
        self._mean, self._std = (torch.tensor(described[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        size = described["size"]
        self.size = size if isinstance(size, int) else size[0]
        self._known: dict[str, Tensor] = {}
        digest = hashlib.sha256()
        for key, value in sorted(network.state_dict().items()):
            digest.update(f"{key} {list(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
        self.digest = digest.hexdigest()
        self.dim = len(self.texts(["a person"])[0])

    @classmethod
    def open(
        cls,
        name: str | os.PathLike[str] = PORTRAITS,
        *,
        device: str | torch.device = "cpu",
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> "TextEncoder":
        """Open an encoder.

        Args:
            name: `portraits`, the small one that knows the built-in portraits; a folder in open_clip's format; a Hub
                id `owner/name`; or `MODEL:TAG`, a model and a pretrained tag that open_clip lists, such as
                `ViT-B-32:laion2b_s34b_b79k`.
            device: where to compute.
            cache_dir: for what is downloaded.
            local_files_only: take from the cache what would be downloaded.

        Raises:
            InputError: if open_clip is not installed, there is no such encoder, or it cannot be reached or read.
        """
        try:
            import open_clip
        except ImportError as error:
            raise InputError("Editing by text needs open_clip; get it with pip install 'sfhub[clip]'.") from error
        name = os.fspath(name)
        folder = _folder(name, cache_dir, local_files_only)
        model, _, tag = name.partition(":")
        if folder is None and (model not in open_clip.list_models() or not tag):
            raise InputError(
                f"There is no text encoder {name!r}; give {PORTRAITS!r}, a folder with {CONFIG}, a Hub id owner/name, "
                "or MODEL:TAG of open_clip, such as ViT-B-32:laion2b_s34b_b79k."
            )
        try:
            if folder is None:
                network = open_clip.create_model(model, tag, device=device, cache_dir=cache_dir, weights_only=True)
                return cls(network, open_clip.get_tokenizer(model), name, _general_templates())
            place = f"local-dir:{folder}"
            network = open_clip.create_model(place, device=device, require_pretrained=True)
            templates = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("sfhub_templates")
            name = folder.name if name != PORTRAITS and Path(name).expanduser() == folder else name
            return cls(network, open_clip.get_tokenizer(place), name, templates or _general_templates())
        except InputError:
            raise
        except Exception as error:  # whatever open_clip and transformers raise about files, the files are at fault
            raise InputError(
                f"The text encoder {name!r} could not be opened ({first_line(error)}); check the name, or get it again."
            ) from error

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> "TextEncoder":
        """Move it, and return it."""
        self.network.to(device)
        self._known.clear()
        return self

    def pictures(self, images: Tensor) -> Tensor:
        """Pictures -> unit vectors.

        Args:
            images: `[B, 3, H, W]` in [-1, 1].

        Returns:
            `[B, D]`, with gradients.
        """
        if images.shape[-1] != self.size or images.shape[-2] != self.size:
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        images = ((images.clamp(-1, 1) + 1) / 2 - self._mean.to(images)) / self._std.to(images)
        return F.normalize(self.network.encode_image(images).float(), dim=1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> unit vectors `[T, D]`, remembered; what is longer than the encoder reads is cut."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            vectors = F.normalize(self.network.encode_text(self.tokenizer(new).to(self.device)).float(), dim=1)
            self._known |= dict(zip(new, vectors, strict=True))
        return torch.stack([self._known[text] for text in texts])

    def averaged(self, text: str) -> Tensor:
        """The mean over all templates, `[D]`, of unit length."""
        templates = self.templates or ("{}",)
        return F.normalize(self.texts([template.replace("{}", text) for template in templates]).mean(dim=0), dim=0)

    def shortened(self, text: str) -> str:
        """A text without the words at its end that the encoder would not read; a warning says so."""
        if self._fits(text):
            return text
        words = text.split()
        low, high = 1, len(words)  # the most words that fit
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(" ".join(words[:middle])) else (low, middle - 1)
        kept = " ".join(words[:low])
        logger.warning(
            "The text is longer than the %d tokens that the encoder %r reads; it was shortened to %r.",
            *(self.tokenizer.context_length, self.name, f"... {kept[-SAMPLE_CHARACTERS:]}"),
        )
        return kept

    def _fits(self, text: str) -> bool:
        length = self.tokenizer.context_length
        (row,) = self.tokenizer([text], context_length=length + 8).tolist()
        used = next((place for place in range(len(row), 0, -1) if row[place - 1] != row[-1]), 0)
        # With room to spare the row ends in padding, after one token for the end.
        return used <= length and row[-1] == row[-2]


def checked_text(text: Any) -> str:
    """A text as one line without spaces around it.

    Raises:
        InputError: if it is empty, far too long, or no text.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("The text is empty; say what should change, such as 'curly red hair'.")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The text has {len(text)} characters; give at most {MAX_CHARACTERS}.")
    line = " ".join(text.split())
    if not line.isprintable():
        raise InputError("The text holds characters that cannot be shown; type it again.")
    return line


def _folder(name: str, cache_dir: str | os.PathLike[str] | None, local_files_only: bool) -> Path | None:
    """The folder with an encoder, downloaded if need be; None for a name of open_clip's own."""
    if name == PORTRAITS:
        return SHIPPED
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / CONFIG).is_file():
            raise InputError(f"The folder {name} holds no {CONFIG}; give one that open_clip can open.")
        return path
    if name.count("/") != 1 or ":" in name or path.exists():
        return None
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name, allow_patterns=list(ALLOWED), cache_dir=cache_dir, local_files_only=local_files_only
        )
    except Exception as error:
        raise InputError(
            f"The text encoder {name!r} cannot be had from the Hub ({first_line(error)}); check the name and the "
            "connection, or give a folder."
        ) from error
    if not (Path(found) / CONFIG).is_file():
        raise InputError(f"The repository {name} holds no {CONFIG}; give one of open_clip.")
    if not list(Path(found).glob("*.safetensors")):
        raise InputError(f"The repository {name} holds no safetensors, and sfhub loads no pickled weights.")
    return Path(found)


def _general_templates() -> tuple[str, ...]:
    """Those that the paper of CLIP averages classes of ImageNet over, as open_clip has them."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
