"""An interpreter of pickles that can build data and nothing else.

`pickle.Unpickler` with an allow list is not enough for files from strangers: it still runs `__setstate__`,
`__setitem__` and hashing on whatever was built, allocates what a four-byte index or an eight-byte length asks for, and
its C implementation recurses. This file therefore reads the opcodes itself, in a loop, and never uses `pickle.load`,
an import or `getattr` on a name from the file:

* a global is looked up in a table of exact (module, name) pairs; what stands there is a `Constructor` of ours, an inert
  object that only REDUCE and NEWOBJ may apply, and that checks its arguments. Everything else is refused by name;
* only opcodes that picklers of protocol 2 to 5 write for data are known: no extension registry, no INST or OBJ,
  no out-of-band buffers, no text opcodes;
* every length is compared with what is left of the file before anything is read, and a `Budget`, shared by a file and
  the pickles inside it, limits opcodes, copied entries and tensor bytes; so memory stays within a small multiple of
  the file's size plus some 250 MB of small objects, and time linear in it;
* keys are plain scalars, since hashing nested tuples recurses and, on a structure that doubles at each level, takes
  exponential time.

What comes out: None, bool, int, float, str, bytes, list, tuple, set, frozenset, dict, and what the constructors make
(tensors and arrays: `arrays.py`; NVIDIA's persistent objects: `nvidia.py`). Format: the opcode table of CPython's
`pickletools`.
"""

from __future__ import annotations

import pickletools
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_OPCODES = 1_000_000  # NVIDIA's pickle of a 32-px network with G, D and G_ema has 20,000
MAX_INTEGER_BYTES = 32
MAX_LINE = 256
MAX_OTHER_KEYS = 10_000  # numbers hash to themselves, so a file could make all of them collide
SCALARS = (str, bytes, int, float, bool, type(None))


class Refusal(Exception):
    """Why a file is not opened: a clause that completes "FILE was not opened because ..."."""


def shown(text: str) -> str:
    """A name from the file made fit for an error message: short, printable, on one line."""
    return text if re.fullmatch(r"[\w.\-]{1,100}", text, re.ASCII) else ascii(text[:60])


