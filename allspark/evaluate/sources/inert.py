"""Numbers out of a Python pickle without running it: nothing that the file names is looked up, imported or called.

Some public data (Planetoid's) come as pickles alone. The standard library takes such a stream apart into opcodes
without executing them; here the few that arrays, sparse matrices and lists need are followed by hand, and any other,
or a name that is not on the list, ends in an error.
"""

from __future__ import annotations

import pickletools
from typing import Any

import numpy as np

MARK = object()
NAMES = {  # what a stream may name, and what it stands for here: data, never code
    "numpy.core.multiarray _reconstruct": "array", "numpy ndarray": "type", "numpy dtype": "dtype",
    "scipy.sparse.csr csr_matrix": "csr", "collections defaultdict": "dict", "__builtin__ list": "type",
}  # fmt: skip
KINDS = {"i4", "i8", "f4", "f8", "b1"}


class _Object:
    """What a stream wants built: its kind, and the state that it is given."""

    def __init__(self, kind: str, arguments: tuple[Any, ...]) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: Any = None
        self.items: dict[Any, Any] = {}


def read_inert(content: bytes) -> Any:
    """Arrays, (data, indices, indptr, shape) of a CSR matrix, lists, dictionaries and numbers of a pickle.

    Raises:
        ValueError: the stream uses or names anything else.
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}

    def to_mark() -> list[Any]:
        place = len(stack) - 1 - next(i for i, x in enumerate(reversed(stack)) if x is MARK)
        found = stack[place + 1 :]
        del stack[place:]
        return found

    try:
        for opcode, argument, _ in pickletools.genops(content):
            name = opcode.name
            if name in ("PROTO", "FRAME"):
                continue
            if name == "STOP":
                return _plain(stack.pop())
            if name == "MARK":
                stack.append(MARK)
            elif name == "GLOBAL":
                if argument not in NAMES:
                    raise ValueError(f"it names {argument!r}")
                stack.append(NAMES[argument])
            elif name in ("BININT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE"):
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(name, argument))
            elif name in ("SHORT_BINSTRING", "BINSTRING"):
                stack.append(argument)
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "EMPTY_TUPLE":
                stack.append(())
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            elif name == "TUPLE":
                stack.append(tuple(to_mark()))
            elif name in ("EMPTY_LIST", "EMPTY_DICT"):
                stack.append([] if name == "EMPTY_LIST" else {})
            elif name in ("APPEND", "APPENDS"):
                values = [stack.pop()] if name == "APPEND" else to_mark()
                stack[-1].extend(values)
            elif name == "SETITEMS":
                flat = to_mark()
                target = stack[-1].items if isinstance(stack[-1], _Object) else stack[-1]
                target.update(zip(flat[::2], flat[1::2], strict=True))
            elif name in ("REDUCE", "NEWOBJ"):
                arguments, kind = stack.pop(), stack.pop()
                stack.append(_Object(kind, arguments))
            elif name == "BUILD":
                state = stack.pop()
                stack[-1].state = state
            else:
                raise ValueError(f"it uses {name}")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"the file is not a pickle of plain arrays and lists ({error}); it was not run") from error
    raise ValueError("the file ends before it is whole; fetch it again")


def _plain(value: Any) -> Any:
    if not isinstance(value, _Object):
        return value
    if value.kind == "dict":
        return value.items
    if value.kind == "array":
        _, shape, dtype, fortran, raw = value.state
        return np.frombuffer(raw.encode("latin-1"), _dtype(dtype)).reshape(shape, order="F" if fortran else "C")
    if value.kind == "csr":
        state = value.state
        return tuple(_plain(state[key]) for key in ("data", "indices", "indptr")) + (state["_shape"],)
    raise ValueError(f"it holds a {value.kind} by itself")


def _dtype(value: _Object) -> np.dtype:
    kind, order = value.arguments[0], (value.state or (0, "<"))[1]
    if value.kind != "dtype" or kind not in KINDS:
        raise ValueError(f"it holds numbers of type {kind!r}")
    return np.dtype(("<" if order in ("<", "|") else ">") + kind)
