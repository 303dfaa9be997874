"""How much of what strangers send is taken: every bound of the package, in one place.

A bound is a field of `Limits`; the environment variable of its name in capitals, with `SFHUB_` in front, sets it
(`SFHUB_PHOTO_PIXELS=50000000`). The first bounds hold wherever a file is opened, and are far above what models and
photographs need. The others hold for the page alone, where one visitor's work is another one's waiting.
"""

import os
import stat
from dataclasses import dataclass, fields
from pathlib import Path

from sfhub.errors import InputError, short

__all__ = ["Limits", "check_file", "limits"]

PREFIX = "SFHUB_"


@dataclass(frozen=True)
class Limits:
    """The bounds; whole numbers above zero.

    Attributes:
        photo_pixels: of a photograph, read from the header before anything is decoded.
        config_bytes: of a `config.json`, `model_index.json` or index of weights.
        config_values: values in one of them.
        config_list: entries of one list or object in it.
        tree_nodes: of a tree of regions.
        header_bytes: of the list of tensors that a safetensors file begins with.
        weights_bytes: of all weight files of one network.
        parameters: numbers in the parameters and buffers that a configuration calls for.
        activations: numbers in the largest activation that a network makes of one picture.
        request_cost: what one request to the page may cost, in pictures of its model (`Step.cost`).
        waiting: requests that wait on the page before more are turned away.
        waiting_each: requests of one visitor that wait or are worked on.
        requests_per_minute: requests of one visitor that the page takes.
        body_bytes: of a request that is no upload.
        upload_bytes: of one uploaded file.
        upload_bytes_per_minute: of what one visitor uploads.
    """

    photo_pixels: int = 24_000_000
    config_bytes: int = 2**22
    config_values: int = 2**16
    config_list: int = 2**12
    tree_nodes: int = 256
    header_bytes: int = 2**22
    weights_bytes: int = 2**34
    parameters: int = 2**31
    activations: int = 2**28
    request_cost: int = 64
    waiting: int = 256
    waiting_each: int = 8
    requests_per_minute: int = 600
    body_bytes: int = 2**20
    upload_bytes: int = 2**24
    upload_bytes_per_minute: int = 2**26


def limits() -> Limits:
    """The bounds that hold now.

    Raises:
        InputError: if an environment variable is no whole number above zero.
    """
    return Limits(**{field.name: _value(field.name, field.default) for field in fields(Limits)})


def _value(name: str, default: int) -> int:
    variable = PREFIX + name.upper()
    text = os.environ.get(variable)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0):
        raise InputError(f"The environment variable {variable} is {short(text)}; set it to a whole number above zero.")
    return int(text)


def check_file(path: Path, most: int | None = None) -> int:
    """The size of a regular file in bytes; devices, pipes and folders give no end of data, or none at all.

    Args:
        path: symbolic links are followed.
        most: bytes that it may have.

    Raises:
        InputError: if it is no regular file, or larger.
        OSError: if there is nothing, or it may not be looked at.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file; give a plain one.")
    if most is not None and status.st_size > most:
        raise InputError(f"{path} has {status.st_size:,} bytes, more than the {most:,} that are read; get it again.")
    return status.st_size