def utf8(data: memoryview) -> str:
    """Text from the file, which has to be UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Refusal("it holds text that is not UTF-8, so it is damaged") from None


@dataclass
class Budget:
    """What one file, with every pickle nested in it, may cost.

    Attributes:
        tensor_bytes: bytes left for tensors and arrays; begins at the file's size, since each byte is needed once.
        nested_bytes: bytes left for pickles inside the pickle; begins at the file's size for the same reason.
        opcodes: opcodes left.
        entries: entries left that constructors may copy from one container into another.
        other_keys: keys left that are not strings.
    """

    tensor_bytes: int
    nested_bytes: int
    opcodes: int = MAX_OPCODES
    entries: int = MAX_OPCODES
    other_keys: int = MAX_OTHER_KEYS

    def take(self, what: str, amount: int) -> None:
        """Spend `amount` of the named allowance, or refuse the file."""
        left = getattr(self, what) - amount
        if left < 0:
            raise Refusal(f"it asks for more {what.replace('_', ' ')} than a checkpoint of its size needs")
        setattr(self, what, left)


@dataclass(frozen=True, eq=False)
class Constructor:
    """Stands for a class or function that the file names; `build(budget, args)` is ours and makes plain data."""

    name: str
    build: Callable[[Budget, tuple], object]


class Attributes(dict):
    """An object of which only the attributes are kept, such as `argparse.Namespace`."""


class Pending:
    """A value that gets its content from a later BUILD; `finish(budget, state)` returns the content."""

    value: object = None

    def finish(self, budget: Budget, state: object) -> object:
        raise NotImplementedError


class Unpickler:
    """Reads one pickle.

    Args:
        data: buffer that holds the pickle.
        start: where in `data` it begins; `position` is the byte after its STOP once `load` has returned.
        known: exact (module, name) pairs -> `Constructor`, or a value that stands for the name (a dtype).
        budget: shared with every other pickle of the same file.
        persistent_load: makes an object of a persistent id; without one, such ids are refused.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        start: int,
        known: Mapping[tuple[str, str], object],
        budget: Budget,
        persistent_load: Callable[[object], object] | None = None,
    ) -> None:
        self.data = memoryview(data)
        self.position = start
        self.known = known
        self.budget = budget
        self.persistent_load = persistent_load
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def load(self) -> object:
        """The object that the pickle describes. Raises `Refusal` for whatever is not plain data."""
        while True:
            self.budget.take("opcodes", 1)
            code = self.read(1)[0]
            if code == ord("."):
                if len(self.stack) != 1 or self.marks:
                    raise Refusal("its pickle ends in the middle of a value")
                return self.pop()
            operation = OPERATIONS.get(code)
            if operation is None:
                raise Refusal(f"its pickle uses {_opcode_name(code)}, which no checkpoint needs")
            operation(self)

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self, count: int) -> memoryview:
        """The next `count` bytes, without a copy."""
        end = self.position + count
        if end > len(self.data):
            raise Refusal("its pickle is cut short or damaged")
        chunk = self.data[self.position : end]
        self.position = end
        return chunk

    def number(self, layout: str) -> int | float:
        """The next number, in `struct` notation."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """Text up to the next line feed, as GLOBAL writes its two names."""
        head = bytes(self.data[self.position : self.position + MAX_LINE])
        length = head.find(b"\n")
        if length < 0:
            raise Refusal("its pickle names something longer than any Python name")
        return utf8(self.read(length + 1)[:-1])

    # The stack -------------------------------------------------------------------------------------------------------

    def pop(self) -> object:
        """Take the top of the stack, never from beneath the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refusal("its pickle takes a value that it never wrote")
        return self.stack.pop()

    def pop_mark(self) -> list:
        """Take all values above the last mark."""
        if not self.marks:
            raise Refusal("its pickle closes a group that it never opened")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, *kinds: type) -> object:
        """The top of the stack, which must be exactly of one of these types."""
        value = self.pop()
        if type(value) not in kinds:
            raise Refusal(f"its pickle adds entries to a {shown(type(value).__name__)}")
        self.stack.append(value)
        return value

    def push_number(self, layout: str) -> None:
        self.stack.append(self.number(layout))

    def push_text(self, layout: str) -> None:
        self.stack.append(utf8(self.read(self.number(layout))))

    def push_python2_text(self, layout: str) -> None:
        self.stack.append(str(self.read(self.number(layout)), "latin-1"))

    def push_bytes(self, layout: str) -> None:
        self.stack.append(bytes(self.read(self.number(layout))))

    def push_integer(self) -> None:
        size = self.number("<B")
        if size > MAX_INTEGER_BYTES:
            raise Refusal(f"its pickle holds an integer of {size} bytes")
        self.stack.append(int.from_bytes(self.read(size), "little", signed=True))

    def push_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    # Containers ------------------------------------------------------------------------------------------------------

    def append(self, items: list) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list) -> None:
        if len(items) % 2:
            raise Refusal("its pickle holds a key without a value")
        for key in items[::2]:
            self.check_key(key)
        self.top(dict, Attributes).update(zip(items[::2], items[1::2], strict=True))

    def add_items(self, items: list) -> None:
        for item in items:
            self.check_key(item)
        self.top(set).update(items)

    def push_frozenset(self) -> None:
        items = self.pop_mark()
        for item in items:
            self.check_key(item)
        self.stack.append(frozenset(items))

    def check_key(self, key: object) -> None:
        check_key(self.budget, key)

    # The memo --------------------------------------------------------------------------------------------------------

    def remember(self, index: int) -> None:
        if index >= MAX_OPCODES:
            raise Refusal(f"its pickle numbers a value {index}")
        value = self.pop()
        self.stack.append(value)
        self.memo[index] = value

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise Refusal("its pickle repeats a value that it never wrote")
        value = self.memo[index]
        if isinstance(value, Pending) and value.value is not None:
            value = value.value
        self.stack.append(value)

    # Objects ---------------------------------------------------------------------------------------------------------

    def push_global(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise Refusal("its pickle names a global by something other than text")
        if (module, name) not in self.known:
            raise Refusal(f"it names {shown(f'{module}.{name}')}, which {unknown_global(module)}")
        self.stack.append(self.known[module, name])

    def stack_global(self) -> None:
        name = self.pop()
        self.push_global(self.pop(), name)

    def reduce(self) -> None:
        arguments, constructor = self.pop(), self.pop()
        if type(constructor) is not Constructor or type(arguments) is not tuple:
            raise Refusal("its pickle calls something that is not a constructor")
        self.stack.append(constructor.build(self.budget, arguments))

    def new_with_keywords(self) -> None:
        keywords = self.pop()
        if type(keywords) is not dict or keywords:
            raise Refusal("its pickle builds an object from keyword arguments")
        self.reduce()

    def build(self) -> None:
        """Give the object on top its state: attributes of inert records, contents of arrays, nothing else."""
        state, target = self.pop(), self.pop()
        if isinstance(target, Pending) and target.value is None:
            target.value = target.finish(self.budget, state)
            target = target.value
        elif type(target) is Attributes and type(state) is dict:
            self.budget.take("entries", len(state))
            target.update(state)
        elif not (type(target) is dict and type(state) is dict):  # a dict subclass's own attributes are not needed
            raise Refusal(f"its pickle sets the state of a {shown(type(target).__name__)}")
        self.stack.append(target)

    def push_persistent(self) -> None:
        if self.persistent_load is None:
            raise Refusal("its pickle refers to an object outside itself")
        self.stack.append(self.persistent_load(self.pop()))

    # The rest --------------------------------------------------------------------------------------------------------

    def check_protocol(self) -> None:
        protocol = self.number("<B")
        if not 2 <= protocol <= 5:
            raise Refusal(f"its pickle is of protocol {protocol} and only protocols 2 to 5 are known")

    def check_frame(self) -> None:
        if self.number("<Q") > len(self.data) - self.position:
            raise Refusal("its pickle is cut short or damaged")


def check_key(budget: Budget, key: object) -> None:
    """Refuse a key of a dict or set that is not a plain scalar."""
    if type(key) not in SCALARS:
        raise Refusal(f"its pickle uses a {shown(type(key).__name__)} as a key")
    if type(key) is not str:
        budget.take("other_keys", 1)


def unknown_global(module: str) -> str:
    """What to say of a global that is not in the table, as the end of a relative clause."""
    if module.startswith(("dnnlib.tflib", "tensorflow", "tfutil", "training.networks_stylegan")):
        return (
            "belongs to the TensorFlow StyleGAN pickles of 2018 to 2020; convert it to PyTorch with legacy.py of "
            "NVIDIA's stylegan3 repository first"
        )
    if module.startswith(("torch", "numpy")):
        return "is no part of the checkpoints known here; save the network's state_dict() instead"
    return "is code and not data; take a file from the official source, or save the network's state_dict() instead"


def _opcode_name(code: int) -> str:
    info = pickletools.code2op.get(chr(code))
    return f"the opcode {info.name}" if info else f"the unknown opcode 0x{code:02x}"


def _literal(value: object) -> Callable[[Unpickler], None]:
    return lambda machine: machine.stack.append(value)


OPERATIONS: dict[int, Callable[[Unpickler], None]] = {
    ord(code): operation
    for code, operation in {
        "\x80": Unpickler.check_protocol,
        "\x95": Unpickler.check_frame,
        "(": lambda m: m.marks.append(len(m.stack)),
        "N": _literal(None),
        "\x88": _literal(True),
        "\x89": _literal(False),
        "J": lambda m: m.push_number("<i"),
        "K": lambda m: m.push_number("<B"),
        "M": lambda m: m.push_number("<H"),
        "G": lambda m: m.push_number(">d"),
        "\x8a": Unpickler.push_integer,
        "\x8c": lambda m: m.push_text("<B"),
        "X": lambda m: m.push_text("<I"),
        "\x8d": lambda m: m.push_text("<Q"),
        "U": lambda m: m.push_python2_text("<B"),
        "T": lambda m: m.push_python2_text("<I"),
        "C": lambda m: m.push_bytes("<B"),
        "B": lambda m: m.push_bytes("<I"),
        "\x8e": lambda m: m.push_bytes("<Q"),
        "\x96": lambda m: m.push_bytes("<Q"),
        ")": _literal(()),
        "\x85": lambda m: m.push_tuple(1),
        "\x86": lambda m: m.push_tuple(2),
        "\x87": lambda m: m.push_tuple(3),
        "t": lambda m: m.stack.append(tuple(m.pop_mark())),
        "]": lambda m: m.stack.append([]),
        "a": lambda m: m.append([m.pop()]),
        "e": lambda m: m.append(m.pop_mark()),
        "}": lambda m: m.stack.append({}),
        "s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
        "u": lambda m: m.set_items(m.pop_mark()),
        "\x8f": lambda m: m.stack.append(set()),
        "\x90": lambda m: m.add_items(m.pop_mark()),
        "\x91": Unpickler.push_frozenset,
        "q": lambda m: m.remember(m.number("<B")),
        "r": lambda m: m.remember(m.number("<I")),
        "\x94": lambda m: m.remember(len(m.memo)),
        "h": lambda m: m.recall(m.number("<B")),
        "j": lambda m: m.recall(m.number("<I")),
        "c": lambda m: m.push_global(m.line(), m.line()),
        "\x93": Unpickler.stack_global,
        "R": Unpickler.reduce,
        "\x81": Unpickler.reduce,
        "\x92": Unpickler.new_with_keywords,
        "b": Unpickler.build,
        "Q": Unpickler.push_persistent,
    }.items()
}


# Constructors of plain containers ------------------------------------------------------------------------------------


def build_dict(budget: Budget, arguments: tuple) -> dict:
    """`collections.OrderedDict` and other dict classes: empty, or from a list of pairs as protocol 2 writes them."""
    if len(arguments) > 1 or any(type(argument) not in (list, dict) for argument in arguments):
        raise Refusal("its pickle builds a dict from something other than pairs")
    result: dict = {}
    for pairs in arguments:
        budget.take("entries", len(pairs))
        for pair in pairs.items() if type(pairs) is dict else pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise Refusal("its pickle builds a dict from something other than pairs")
            check_key(budget, pair[0])
            result[pair[0]] = pair[1]
    return result


def build_attributes(budget: Budget, arguments: tuple) -> Attributes:
    """`argparse.Namespace`: its attributes follow in a BUILD."""
    if arguments:
        raise Refusal("its pickle builds a namespace from arguments")
    return Attributes()


def build_set(budget: Budget, arguments: tuple) -> set:
    """`builtins.set` of a list, as protocols 2 and 3 write it."""
    if len(arguments) > 1 or any(type(argument) is not list for argument in arguments):
        raise Refusal("its pickle builds a set from something other than a list")
    for items in arguments:
        budget.take("entries", len(items))
        for item in items:
            check_key(budget, item)
    return set(*arguments)


def build_bytes(budget: Budget, arguments: tuple) -> bytes:
    """`_codecs.encode(text, "latin1")`, as protocol 2 writes bytes."""
    if [type(argument) for argument in arguments] != [str, str] or arguments[1] not in ("latin1", "latin-1"):
        raise Refusal("its pickle encodes text in an unknown way")
    budget.take("entries", len(arguments[0]))
    if arguments[0] and max(arguments[0]) > "\xff":
        raise Refusal("its pickle holds bytes above 255")
    return arguments[0].encode("latin-1")


def table(build: Callable[[Budget, tuple], object], *names: str) -> dict[tuple[str, str], Constructor]:
    """Entries for `Unpickler.known`: each dotted name, split at its last dot, stands for `build`."""
    pairs = (tuple(name.rsplit(".", 1)) for name in names)
    return {pair: Constructor(".".join(pair), build) for pair in pairs}


CONTAINERS: dict[tuple[str, str], object] = {
    **table(build_dict, "collections.OrderedDict", "dnnlib.util.EasyDict", "dnnlib.EasyDict", "easydict.EasyDict"),
    **table(build_attributes, "argparse.Namespace"),
    **table(build_set, "builtins.set", "__builtin__.set"),
    **table(build_bytes, "_codecs.encode"),
}
