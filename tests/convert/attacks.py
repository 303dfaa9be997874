"""Checkpoints that attack whoever opens them, assembled opcode by opcode.

Every payload, if it ran, would create a folder named PWNED in the working directory; other attacks ask for memory,
time or stack depth. `attacks(samples)` lists them; run as a script, the file opens each in one process whose memory
and processor time are limited, and writes what happened to a JSON file (see `test_attacks.py`).

    python attacks.py SAMPLES_FOLDER RESULTS.json
"""

import copyreg
import io
import json
import os
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

SENTINEL = "PWNED"
MIB = 2**20
MEMORY = 700 * MIB  # beyond what the process has once everything is imported


@dataclass(frozen=True)
class Attack:
    """A file to be refused; `reason` is a part of the sentence that must say why."""

    name: str
    reason: str
    make: Callable[[], bytes]
    suffix: str = ".pkl"


# Assembling pickles --------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def blob(value: bytes) -> bytes:
    """BINBYTES."""
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    """LONG1."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def stack_name(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(attribute) + b"\x93"


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE."""
    return function + tuple_of(*arguments) + b"R"


def dict_of(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickled(body: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


MKDIR = call(name("posix", "mkdir"), text(SENTINEL))
PYTHON = text(f"__import__('os').mkdir({SENTINEL!r})")
ORDERED = name("collections", "OrderedDict")
NAMESPACE = name("argparse", "Namespace")
REBUILD = name("torch._utils", "_rebuild_tensor_v2")
FROM_BYTES = name("torch.storage", "_load_from_bytes")
PERSISTENT = name("torch_utils.persistence", "_reconstruct_persistent_obj")


def legacy(
    body: bytes, keys: tuple[str, ...] = ("0",), data: bytes = struct.pack("<q", 4) + bytes(16), little: bytes = b"\x88"
) -> bytes:
    """A legacy torch.save file around a pickle."""
    head = pickled(number(0x1950A86A20F9469CFC6C), 2) + pickled(b"M\xe9\x03", 2)
    head += pickled(dict_of(protocol_version=b"M\xe9\x03", little_endian=little, type_sizes=b"}"), 2)
    return head + pickled(body, 2) + pickled(b"](" + b"".join(map(text, keys)) + b"e", 2) + data


def storage(kind: str = "FloatStorage", key: str = "0", count: bytes = b"K\x04", view: bytes = b"N") -> bytes:
    """A storage as legacy files refer to it."""
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), count, view) + b"Q"


def tensor(
    source: bytes,
    offset: bytes = b"K\x00",
    shape: bytes = b"K\x04\x85",
    strides: bytes = b"K\x01\x85",
    hooks: bytes = ORDERED + b")R",
) -> bytes:
    return call(REBUILD, source, offset, shape, strides, b"\x89", hooks)


def nested(data: bytes) -> bytes:
    return call(FROM_BYTES, blob(data))


STORAGE_BLOB = legacy(storage())


def persistent(class_name: str, **state: bytes) -> bytes:
    meta = dict_of(
        type=text("class"), version=b"K\x06", module_src=text(""), class_name=text(class_name), state=dict_of(**state)
    )
    return call(PERSISTENT, meta)


# Assembling zip files ------------------------------------------------------------------------------------------------


def zipped(body: bytes, data: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """A torch.save zip file around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled(body, 2))
        for key, value in (data or {}).items():
            archive.writestr(f"archive/{key}", value)
    return file.getvalue()


def zip_storage(kind: str = "FloatStorage", count: bytes = b"K\x04") -> bytes:
    """A storage as zip files refer to it."""
    return tuple_of(text("storage"), name("torch", kind), text("0"), text("cpu"), count) + b"Q"


def zip_with_directory(
    *,
    entries: int = 1,
    copies: int = 1,
    size: int | None = None,
    header: int = 0,
    flags: int = 0,
    directory: int | None = None,
) -> bytes:
    """A zip of one entry, written by hand, with a directory that may lie."""
    body = pickled(MKDIR, 2)
    entry = b"archive/data.pkl"
    claimed = len(body) if size is None else size
    local = struct.pack(
        "<4s5H3I2H", b"PK\x03\x04", 20, flags, 0, 0, 0, zlib.crc32(body), claimed, claimed, len(entry), 0
    )
    local += entry + body
    central = b"".join(
        struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            20,
            20,
            flags,
            0,
            0,
            0,
            zlib.crc32(body),
            claimed,
            claimed,
            len(entry) + (2 if index else 0),
            0,
            0,
            0,
            0,
            0,
            header,
        )
        + entry
        + (b"%02d" % index if index else b"")
        for index in range(copies)
    )
    start = len(local) if directory is None else directory
    return local + central + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, len(central), start, 0)


def zip_overlapping() -> bytes:
    """Two entries, the second of which lies inside the first one's data."""
    inner = zipped(b"N")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", inner)
    outer = bytearray(file.getvalue())
    start = outer.index(inner)
    central = outer.index(b"PK\x01\x02", start + len(inner))
    record = bytes(outer[central : outer.index(b"PK\x05\x06", central)])
    place = inner.index(b"PK\x01\x02")
    second = bytearray(inner[place : inner.index(b"PK\x05\x06", place)])
    second[42:46] = struct.pack("<I", start)
    directory = record.replace(b"archive/data.pkl", b"archive/else.pkl") + bytes(second)
    outer[:central] = outer[:central].replace(b"archive/data.pkl", b"archive/else.pkl", 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), central, 0)
    return bytes(outer[:central]) + directory + end


