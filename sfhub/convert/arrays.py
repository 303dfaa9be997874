"""Tensors and arrays out of a pickle, built from checked numbers only.

PyTorch writes a tensor as a storage, an offset, a shape and strides, and trusts them when it reads them back; NumPy
hands the file's state to `ndarray.__setstate__`. Here a shape has to fit the bytes that are really there before
anything is made: no view reaches outside its storage, none shows more elements than its storage has, no array holds
Python objects. Only tensors of plain numbers are known: no quantised, sparse, nested, meta or subclassed ones.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import torch

from .unpickler import Budget, Constructor, Pending, Refusal, shown, table

MAX_DIMENSIONS = 16
MAX_SIZE = 2**31
DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


@dataclass(frozen=True, eq=False)
class StorageType:
    """Stands for `torch.FloatStorage` and its like."""

    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Storage:
    """The numbers that tensors are views of: one-dimensional, contiguous, owned."""

    elements: torch.Tensor


def empty_storage(budget: Budget, kind: object, count: object, available: int) -> Storage:
    """A storage of `count` elements, which must not need more than the `available` bytes of its file."""
    if type(kind) is not StorageType:
        raise Refusal("its tensors are of an unknown type")
    size = count * kind.dtype.itemsize if type(count) is int else -1
    if not 0 <= size <= available:
        raise Refusal("a tensor claims more data than the file holds")
    budget.take("tensor_bytes", size)
    return Storage(torch.zeros(count, dtype=kind.dtype))


def fill_storage(storage: Storage, data: memoryview) -> None:
    """Copy little-endian bytes, exactly as many as the storage has, into it."""
    target = storage.elements
    if len(data) != target.numel() * target.element_size():
        raise Refusal("a tensor's data is not as long as it claims")
    if len(data) == 0:
        return
    if target.dtype == torch.bool:  # any other byte than 0 and 1 would be a bool that is neither
        target.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0)
    else:
        target.copy_(torch.frombuffer(bytearray(data), dtype=target.dtype))


def checked_shape(shape: object) -> tuple[int, ...]:
    """A tuple or list of sizes as a tuple, refused unless they are few, whole, not negative and not absurd."""
    if type(shape) not in (tuple, list) or len(shape) > MAX_DIMENSIONS:
        raise Refusal("a tensor's shape is not a short tuple")
    if not all(type(size) is int and 0 <= size < MAX_SIZE for size in shape):
        raise Refusal("a tensor's shape holds something other than sizes")
    return tuple(shape)


def build_tensor(budget: Budget, arguments: tuple) -> torch.Tensor:
    """`torch._utils._rebuild_tensor[_v2](storage, offset, size, stride, ...)`: a view inside the storage."""
    if len(arguments) < 4 or len(arguments) > 7 or type(arguments[0]) is not Storage:
        raise Refusal("a tensor is built from something other than a storage and a shape")
    if len(arguments) == 7 and arguments[6]:
        raise Refusal("a tensor is stored as a conjugate or negative view")
    elements = arguments[0].elements
    (offset,), shape, strides = checked_shape(arguments[1:2]), checked_shape(arguments[2]), checked_shape(arguments[3])
    if len(shape) != len(strides):
        raise Refusal("a tensor's shape and strides differ in length")
    count = math.prod(shape)
    if count == 0:
        return torch.zeros(shape, dtype=elements.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= elements.numel() or count > elements.numel():
        raise Refusal(f"a tensor of {count} elements reaches outside its storage of {elements.numel()}")
    return elements.as_strided(shape, strides, offset)


def build_parameter(budget: Budget, arguments: tuple) -> torch.Tensor:
    """`torch._utils._rebuild_parameter(data, ...)`: the tensor itself; gradients and hooks are not kept."""
    if len(arguments) not in (3, 4) or type(arguments[0]) is not torch.Tensor:
        raise Refusal("a parameter is built from something other than a tensor")
    return arguments[0]


def build_typed_tensor(budget: Budget, arguments: tuple) -> torch.Tensor:
    """`torch._tensor._rebuild_from_type_v2(function, type, args, state)`: the plain tensor, without its attributes."""
    if len(arguments) != 4 or arguments[0] not in TENSOR_FUNCTIONS.values() or type(arguments[2]) is not tuple:
        raise Refusal("a tensor is built in an unknown way")
    return arguments[0].build(budget, arguments[2])


def build_shape(budget: Budget, arguments: tuple) -> tuple[int, ...]:
    """`torch.Size`."""
    if len(arguments) != 1:
        raise Refusal("a shape is built from something other than sizes")
    return checked_shape(arguments[0])


def build_device(budget: Budget, arguments: tuple) -> str:
    """`torch.device`: only its name is kept."""
    if not 1 <= len(arguments) <= 2 or type(arguments[0]) is not str:
        raise Refusal("a device is built from something other than its name")
    return arguments[0]


def refuse_type(budget: Budget, arguments: tuple) -> None:
    """For types that may be named but not built."""
    raise Refusal("a bare tensor or array type is called")


# NumPy ---------------------------------------------------------------------------------------------------------------


class PendingDtype(Pending):
    """`numpy.dtype(name)`; the BUILD that follows tells the byte order."""

    def __init__(self, name: str) -> None:
        self.name = name

    def finish(self, budget: Budget, state: object) -> np.dtype:
        order = state[1] if type(state) is tuple and len(state) in (8, 9) else None
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise Refusal("an array is of an unknown type")
        return np.dtype(self.name).newbyteorder(order)


class PendingArray(Pending):
    """`numpy._reconstruct(ndarray, ...)`; the BUILD that follows brings shape, type and bytes."""

    def finish(self, budget: Budget, state: object) -> np.ndarray:
        if type(state) is not tuple or len(state) != 5:
            raise Refusal("an array is damaged")
        _, shape, dtype, fortran, data = state
        return _array(budget, data, dtype, shape, "F" if fortran is True else "C")


def _array(budget: Budget, data: object, dtype: object, shape: object, order: str) -> np.ndarray:
    shape = checked_shape(shape)
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or math.prod(shape) * dtype.itemsize != len(data):
        raise Refusal("an array's data does not fit its type and shape")
    budget.take("tensor_bytes", len(data))
    if not data:
        return np.zeros(shape, dtype)
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order=order)


def build_dtype(budget: Budget, arguments: tuple) -> PendingDtype:
    """`numpy.dtype`: plain numbers only, in particular no Python objects."""
    if not arguments or type(arguments[0]) is not str or not re.fullmatch("[biufc](1|2|4|8|16)", arguments[0]):
        raise Refusal(
            f"an array is of type {shown(str(arguments[0])) if arguments and type(arguments[0]) is str else '?'}"
        )
    return PendingDtype(arguments[0])


def build_scalar(budget: Budget, arguments: tuple) -> int | float | bool | complex:
    """`numpy.core.multiarray.scalar(dtype, bytes)`: a plain Python number."""
    if len(arguments) != 2:
        raise Refusal("a number is damaged")
    return _array(budget, arguments[1], arguments[0], (), "C").item()


def build_array(budget: Budget, arguments: tuple) -> PendingArray:
    """`numpy.core.multiarray._reconstruct`: empty until its BUILD."""
    return PendingArray()


def build_array_from_buffer(budget: Budget, arguments: tuple) -> np.ndarray:
    """`numpy.core.numeric._frombuffer(bytes, dtype, shape, order)`, as protocol 5 writes arrays."""
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise Refusal("an array is damaged")
    data, dtype, shape, order = arguments
    return _array(budget, data, dtype, shape, order)


TENSOR_FUNCTIONS: dict[tuple[str, str], Constructor] = {
    **table(build_tensor, "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"),
    **table(build_parameter, "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"),
}
STORAGE_TYPES: dict[tuple[str, str], StorageType] = {
    (module, f"{name}Storage"): StorageType(dtype)
    for name, dtype in DTYPES.items()
    for module in ("torch", "torch.cuda")
}
ARRAYS: dict[tuple[str, str], object] = {
    **TENSOR_FUNCTIONS,
    **STORAGE_TYPES,
    **{("torch", str(dtype).removeprefix("torch.")): dtype for dtype in DTYPES.values()},
    **table(build_typed_tensor, "torch._tensor._rebuild_from_type_v2"),
    **table(build_shape, "torch.Size"),
    **table(build_device, "torch.device"),
    **table(refuse_type, "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "numpy.ndarray"),
    **table(build_dtype, "numpy.dtype"),
    **table(build_scalar, "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    **table(build_array, "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    **table(build_array_from_buffer, "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
}
