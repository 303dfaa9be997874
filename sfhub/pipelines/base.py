"""What all pipelines share: loading from a name, saving without damage, sharing on the Hub with a card.

Built on `diffusers.DiffusionPipeline`, whose users find `from_pretrained`, `save_pretrained`, `push_to_hub`, `to` and
`set_progress_bar_config` as they know them. Two things differ. Names are resolved to a local folder first and that
folder is checked (`sfhub.pipelines.hub`, `sfhub.pipelines.folder`), because diffusers refuses to download components of
other packages and because nothing that a repository brings along may run. And a save that fails, say for a full disk,
leaves the old folder as it was.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, ModelMixin
from huggingface_hub import CommitInfo, HfApi
from typing_extensions import Self

import sfhub
from sfhub.editing.directions import EditDirections
from sfhub.errors import InputError, clipped, short
from sfhub.files import first_line, read_json, replace_folder
from sfhub.pipelines.card import model_card
from sfhub.pipelines.components import kinds_of
from sfhub.pipelines.folder import (
    CONFIG,
    INDEX,
    check_component,
    check_components,
    component_classes,
    is_bare,
    keep_other_variants,
    strip_origin,
)
from sfhub.pipelines.hub import ModelSource, explain_hub_errors, identify, resolve

__all__ = ["SfhubPipeline"]

# Keywords of diffusers that would run code of the repository or read pickles.
REFUSED = ("custom_pipeline", "custom_revision", "trust_remote_code", "use_onnx", "use_flashpack")


class SfhubPipeline(DiffusionPipeline):
    """Base of the pipelines; a subclass names its components and their classes in the signature of `__init__`."""

    TAGS: ClassVar[tuple[str, ...]] = ()
    """Tags of the model card beside those of all models of sfhub."""

    _source: ModelSource | None = None

    def __init__(self):
        super().__init__()
        # Bars appear for what takes over a second; `set_progress_bar_config(disable=True)` turns them off.
        self.set_progress_bar_config(delay=1)

    def __setattr__(self, name: str, value: Any) -> None:
        """Forget where the model came from when a component is exchanged."""
        if name in self._slots():
            self.__dict__.pop("_source", None)
        super().__setattr__(name, value)
        if name in self._slots() and value is not None and self.config.get(name) in ((None, None), [None, None]):
            # diffusers keeps a component that was not there at first out of what it saves.
            self.register_to_config(**{name: (type(value).__module__, type(value).__name__)})

    @classmethod
    def _slots(cls) -> dict[str, tuple[type[ModelMixin], ...]]:
        """Component -> classes that it may have: those that `__init__` names, and what is derived from them."""
        return {
            name: tuple(
                kind
                for each in types
                if isinstance(each, type) and issubclass(each, ModelMixin)
                for kind in kinds_of(each)
            )
            for name, types in cls._get_signature_types().items()
        }

    # Where it comes from --------------------------------------------------------------------------------------------

    @property
    def source(self) -> ModelSource:
        """Where the model was loaded from; `memory` and a digest of the weights if from nowhere, or exchanged since."""
        if self._source is None:
            self._source = ModelSource("memory", type(self).__name__, self._digest())
        return self._source

    @property
    def model_record(self) -> dict[str, str]:
        """The model as recipes name it: kind, name, revision and dtype."""
        source = self.source
        dtype = str(self.dtype).removeprefix("torch.")
        return {"kind": source.kind, "name": source.name, "revision": source.revision, "dtype": dtype}

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, component in sorted(self.components.items()):
            for key, value in component.state_dict().items() if component is not None else ():
                digest.update(f"{name}.{key} {value.dtype} {list(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            if isinstance(component, EditDirections):  # names and ranges are in no tensor
                digest.update(json.dumps(component.config["edits"], sort_keys=True).encode())
        return f"sha256:{digest.hexdigest()[:32]}"

    # Loading --------------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        variant: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a pipeline by name.

        Args:
            pretrained_model_name_or_path: an alias (`portraits`), a folder, or a repo id on the Hub; either of a whole
                pipeline or of its main network alone.
            revision, token, cache_dir, local_files_only, force_download: see `sfhub.pipelines.hub.resolve`.
            variant: weights to load where a component has them, such as `fp16`.
            **kwargs: as in diffusers: `dtype` (or `torch_dtype`; float32 if not given), `device_map`, or components by
                name to use instead of the stored ones.

        Raises:
            InputError: if there is no such model, it is not ours, damaged, or cannot be reached.
        """
        for name in REFUSED:
            if kwargs.pop(name, None):
                raise InputError(f"{name} cannot be used: sfhub never runs code of a repository; leave it out.")
        if kwargs.pop("use_safetensors", True) is False:
            raise InputError("use_safetensors=False cannot be used: sfhub loads no pickled weights; leave it out.")
        name = os.fspath(pretrained_model_name_or_path)
        folder = resolve(
            name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
            variant=variant,
        )
        family = cls._family(folder, name)
        passed = {key: kwargs.pop(key) for key in family._slots() if key in kwargs}
        pipe = family._from_folder(folder, name, variant, passed, kwargs)
        if not passed:
            pipe._source = identify(name, folder)
        return pipe

    @classmethod
    def _family(cls, folder: Path, name: str) -> type["SfhubPipeline"]:
        """The class that opens the model in a folder, which the user calls `name`."""
        return cls

    @classmethod
    def _from_folder(
        cls, folder: Path, name: str, variant: str | None, passed: dict[str, Any], kwargs: dict[str, Any]
    ) -> Self:
        if is_bare(folder):
            return cls._from_bare(folder, name, variant, passed, kwargs)
        slots = {key: value for key, value in cls._slots().items() if key not in passed}
        present = component_classes(read_json(folder / INDEX))
        lacking = next((key for key in slots if key not in present and key not in cls._optional_components), None)
        if lacking is not None:
            raise InputError(f"{name} has no {lacking}, without which there is no {cls.__name__}; get the model again.")
        check_components(folder, slots, ignore=passed, variant=variant)
        with _damage_explained(name):
            return super().from_pretrained(str(folder), variant=variant, use_safetensors=True, **passed, **kwargs)

    @classmethod
    def _from_bare(
        cls, folder: Path, name: str, variant: str | None, passed: dict[str, Any], kwargs: dict[str, Any]
    ) -> Self:
        """A pipeline around the one network in `folder`, which `sfhub convert` writes."""
        class_name = read_json(folder / CONFIG).get("_class_name")
        main = {key: classes for key, classes in cls._slots().items() if key not in cls._optional_components}
        fitting = [(key, each) for key, classes in main.items() for each in classes if each.__name__ == class_name]
        if not fitting or len(main) > 1:
            expected = " or ".join(each.__name__ for classes in main.values() for each in classes)
            raise InputError(
                f"{name} holds a {clipped(str(class_name))}, but {cls.__name__} takes a {expected}; use another model."
            )
        slot, network = fitting[0]
        check_component(folder, network, variant)
        with _damage_explained(name):
            loaded = network.from_pretrained(str(folder), variant=variant, use_safetensors=True, **kwargs)
        return cls(**{slot: loaded, **passed})

    @classmethod
    def download(cls, pretrained_model_name: str, **kwargs: Any) -> str:
        """Fetch a model into the cache without loading it; arguments as for `sfhub.pipelines.hub.resolve`."""
        return str(resolve(pretrained_model_name, **kwargs))

    def to_device(self, device: str) -> Self:
        """`to`, for a device that a user names.

        Raises:
            InputError: if PyTorch does not know the device or cannot use it here.
        """
        try:
            return self.to(torch.device(device))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise InputError(f"Device {short(device)} cannot be used ({first_line(error)}); cpu always can.") from error

    # Saving and sharing ---------------------------------------------------------------------------------------------

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save the pipeline as a folder with a model card; an existing card is kept.

        Everything is written aside first and then put in place by renaming: should the disk be full, an older model in
        the folder stays as it was.

        Args:
            save_directory: folder, made if need be.
            safe_serialization: only True; weights are never pickled.
            variant: goes into the names of the weight files, such as `fp16`.
            max_shard_size: as in diffusers.
            push_to_hub: also push to `repo_id` (the folder's name if not given).
            **kwargs: for `push_to_hub`.

        Raises:
            InputError: if the folder cannot be written.
        """
        if not safe_serialization:
            raise InputError("safe_serialization=False cannot be used: sfhub saves safetensors only; leave it out.")
        target = Path(save_directory).expanduser().resolve()
        with replace_folder(target) as folder:
            super().save_pretrained(folder, variant=variant, max_shard_size=max_shard_size)
            strip_origin(folder)
            keep_other_variants(target, folder, variant)
            if not (target / "README.md").exists():
                (folder / "README.md").write_text(model_card(self, target.name), encoding="utf-8")
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", target.name), variant=variant, **kwargs)

    def push_to_hub(
        self,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        create_pr: bool = False,
        safe_serialization: bool = True,
        variant: str | None = None,
    ) -> CommitInfo:
        """Share the pipeline on the Hub, with a model card; a card that is already there is kept.

        Args:
            repo_id: `owner/name`, or `name` for one's own account; made if need be.
            commit_message: `Upload StyleGANPipeline` and the like if None.
            private: whether a new repository is private; the owner's default if None.
            token: access token; the stored one if None.
            create_pr: open a pull request instead of committing.
            safe_serialization: only True; weights are never pickled.
            variant: as for `save_pretrained`.

        Raises:
            InputError: if the Hub refuses or cannot be reached.
        """
        api = HfApi(token=token, library_name="sfhub", library_version=sfhub.__version__)
        with tempfile.TemporaryDirectory() as folder, explain_hub_errors(repo_id):
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            self.save_pretrained(folder, safe_serialization, variant)
            card = Path(folder, "README.md")
            if api.file_exists(repo_id, card.name):
                card.unlink()
            else:
                card.write_text(model_card(self, repo_id), encoding="utf-8")
            message = commit_message or f"Upload {type(self).__name__}"
            return api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message, create_pr=create_pr)


@contextmanager
def _damage_explained(name: str) -> Iterator[None]:
    """Give one sentence for whatever diffusers raises about a folder that passed the checks."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"The model {name} could not be loaded ({first_line(error)}); check the arguments or get the model again."
        ) from error