# Amplification -------------------------------------------------------------------------------------------------------


def doubling(open_: bytes, close: bytes, levels: int = 60) -> bytes:
    """Billion laughs: each level holds the one below twice, the second time by way of the memo."""
    again = b"".join(b"\x94h" + bytes([level]) + close for level in range(levels))
    return open_ * levels + b")" + again


def doubling_dicts(levels: int = 60) -> bytes:
    again = b"".join(b"\x94" + text("b") + b"h" + bytes([level]) + b"u" for level in range(levels))
    return (b"}(" + text("a")) * levels + b"}" + again


def doubling_modules(levels: int = 60) -> bytes:
    """Persistent objects, each holding the one below twice; the last is the generator."""
    body = persistent("Generator") + b"q\x00"
    for level in range(levels):
        again = b"h" + bytes([level])
        body += persistent("Generator", _modules=dict_of(a=again, b=again)) + b"q" + bytes([level + 1])
    return dict_of(a=tuple_of(body), G_ema=b"h" + bytes([levels]))


def deep_modules(levels: int) -> bytes:
    """Persistent objects, each the only submodule of the next; the last is the generator."""
    above = persistent("G", _modules=dict_of(a=b"h\x00")) + b"q\x00"
    return dict_of(a=tuple_of(persistent("G") + b"q\x00" + above * levels), G_ema=b"h\x00")


def module_in_itself() -> bytes:
    """A persistent object among whose submodules it is itself."""
    modules = b"}q\x00"
    return dict_of(
        G_ema=persistent("Generator", _modules=modules) + b"q\x01",
        x=b"h\x00" + text("synthesis") + b"h\x01s",
    )


def repeated_pairs() -> bytes:
    """One list of pairs, copied into a new dict over and over."""
    pairs = b"](" + b"".join(tuple_of(text(str(i)), b"N") for i in range(20_000)) + b"e"
    return b"(" + pairs + b"q\x00" + (ORDERED + b"h\x00\x85R") * 20_000 + b"t"


def repeated_blob() -> bytes:
    """One megabyte of numbers, made into a new storage over and over."""
    big = legacy(storage(count=number(2**18)), data=struct.pack("<q", 2**18) + bytes(MIB))
    return b"(" + blob(big) + b"q\x00" + (FROM_BYTES + b"h\x00\x85R") * 5_000 + b"t"


def colliding_keys() -> bytes:
    """Integers that all hash to zero."""
    modulus = 2**61 - 1
    return b"}(" + b"".join(number(modulus * i) + b"N" for i in range(1, 60_000)) + b"u"


def network_with(samples: Path, old: bytes, new: bytes) -> bytes:
    """The genuine NVIDIA pickle with one name in it replaced by another of equal length."""
    data = (samples / "network.pkl").read_bytes()
    assert old in data and len(old) == len(new)
    return data.replace(old, new)


# Networks that describe more than they hold --------------------------------------------------------------------------


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def small_nvidia_state() -> dict[str, torch.Tensor]:
    state = {
        "mapping.fc0.weight": torch.zeros(4, 4),
        "mapping.fc0.bias": torch.zeros(4),
        "mapping.w_avg": torch.zeros(4),
    }
    state["synthesis.b4.const"] = torch.zeros(4, 4, 4)
    state["synthesis.b4.torgb.weight"] = torch.zeros(3, 4, 1, 1)
    state["synthesis.b4.conv1.weight"] = torch.zeros(4, 4, 3, 3)
    state["synthesis.b4.conv1.affine.weight"] = torch.zeros(4, 4)
    return state


def small_rosinality_state() -> dict[str, torch.Tensor]:
    return {
        "input.input": torch.zeros(1, 4, 4, 4),
        "conv1.conv.weight": torch.zeros(1, 4, 4, 3, 3),
        "conv1.conv.modulation.weight": torch.zeros(4, 4),
        "to_rgb1.conv.weight": torch.zeros(1, 3, 4, 1, 1),
        "style.1.weight": torch.zeros(4, 4),
        "convs.0.conv.modulation.weight": torch.zeros(4, 4),
    }


def many_tensors(pattern: str, count: int, base: dict[str, torch.Tensor]) -> bytes:
    one = torch.zeros(1, 1, 1, 1)
    return saved(base | {pattern.format(i): one for i in range(count)})


# The list ------------------------------------------------------------------------------------------------------------


