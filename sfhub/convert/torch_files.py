"""The two formats of `torch.save`, read without `torch.load`.

`torch.load(weights_only=True)` would do for plain state dicts, but not here: it trusts sizes, strides and the zip
directory, its list of allowed globals grows with each release, and NVIDIA's pickles nest legacy files inside a pickle
that it refuses altogether. So both formats go through the one interpreter of `unpickler.py`:

* zip (PyTorch 1.6 and later): `NAME/data.pkl` beside one entry per storage, `NAME/data/KEY`. Entries must be stored
  and must not overlap, as torch.save writes them; what is not compressed cannot be a zip bomb.
* legacy: five pickles (magic number, version, platform, the object, the order of the storages), then for each storage
  an element count and its bytes. The storages inside NVIDIA's pickles are such files too
  (`torch.storage._load_from_bytes`).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .arrays import STORAGE_TYPES, Storage, empty_storage, fill_storage
from .unpickler import Budget, Refusal, Unpickler, shown, table, utf8

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
MAX_ENTRIES = 50_000
MAX_DIRECTORY = 8 * 2**20


# Legacy files --------------------------------------------------------------------------------------------------------


def is_legacy(data: memoryview) -> bool:
    """Whether the bytes begin like a legacy file: a pickle of the magic number."""
    return data[:1] == b"\x80" and b"\x8a\n" + MAGIC.to_bytes(10, "little") + b"." in bytes(data[:32])


def read_legacy(data: memoryview, known: Mapping[tuple[str, str], object], budget: Budget) -> object:
    """The object in a legacy torch.save file, tensors included.

    Args:
        data: the whole file.
        known: globals that its pickle may name.
        budget: of the file that this one lies in.

    Raises:
        Refusal: for anything but plain data, or sizes that do not fit the file.
    """
    position = 0
    storages: dict[str, Storage] = {}

    def storage_of(identifier: object) -> Storage:
        kind, key, count, view = _storage_identifier(identifier, length=6)
        if view is not None:
            raise Refusal("a tensor is stored as a view of another one")
        if key not in storages:
            storages[key] = empty_storage(budget, kind, count, available=len(data))
        return storages[key]

    def next_pickle(persistent_load: Callable[[object], object] | None = None) -> object:
        nonlocal position
        unpickler = Unpickler(data, position, known, budget, persistent_load)
        value = unpickler.load()
        position = unpickler.position
        return value

    if next_pickle() != MAGIC or next_pickle() != VERSION:
        raise Refusal("it is of an unknown version of torch.save")
    platform = next_pickle()
    if type(platform) is not dict or platform.get("little_endian") is not True:
        raise Refusal("it was written on a big-endian machine")
    result = next_pickle(storage_of)
    order = next_pickle()
    if type(order) is not list or any(type(key) is not str for key in order) or sorted(order) != sorted(storages):
        raise Refusal("its list of tensors does not match its tensors")
    for key in order:
        elements = storages[key].elements
        start = position + 8
        end = start + elements.numel() * elements.element_size()
        if end > len(data):
            raise Refusal("it is cut short")
        if struct.unpack("<q", data[position:start])[0] != elements.numel():
            raise Refusal("a tensor's data is not as long as it claims")
        fill_storage(storages[key], data[start:end])
        position = end
    return result


def build_nested(budget: Budget, arguments: tuple) -> Storage:
    """`torch.storage._load_from_bytes(bytes)`: one storage, in a legacy file that may name storage types only."""
    if len(arguments) != 1 or type(arguments[0]) is not bytes:
        raise Refusal("a tensor's data is not in bytes")
    budget.take("nested_bytes", len(arguments[0]))
    storage = read_legacy(memoryview(arguments[0]), STORAGE_TYPES, budget)
    if type(storage) is not Storage:
        raise Refusal("a tensor's data holds something other than numbers")
    return storage


def _storage_identifier(identifier: object, length: int) -> tuple[object, str, object, object]:
    """(type, key, element count, view) of a persistent id ("storage", type, key, device, count[, view])."""
    if type(identifier) is not tuple or len(identifier) != length or type(identifier[0]) is not str:
        raise Refusal("its pickle refers to an object outside itself")
    word, kind, key, _, count = identifier[:5]
    if word != "storage" or type(key) is not str:
        raise Refusal("it holds the source code of a module, or refers to an object outside itself")
    return kind, key, count, identifier[5] if length == 6 else None


NESTED = table(build_nested, "torch.storage._load_from_bytes")


# Zip files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One stored file of a zip archive: `data[start:stop]`; `header` is where its local header begins."""

    header: int
    start: int
    stop: int