def calls() -> Iterator[Attack]:
    """Pickles that call something."""
    command = text(f"mkdir {SENTINEL}")
    direct = {
        "os.system": call(name("os", "system"), command),
        "posix.system by STACK_GLOBAL": call(stack_name("posix", "system"), command),
        "nt.system": call(name("nt", "system"), command),
        "subprocess.Popen": call(name("subprocess", "Popen"), b"](" + text("mkdir") + text(SENTINEL) + b"e"),
        "subprocess.check_output": call(
            name("subprocess", "check_output"), b"](" + text("mkdir") + text(SENTINEL) + b"e"
        ),
        "builtins.eval": call(name("builtins", "eval"), PYTHON),
        "builtins.exec by STACK_GLOBAL": call(stack_name("builtins", "exec"), PYTHON),
        "builtins.compile": call(name("builtins", "compile"), PYTHON, text("x"), text("eval")),
        "__builtin__.eval": call(name("__builtin__", "eval"), PYTHON),
        "builtins.__import__": call(name("builtins", "__import__"), text("antigravity")),
        "builtins.getattr": call(name("builtins", "getattr"), ORDERED, text("__init__")),
        "builtins.open": call(name("builtins", "open"), text(SENTINEL), text("w")),
        "builtins.map": call(name("builtins", "map"), name("os", "mkdir"), b"](" + text(SENTINEL) + b"e"),
        "importlib.import_module": call(name("importlib", "import_module"), text("this")),
        "runpy.run_path": call(name("runpy", "run_path"), text("/tmp/x.py")),
        "functools.partial": call(name("functools", "partial"), name("os", "mkdir"), text(SENTINEL)),
        "functools.reduce": call(name("functools", "reduce"), name("os", "mkdir"), b"](" + text(SENTINEL) + b"e"),
        "operator.methodcaller": call(name("operator", "methodcaller"), text("mkdir"), text(SENTINEL)),
        "operator.attrgetter": call(name("operator", "attrgetter"), text("system")),
        "copyreg._reconstructor": call(
            name("copyreg", "_reconstructor"), name("os", "_wrap_close"), name("builtins", "object"), b"N"
        ),
        "pickle.loads": call(name("pickle", "loads"), blob(pickled(MKDIR))),
        "torch.load": call(name("torch.serialization", "load"), text("other.pt")),
        "torch.hub.load": call(name("torch.hub", "load"), text("a/b"), text("c")),
        "torch.jit.load": call(name("torch.jit", "load"), text("x.pt")),
        "torch.ops.load_library": call(name("torch._ops", "_Ops.load_library"), text("x.so")),
        "numpy.load": call(name("numpy", "load"), text("x.npy"), b"N", b"\x88"),
        "numpy runstring": call(name("numpy.testing._private.utils", "runstring"), PYTHON, b"}"),
        "numpy fromfile": call(name("numpy", "fromfile"), text("/etc/hostname")),
        "webbrowser.open": call(name("webbrowser", "open"), text("file:///")),
        "pty.spawn": call(name("pty", "spawn"), text("sh")),
        "ctypes.CDLL": call(name("ctypes", "CDLL"), text("libc.so.6")),
        "timeit": call(name("timeit", "timeit"), PYTHON),
        "bdb.Bdb.run": call(name("bdb", "Bdb.run"), PYTHON),
        "code.InteractiveInterpreter": call(name("code", "InteractiveInterpreter"), b"}"),
        "types.FunctionType": call(name("types", "FunctionType"), b"N", b"}"),
        "socket.create_connection": call(name("socket", "create_connection"), b"N"),
        "dotted torch.storage.os.system": call(stack_name("torch.storage", "os.system"), command),
        "dotted torch.storage os system by GLOBAL": call(name("torch.storage", "os.system"), command),
        "dotted from an allowed name": call(stack_name("collections", "OrderedDict.__init__.__globals__"), b"}"),
        "an allowed class's method": call(stack_name("collections", "OrderedDict.fromkeys"), text("ab")),
        "a module inside an allowed module": call(name("argparse", "_sys.exit"), b"K\x01"),
        "torch.storage.sys": call(name("torch.storage", "sys.exit"), b"K\x01"),
        "allowed name with trailing space": call(name("collections", "OrderedDict "), b"}"),
        "names joined differently": call(stack_name("torch._utils._rebuild_tensor_v2", ""), b"}"),
        "timm class of another project": b"" + name("pg_modules.discriminator", "ProjectedDiscriminator") + b")\x81",
        "TensorFlow StyleGAN": name("dnnlib.tflib.network", "Network") + b")\x81",
    }
    for title, body in direct.items():
        yield Attack(title, "which", lambda body=body: pickled(body))
    for title, body in direct.items():
        if title.startswith(("os.", "builtins.", "dotted", "functools")):
            in_zip = dict_of(g_ema=b"}" + text("conv1.conv.weight") + body + b"s")
            yield Attack(f"{title} in a .pt state dict", "which", lambda body=in_zip: zipped(body), ".pt")
    yield Attack("os.mkdir in a legacy .pt", "posix.mkdir", lambda: legacy(MKDIR, ()), ".pt")
    yield Attack("os.mkdir in the magic number", "posix.mkdir", lambda: pickled(MKDIR, 2) + STORAGE_BLOB[15:], ".pt")
    yield Attack(
        "os.mkdir in the legacy list of keys", "posix.mkdir", lambda: legacy(b"N." + b"\x80\x02" + MKDIR, ()), ".pt"
    )
    yield Attack("protocol 0", "posix.system", lambda: b"cposix\nsystem\n(S'mkdir PWNED'\ntR.")
    yield Attack("protocol 0 with INST", "STRING", lambda: b"(S'mkdir PWNED'\niposix\nsystem\n.")
    yield Attack("os.mkdir deep in a network", "posix.mkdir", lambda: pickled(dict_of(G_ema=persistent("G", x=MKDIR))))
    yield Attack(
        "os.mkdir as a backward hook", "posix.mkdir", lambda: pickled(tensor(nested(STORAGE_BLOB), hooks=MKDIR))
    )
    yield Attack("os.mkdir in a storage", "posix.mkdir", lambda: pickled(nested(legacy(MKDIR, (), b""))))
    yield Attack(
        "os.mkdir in a storage in a storage",
        "torch.storage._load_from_bytes",
        lambda: pickled(nested(legacy(nested(legacy(MKDIR, (), b"")), (), b""))),
    )
    yield Attack("os.mkdir in a zip in a storage", "PERSID", lambda: pickled(nested(zipped(MKDIR))))
    yield Attack("os.mkdir in bytes", "protocol", lambda: b"\x80\x01" + MKDIR + b".")


def tricks() -> Iterator[Attack]:
    """Pickles that misuse what is allowed, or opcodes that are not."""
    copyreg.add_extension("posix", "mkdir", 0x7F)
    arguments = tuple_of(text(SENTINEL))
    bodies = {
        "EXT1": (b"\x82\x7f" + arguments + b"R", "EXT1"),
        "EXT2": (b"\x83\x7f\x00" + arguments + b"R", "EXT2"),
        "EXT4": (b"\x84\x7f\x00\x00\x00" + arguments + b"R", "EXT4"),
        "INST": (b"(" + text(SENTINEL) + b"iposix\nmkdir\n", "INST"),
        "OBJ": (b"(" + ORDERED + text(SENTINEL) + b"o", "OBJ"),
        "OBJ of os.mkdir": (b"(" + name("posix", "mkdir") + text(SENTINEL) + b"o", "posix.mkdir"),
        "PERSID": (b"Pposix.mkdir\n", "PERSID"),
        "BINPERSID": (MKDIR[:0] + tuple_of(text("storage")) + b"Q", "outside itself"),
        "NEXT_BUFFER": (b"\x97", "NEXT_BUFFER"),
        "READONLY_BUFFER": (b"N\x98", "READONLY_BUFFER"),
        "unknown opcode": (b"\xff", "0xff"),
        "NEWOBJ of a function": (name("posix", "mkdir") + arguments + b"\x81", "posix.mkdir"),
        "NEWOBJ_EX": (ORDERED + b")" + dict_of(a=b"N") + b"\x92", "keyword"),
        "REDUCE of a dict": (b"})R", "constructor"),
        "REDUCE of text": (text("os.system") + b")R", "constructor"),
        "REDUCE of an OrderedDict": (ORDERED + b")R)R", "constructor"),
        "REDUCE of a dtype": (name("torch", "float32") + b")R", "constructor"),
        "REDUCE with a list": (ORDERED + b"]R", "constructor"),
        "OrderedDict of a callable": (call(ORDERED, ORDERED), "pairs"),
        "OrderedDict of triples": (call(ORDERED, b"](" + tuple_of(b"N", b"N", b"N") + b"e"), "pairs"),
        "OrderedDict with an unhashable key": (call(ORDERED, b"](" + tuple_of(b"]", b"N") + b"e"), "key"),
        "BUILD on a constructor": (ORDERED + dict_of(build=text("x")) + b"b", "state"),
        "BUILD on a list": (b"]" + dict_of(__class__=text("x")) + b"b", "state"),
        "BUILD on a tensor": (tensor(nested(STORAGE_BLOB)) + dict_of(data=b"N") + b"b", "state"),
        "BUILD on a network": (persistent("G") + dict_of(class_name=text("x")) + b"b", "state"),
        "BUILD with slots": (NAMESPACE + b")\x81" + b"N" + dict_of(__class__=text("x")) + b"\x86b", "state"),
        "BUILD of __setstate__": (
            NAMESPACE + b")\x81" + dict_of(__setstate__=name("posix", "mkdir")) + b"b" + text(SENTINEL) + b"b",
            "posix.mkdir",
        ),
        "attributes of a namespace": (
            NAMESPACE + b")\x81" + dict_of(__class__=text("x"), __dict__=b"}", get=b"N") + b"b",
            "no network",
        ),
        "SETITEM on a constructor": (ORDERED + text("a") + b"Ns", "adds entries"),
        "APPEND to a dict": (b"}Na", "adds entries"),
        "ADDITEMS to a list": (b"](N\x90", "adds entries"),
        "set of a dict": (call(name("builtins", "set"), b"}"), "set"),
        "stack underflow": (b"R", "never wrote"),
        "underflow through a mark": (ORDERED + b"(R", "never wrote"),
        "TUPLE without MARK": (b"Nt", "never opened"),
        "STOP inside a group": (b"(N", "middle"),
        "odd SETITEMS": (b"}(Nu", "without a value"),
        "unset memo": (b"h\x05", "never wrote"),
        "STACK_GLOBAL of numbers": (b"K\x01K\x02\x93", "text"),
        "_codecs.encode beyond bytes": (call(name("_codecs", "encode"), text("\u4e2d"), text("latin1")), "above 255"),
        "_codecs.encode with a codec": (call(name("_codecs", "encode"), text("x"), text("rot13")), "encodes"),
        "_rebuild_from_type_v2 of os.mkdir": (
            call(name("torch._tensor", "_rebuild_from_type_v2"), name("posix", "mkdir"), b"N", b")", b"N"),
            "posix.mkdir",
        ),
        "_rebuild_from_type_v2 of an OrderedDict": (
            call(name("torch._tensor", "_rebuild_from_type_v2"), ORDERED, name("torch", "Tensor"), b")", b"N"),
            "unknown way",
        ),
        "torch.Tensor called": (name("torch", "Tensor") + tuple_of(number(2**40)) + b"R", "called"),
        "_rebuild_wrapper_subclass": (call(name("torch._utils", "_rebuild_wrapper_subclass"), b"N"), "which"),
        "_rebuild_sparse_tensor": (call(name("torch._utils", "_rebuild_sparse_tensor"), b"N", b"N"), "which"),
        "_rebuild_meta_tensor_no_storage": (
            call(name("torch._utils", "_rebuild_meta_tensor_no_storage"), b"N", b")", b")", b"\x89"),
            "which",
        ),
        "persistent object without meta": (call(PERSISTENT, b"}"), "class name"),
        "persistent object of a list": (call(PERSISTENT, b"]"), "class name"),
        "persistent object with a list as state": (
            call(PERSISTENT, dict_of(class_name=text("G"), state=b"]")),
            "class name",
        ),
        "a network with hostile attributes": (
            dict_of(G_ema=persistent("G", _modules=b"]", _parameters=b"N", _buffers=text("x"))),
            "no network",
        ),
    }
    for title, (body, reason) in bodies.items():
        yield Attack(title, reason, lambda body=body: pickled(body))
    source = tuple_of(text("module"), name("torch.nn.modules.linear", "Linear"), text("x.py"), text("import os"))
    yield Attack("source of a module", "which", lambda source=source: legacy(source + b"Q"), ".pt")
    source = tuple_of(text("module"), ORDERED, text("x.py"), text("import os"), b"N", b"N")
    yield Attack("source of an allowed class", "source code", lambda source=source: legacy(source + b"Q"), ".pt")