def read_zip(data: memoryview, known: Mapping[tuple[str, str], object], budget: Budget) -> object:
    """The object in a torch.save zip file, tensors included.

    Raises:
        Refusal: for anything but plain data, an archive of another kind, or one that torch.save would not write.
    """
    entries = zip_entries(data)
    names = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.split("/")[1:2] == ["code"] for name in entries):
        raise Refusal("it is a TorchScript program and not a checkpoint; save the network's state_dict() instead")
    if len(names) != 1:
        raise Refusal("it is a zip archive but not one that torch.save wrote; unpack it and give the file inside")
    folder = names[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and bytes(data[order.start : order.stop]) != b"little":
        raise Refusal("it was written on a big-endian machine")
    storages: dict[str, tuple[object, Storage]] = {}

    def storage_of(identifier: object) -> Storage:
        kind, key, count, _ = _storage_identifier(identifier, length=5)
        if key not in storages:
            entry = entries.get(f"{folder}data/{key}")
            if entry is None:
                raise Refusal(f"the data of tensor {shown(key)} is missing")
            storage = empty_storage(budget, kind, count, available=entry.stop - entry.start)
            fill_storage(storage, data[entry.start : entry.stop])
            storages[key] = (kind, storage)
        if storages[key][0] is not kind:
            raise Refusal(f"tensor {shown(key)} is stored under two types")
        return storages[key][1]

    entry = entries[names[0]]
    return Unpickler(data[: entry.stop], entry.start, known, budget, storage_of).load()


def zip_entries(data: memoryview) -> dict[str, Entry]:
    """Name -> place of every entry, from the central directory (PKWARE APPNOTE 4.3; zip64 included).

    Raises:
        Refusal: for compressed, encrypted, overlapping or twice-named entries, names that leave the folder, or a
            directory that does not fit the file.
    """
    count, size, offset = _directory(data)
    if count > MAX_ENTRIES or size > MAX_DIRECTORY:
        raise Refusal(f"its zip directory lists {count} entries, more than a checkpoint needs")
    entries: dict[str, Entry] = {}
    position, end = offset, offset + size
    for _ in range(count):
        fields = _unpack("<4s4xHH8xII3H8xI", data, position, end)
        signature, flags, method, packed, unpacked, name_size, extra_size, comment_size, header = fields
        if signature != b"PK\x01\x02":
            raise Refusal("its zip directory is damaged")
        name_start = position + 46
        extra_start = name_start + name_size
        position = extra_start + extra_size + comment_size
        if position > end:
            raise Refusal("its zip directory is damaged")
        name = utf8(data[name_start:extra_start])
        extra = data[extra_start : extra_start + extra_size]
        unpacked, packed, header = _wide_fields(extra, unpacked, packed, header)
        if method != 0 or packed != unpacked or flags & 1:
            raise Refusal("its zip entries are compressed or encrypted, which torch.save never does")
        if name in entries or name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise Refusal(f"its zip directory holds the name {shown(name)} twice, or one that leaves the folder")
        entries[name] = _locate(data, header, name, unpacked, offset)
    in_order = sorted(entries.values(), key=lambda entry: entry.header)
    if any(entry.stop > following.header for entry, following in itertools.pairwise(in_order)):
        raise Refusal("its zip entries overlap")
    return entries


def _unpack(layout: str, data: memoryview, position: int, end: int) -> tuple:
    if position < 0 or position + struct.calcsize(layout) > end:
        raise Refusal("its zip directory is damaged or cut short")
    return struct.unpack_from(layout, data, position)


def _directory(data: memoryview) -> tuple[int, int, int]:
    """(number of entries, size, offset) of the central directory."""
    tail_start = max(0, len(data) - 65_557)
    place = bytes(data[tail_start:]).rfind(b"PK\x05\x06")
    if place < 0:
        raise Refusal("its zip directory is missing, so it is cut short; download it again")
    place += tail_start
    count, size, offset = _unpack("<10xHII2x", data, place, len(data))
    if count == 0xFFFF or size == 0xFFFFFFFF or offset == 0xFFFFFFFF:
        signature, wide = _unpack("<4s4xQ4x", data, place - 20, place)
        if signature != b"PK\x06\x07":
            raise Refusal("its zip directory is damaged")
        signature, count, size, offset = _unpack("<4s28xQQQ", data, wide, place)
        if signature != b"PK\x06\x06":
            raise Refusal("its zip directory is damaged")
    if offset + size > place:
        raise Refusal("its zip directory does not fit the file")
    return count, size, offset


def _wide_fields(extra: memoryview, *fields: int) -> list[int]:
    """Sizes and offset, taken from the zip64 extra field where the 32-bit ones say so."""
    values = list(fields)
    missing = [index for index, value in enumerate(values) if value == 0xFFFFFFFF]
    position = 0
    while missing and position + 4 <= len(extra):
        kind, size = _unpack("<HH", extra, position, len(extra))
        if kind == 1:
            for slot, index in enumerate(missing):
                (values[index],) = _unpack("<Q", extra, position + 4 + 8 * slot, len(extra))
            break
        position += 4 + size
    return values


def _locate(data: memoryview, header: int, name: str, size: int, end: int) -> Entry:
    """Where an entry's bytes lie; its local header must bear the same name."""
    signature, name_size, extra_size = _unpack("<4s22xHH", data, header, end)
    start = header + 30 + name_size + extra_size
    if signature != b"PK\x03\x04" or start + size > end:
        raise Refusal("its zip entries do not fit the file")
    if bytes(data[header + 30 : header + 30 + name_size]) != name.encode():
        raise Refusal(f"its zip entry {shown(name)} has two names")
    return Entry(header, start, start + size)