def floods() -> Iterator[Attack]:
    """Pickles that ask for memory, time or stack."""
    many = 1_100_000
    bodies = {
        "billion laughs in tuples": (lambda: doubling(b"(", b"t"), "no network"),
        "billion laughs in lists": (lambda: doubling(b"](", b"e"), "no network"),
        "billion laughs in dicts": (doubling_dicts, "no network"),
        "billion laughs in a network": (doubling_modules, "more modules"),
        "billion laughs as a key": (lambda: b"}" + doubling(b"(", b"t") + b"Ns", "as a key"),
        "billion laughs in a set": (lambda: b"\x8f(" + doubling(b"(", b"t") + b"\x90", "as a key"),
        "billion laughs in a frozenset": (lambda: b"(" + doubling(b"(", b"t") + b"\x91", "as a key"),
        "a network in itself": (module_in_itself, "more modules"),
        "a list in itself": (lambda: b"]q\x00h\x00a", "no network"),
        "a dict in itself": (lambda: b"}q\x00" + text("a") + b"h\x00s", "no network"),
        "a tuple as a shape in itself": (lambda: b"]q\x00h\x00a" + b"\x85", "no network"),
        "deep tuples": (lambda: b")" + b"\x85" * 900_000, "no network"),
        "deeper tuples": (lambda: b")" + b"\x85" * many, "more opcodes"),
        "deep lists": (lambda: b"]" * 400_000 + b"a" * 399_999, "no network"),
        "deep dicts": (lambda: (b"}" + b"U\x01a") * 300_000 + b"N" + b"s" * 300_000, "no network"),
        "deep frozensets": (lambda: b"(" * 400_000 + b"\x91" * 400_000, "as a key"),
        "deep tuples as a key": (lambda: b"})" + b"\x85" * 400_000 + b"Ns", "as a key"),
        "deep namespaces": (
            lambda: (NAMESPACE + b")\x81}U\x01a") * 100_000 + b"N" + b"sb" * 100_000,
            "no network",
        ),
        "deep networks": (lambda: deep_modules(10_000), "more modules"),
        "many marks": (lambda: b"(" * many, "more opcodes"),
        "many sets": (lambda: b"(" + b"\x8f" * many + b"t", "more opcodes"),
        "many dicts": (lambda: b"(" + b"}" * many + b"t", "more opcodes"),
        "copied pairs": (repeated_pairs, "more entries"),
        "copied storage": (repeated_blob, "more nested bytes"),
        "colliding keys": (colliding_keys, "more other keys"),
        "huge memo index": (lambda: b"Nr\xff\xff\xff\xff", "4294967295"),
        "huge LONG4": (lambda: b"\x8b\xff\xff\xff\x7f", "LONG4"),
        "huge LONG1": (lambda: b"\x8a\xff" + b"\x01" * 255, "255 bytes"),
        "huge INT": (lambda: b"I" + b"9" * MIB + b"\n", "INT"),
        "huge LONG": (lambda: b"L" + b"9" * MIB + b"L\n", "LONG"),
        "huge BINUNICODE": (lambda: b"X\xff\xff\xff\xff", "cut short"),
        "huge BINUNICODE8": (lambda: b"\x8d" + b"\xff" * 7 + b"\x7f", "cut short"),
        "huge BINBYTES": (lambda: b"B\xff\xff\xff\xff", "cut short"),
        "huge BINBYTES8": (lambda: b"\x8e" + b"\xff" * 8, "cut short"),
        "huge BYTEARRAY8": (lambda: b"\x96" + b"\xff" * 7 + b"\x0f", "cut short"),
        "huge FRAME": (lambda: b"\x95" + b"\xff" * 8 + b"N", "cut short"),
        "endless GLOBAL": (lambda: b"c" + b"a" * MIB, "longer than any"),
        "endless name": (lambda: name("a" * 200, "\x00\n"[:1] * 200), "which"),
    }
    for title, (make, reason) in bodies.items():
        yield Attack(title, reason, lambda make=make: pickled(make()))


def shapes() -> Iterator[Attack]:
    """Tensors and arrays that are not what they claim."""
    source = nested(STORAGE_BLOB)
    views = {
        "offset outside": tensor(source, offset=b"K\x01"),
        "huge offset": tensor(source, offset=number(2**62)),
        "negative offset": tensor(source, offset=number(-1)),
        "shape outside": tensor(source, shape=b"K\x05\x85"),
        "strides outside": tensor(source, strides=b"K\x02\x85"),
        "negative stride": tensor(source, strides=number(-1) + b"\x85"),
        "giant view of stride 0": tensor(source, shape=number(2**30) + b"\x85", strides=b"K\x00\x85"),
        "overflowing shape": tensor(
            source,
            shape=tuple_of(number(2**31 - 1), number(2**31 - 1), number(2**31 - 1)),
            strides=tuple_of(*[b"K\x00"] * 3),
        ),
        "negative shape": tensor(source, shape=number(-4) + b"\x85"),
        "shape of floats": tensor(source, shape=b"G" + struct.pack(">d", 4.0) + b"\x85"),
        "shape of booleans": tensor(source, shape=b"\x88\x85"),
        "shape that is a list in itself": tensor(source, shape=b"]q\x00h\x00a"),
        "many dimensions": tensor(source, shape=tuple_of(*[b"K\x01"] * 1000), strides=tuple_of(*[b"K\x00"] * 1000)),
        "fewer strides": tensor(source, strides=b")"),
        "tensor of a list": tensor(b"]"),
        "tensor of a number": tensor(number(2**40)),
        "conjugate view": call(
            REBUILD, source, b"K\x00", b"K\x04\x85", b"K\x01\x85", b"\x89", b"}", dict_of(conj=b"\x88")
        ),
        "parameter of a dict": call(name("torch._utils", "_rebuild_parameter"), b"}", b"\x89", b"}"),
        "quantised storage": call(FROM_BYTES, blob(legacy(storage("QInt8Storage")))),
        "huge torch.Size": call(name("torch", "Size"), tuple_of(number(2**70))),
    }
    for title, body in views.items():
        yield Attack(title, "not opened because", lambda body=body: pickled(body))
    claims = {
        "absurd storage": (storage(count=number(10**12)), ("0",), b""),
        "overflowing storage": (storage(count=number(2**63)), ("0",), b""),
        "negative storage": (storage(count=number(-1)), ("0",), b""),
        "storage of true elements": (storage(count=b"\x88"), ("0",), b""),
        "storage shorter than claimed": (storage(), ("0",), struct.pack("<q", 3) + bytes(16)),
        "storage cut short": (storage(), ("0",), struct.pack("<q", 4) + bytes(3)),
        "storage without data": (storage(), (), b""),
        "data without storage": (b"N", ("0",), struct.pack("<q", 4) + bytes(16)),
        "storage twice": (storage(), ("0", "0"), (struct.pack("<q", 4) + bytes(16)) * 2),
        "storage of an unknown type": (storage().replace(b"ctorch\nFloatStorage\n", b"N"), ("0",), b""),
        "storage as a view": (storage(view=tuple_of(text("1"), b"K\x00", b"K\x02")), ("0",), b""),
        "persistent number": (b"K\x01Q", (), b""),
        "unhashable storage key": (
            tuple_of(text("storage"), name("torch", "FloatStorage"), b"]", text("cpu"), b"K\x04", b"N") + b"Q",
            (),
            b"",
        ),
    }
    for title, (body, keys, data) in claims.items():
        yield Attack(title, "not opened because", lambda a=(body, keys, data): legacy(*a), ".pt")
    yield Attack("many claims of all there is", "more tensor bytes", _many_claims, ".pt")
    yield Attack("big-endian", "big-endian", lambda: legacy(b"N", (), b"", little=b"\x89"), ".pt")

    def dtype(code: str, *state: bytes) -> bytes:
        state = state or (b"N", b"N", b"N")
        order = tuple_of(b"K\x03", text("<"), *state, number(-1), number(-1), b"K\x00")
        return call(name("numpy", "dtype"), text(code), b"\x89", b"\x88") + order + b"b"

    def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
        new = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"K\x00\x85", blob(b"b"))
        return new + tuple_of(b"K\x01", shape, kind, b"\x89", data) + b"b"

    scalar = name("numpy.core.multiarray", "scalar")
    arrays = {
        "array of objects": array(b"K\x01\x85", dtype("O8"), b"](" + b"N" + b"e"),
        "array of objects from bytes": array(b"K\x01\x85", dtype("O"), blob(bytes(8))),
        "scalar object": call(scalar, dtype("O8"), blob(bytes(8))),
        "structured dtype": call(scalar, dtype("V8", b"N", tuple_of(text("a")), b"}"), blob(bytes(8))),
        "dtype with fields": array(b"K\x01\x85", dtype("f8", b"N", tuple_of(text("a")), b"}"), blob(bytes(8))),
        "dtype by a list": call(name("numpy", "dtype"), b"]"),
        "dtype by a dict": call(name("numpy", "dtype"), dict_of(names=b"]", formats=b"]")),
        "array longer than its data": array(number(2**30) + b"\x85", dtype("f8"), blob(bytes(8))),
        "array of negative shape": array(number(-1) + b"\x85", dtype("f8"), blob(bytes(8))),
        "array of overflowing shape": array(tuple_of(*[number(2**31 - 1)] * 3), dtype("f8"), blob(bytes(8))),
        "array without type": array(b"K\x01\x85", b"N", blob(bytes(8))),
        "array of an unfinished type": array(
            b"K\x01\x85", call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88"), blob(bytes(8))
        ),
        "array built twice": array(b"K\x01\x85", dtype("f8"), blob(bytes(8))) + b")b",
        "scalar cut short": call(scalar, dtype("f8"), blob(bytes(3))),
        "bare ndarray": call(name("numpy", "ndarray"), tuple_of(number(2**40))),
        "_frombuffer longer than its data": call(
            name("numpy._core.numeric", "_frombuffer"), blob(bytes(8)), dtype("f8"), number(2**30) + b"\x85", text("C")
        ),
    }
    for title, body in arrays.items():
        yield Attack(title, "not opened because", lambda body=body: pickled(body))


def _many_claims() -> bytes:
    """A hundred storages, each claiming as much as the whole file holds."""
    size = MIB // 4
    body = tuple_of(*(storage(key=str(i), count=number(size)) for i in range(100)))
    return legacy(body, tuple(map(str, range(100))), bytes(MIB))


def archives() -> Iterator[Attack]:
    """Zip files that are more, or other, than they seem."""
    bomb = bytes(200 * MIB)
    plain = tensor(zip_storage())
    files = {
        "deflated bomb": (lambda: zipped(b"N", {"data/0": bomb}, zipfile.ZIP_DEFLATED), "compressed"),
        "deflated pickle": (lambda: zipped(MKDIR, method=zipfile.ZIP_DEFLATED), "compressed"),
        "bzip2": (lambda: zipped(MKDIR, method=zipfile.ZIP_BZIP2), "compressed"),
        "lzma": (lambda: zipped(MKDIR, method=zipfile.ZIP_LZMA), "compressed"),
        "encrypted": (lambda: zip_with_directory(flags=1), "encrypted"),
        "overlapping entries": (zip_overlapping, "overlap"),
        "the same data under many names": (lambda: zip_with_directory(entries=3, copies=3), "two names"),
        "name that leaves the folder": (lambda: zipped(b"N", {"../../PWNED": b"x"}), "leaves the folder"),
        "absolute name": (lambda: _renamed(zipped(b"N", {"abc": b"x"}), b"archive/abc", b"/rchive/abc"), "leaves"),
        "name twice": (lambda: _renamed(zipped(b"N", {"a": b"x", "b": b"y"}), b"archive/a", b"archive/b"), "twice"),
        "two pickles": (
            lambda: _renamed(zipped(b"N", {"x/data.pkl": b"N."}), b"archive/x/", b"archivexx/"),
            "zip archive",
        ),
        "no pickle": (lambda: _renamed(zipped(b"N"), b"data.pkl", b"data.txt"), "zip archive"),
        "TorchScript": (lambda: zipped(b"N", {"code/__torch__.py": b"import os"}), "TorchScript"),
        "entry longer than the file": (lambda: zip_with_directory(size=2**31), "fit"),
        "entry outside": (lambda: zip_with_directory(header=2**31), "cut short"),
        "entry at another place": (lambda: zip_with_directory(header=3), "fit"),
        "directory outside": (lambda: zip_with_directory(directory=2**31), "fit"),
        "directory elsewhere": (lambda: zip_with_directory(directory=0), "damaged"),
        "more entries than listed": (lambda: zip_with_directory(entries=60_000), "more than"),
        "some entries than listed": (lambda: zip_with_directory(entries=600), "damaged"),
        "zip64 lies": (lambda: zip_with_directory(entries=0xFFFF), "damaged"),
        "no directory": (lambda: zipped(plain, {"data/0": bytes(16)})[:-40], "cut short"),
        "payload": (lambda: zipped(MKDIR), "posix.mkdir"),
        "storage missing": (lambda: zipped(plain), "missing"),
        "storage shorter": (lambda: zipped(plain, {"data/0": bytes(15)}), "than the file holds"),
        "storage longer": (lambda: zipped(plain, {"data/0": bytes(20)}), "as long as"),
        "storage absurd": (lambda: zipped(tensor(zip_storage(count=number(10**12))), {"data/0": bytes(16)}), "claims"),
        "storage under two types": (
            lambda: zipped(tuple_of(plain, tensor(zip_storage("IntStorage"))), {"data/0": bytes(16)}),
            "two types",
        ),
        "big-endian": (lambda: zipped(b"N", {"byteorder": b"big"}), "big-endian"),
        "pickle that runs into the next entry": (
            lambda: _renamed(zipped(blob(b"x" * 5)[:2] + b"xxx", {"y": b"y" * 500}), b"Bx", b"B\x20"),
            "cut short",
        ),
    }
    for title, (make, reason) in files.items():
        yield Attack(f"zip: {title}", reason, make, ".pt")


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    return data.replace(old, new)


def networks(samples: Path) -> Iterator[Attack]:
    """Well-formed files whose networks are hostile, damaged or not networks at all."""
    states = {
        "resolution beyond reason": (
            lambda: many_tensors("synthesis.b524288.x{}", 2, small_nvidia_state()),
            "StyleGAN2 does",
        ),
        "layer of 2**19 px": (lambda: many_tensors("synthesis.b524288.conv0.x{}", 2, small_nvidia_state()), "524288"),
        "layer of 2048 px": (lambda: many_tensors("synthesis.b2048.conv0.x{}", 2, small_nvidia_state()), "lacks"),
        "layer of 12 px": (lambda: many_tensors("synthesis.b12.conv0.x{}", 2, small_nvidia_state()), "12 pixels"),
        "thousand toRGB layers": (
            lambda: many_tensors("to_rgbs.{}.conv.weight", 900, small_rosinality_state()),
            "power of two",
        ),
        "nine toRGB layers": (lambda: many_tensors("to_rgbs.{}.conv.weight", 9, small_rosinality_state()), "lacks"),
        "thousand mapping layers": (
            lambda: many_tensors("style.1{}.bias", 900, small_rosinality_state()),
            "StyleGAN2 does not",
        ),
        "wrong filter": (
            lambda: saved(small_nvidia_state() | {"synthesis.b4.resample_filter": torch.zeros(4, 4)}),
            "filter",
        ),
        "integers as weights": (lambda: saved({k: v.long() for k, v in small_nvidia_state().items()}), "two"),
        "noise of the wrong rank": (
            lambda: saved(small_rosinality_state() | {"noises.noise_0": torch.zeros(())}),
            "pixels",
        ),
        "unknown tensor": (lambda: saved(small_rosinality_state() | {"attention.weight": torch.zeros(1)}), "attention"),
    }
    for title, (make, reason) in states.items():
        yield Attack(f"network: {title}", reason, make, ".pt")
    replaced = {
        "allowed name swapped for another": (b"_rebuild_parameter", b"_rebuild_nestedtnr", "_rebuild_nestedtnr"),
        "storage loader swapped": (b"_load_from_bytes", b"_load_from_bytex", "_load_from_bytex"),
        "parameters renamed": (b"conv1", b"convX", "does not"),
        "class swapped": (b"EasyDict", b"EasyDicx", "EasyDicx"),
    }
    for title, (old, new, reason) in replaced.items():
        yield Attack(f"network.pkl: {title}", reason, lambda old=old, new=new: network_with(samples, old, new))
    for file in ("malicious.pkl", "malicious_nested.pkl"):
        yield Attack(file, "posix.mkdir", lambda file=file: (samples / file).read_bytes())
    yield Attack("malicious_source.pkl", "no network", lambda: (samples / "malicious_source.pkl").read_bytes())
    others = {
        "empty": (b"", "empty"),
        "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        "web page": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        "text": (b"hello, world", "unlike a checkpoint"),
        "zeros": (bytes(4096), "unlike a checkpoint"),
        "gzip": (b"\x1f\x8b" + bytes(50), "gzip"),
        "tar": (bytes(257) + b"ustar" + bytes(250), "tar"),
        "safetensors with a lying header": (
            struct.pack("<Q", 40) + b'{"a":{"dtype":"F32","shape":[9999999999]}}',
            "damaged",
        ),
        "safetensors outside": (
            struct.pack("<Q", 65) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16000000000]}}  ',
            "damaged",
        ),
        "safetensors cut short": (struct.pack("<Q", 10) + b'{"a": 1', "unlike"),
    }
    for title, (data, reason) in others.items():
        yield Attack(f"file: {title}", reason, lambda data=data: data)


def attacks(samples: Path) -> list[Attack]:
    """All attacks; without the NVIDIA parity fixtures at `samples`, those made from them are left out."""
    found = [*calls(), *tricks(), *floods(), *shapes(), *archives()]
    found += [attack for attack in networks(samples) if samples.is_dir() or ".pkl" not in attack.name]
    assert len({attack.name for attack in found}) == len(found)
    return found


def run(samples: Path, results: Path) -> None:
    """Open every attack with the real converter, in the current folder, and write what happened."""
    from sfhub.convert import convert

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
    outcome = {}
    for attack in attacks(samples):
        file = Path(f"attack{attack.suffix}")
        file.write_bytes(attack.make())
        before = resource.getrusage(resource.RUSAGE_SELF)
        try:
            convert(file, "converted")
            error = None
        except BaseException as caught:  # whatever it is, the test wants to see it
            error = caught
        after = resource.getrusage(resource.RUSAGE_SELF)
        outcome[attack.name] = {
            "error": type(error).__name__,
            "message": str(error),
            "cause": repr(error.__cause__) if error is not None else "",
            "growth_mib": (after.ru_maxrss - before.ru_maxrss) / 1024,
            "seconds": after.ru_utime - before.ru_utime,
            "left": sorted(path.name for path in Path().iterdir() if path != file),
        }
        file.unlink()
        results.write_text(json.dumps(outcome))


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
