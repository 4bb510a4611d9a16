"""PLY, Stanford's polygon format: the vertices of an ascii or binary file, with all their properties.

Format: G. Turk, "The PLY Polygon File Format" (1994).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import UnreadableFileError

TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
TYPES |= {"float32": "f4", "float64": "f8", "double": "f8", "int64": "i8", "uint64": "u8"}
COLOURS = {"r": "red", "g": "green", "b": "blue"}
COLOURS |= {f"diffuse_{colour}": colour for colour in ("red", "green", "blue")}


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)  # name, type
    lists: list[str] = field(default_factory=list)


def read_ply(path: Path, name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The vertices of a PLY file.

    Args:
        path: a real file.
        name: what errors call the file.

    Returns:
        xyz (P, 3) float64 and features name -> (P,): CloudCompare's "scalar_" is taken off and colours are called red,
        green and blue, from 0 to 255 as their type has it.

    Raises:
        UnreadableFileError: truncated, or no PLY.
        ValueError: no vertices, no x, y or z, or lists among the vertex's properties.
    """
    content = path.read_bytes()
    try:
        order, elements, start = _header(content)
        vertex = next((i for i, element in enumerate(elements) if element.name == "vertex"), None)
        if vertex is None or any(element.lists for element in elements[: vertex + 1]):
            found = ", ".join(element.name for element in elements) or "nothing"
            raise _UnsupportedError(f"{name} holds {found}; wanted vertices without lists first; convert it")
        columns = _vertices(content, start, order, elements[:vertex], elements[vertex])
    except _UnsupportedError as error:
        raise ValueError(str(error)) from None
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{name} is truncated or not a PLY file ({error}); wanted ascii or binary PLY; fetch or write it again"
        ) from error
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise ValueError(f"{name} has no {', '.join(missing)}; it holds {', '.join(columns)}; wanted x, y and z")
    with np.errstate(invalid="ignore"):
        xyz = np.stack([columns.pop(axis).astype(np.float64) for axis in "xyz"], axis=1)
    return xyz, columns


class _UnsupportedError(Exception):
    """A well-formed file that is no point cloud."""


def _header(content: bytes) -> tuple[str, list[_Element], int]:
    end = content.find(b"end_header")
    if not content.startswith(b"ply") or end < 0:
        raise ValueError("its header does not run from 'ply' to 'end_header'")
    order = ""
    elements: list[_Element] = []
    for line in content[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            elements[-1].lists.append(words[4])
        elif words[:1] == ["property"]:
            elements[-1].properties.append((words[2], TYPES[words[1]]))
    return order, elements, content.index(b"\n", end) + 1


def _vertices(
    content: bytes, start: int, order: str, before: list[_Element], vertex: _Element
) -> dict[str, np.ndarray]:
    names = [_plain(name) for name, _ in vertex.properties]
    if order == "ascii":
        lines = content[start:].split(b"\n")
        skip = sum(element.count for element in before)
        rows = [line.split() for line in lines[skip : skip + vertex.count]]
        if len(rows) < vertex.count or (rows and len(rows[-1]) < len(names)):
            raise ValueError(f"{len(rows)} whole vertices of {vertex.count} are there")
        table = np.array(rows).reshape(vertex.count, len(names))
        types = [np.dtype(kind) for _, kind in vertex.properties]
        return {name: table[:, i].astype(types[i]) for i, name in enumerate(names)}
    if order not in ("<", ">"):
        raise ValueError("its header names no format")
    for element in before:
        start += element.count * np.dtype([(name, kind) for name, kind in element.properties]).itemsize
    record = np.dtype([(name, order + kind) for name, (_, kind) in zip(names, vertex.properties)])
    table = np.frombuffer(content, record, vertex.count, start)
    with np.errstate(invalid="ignore"):  # damaged numbers may be NaNs of a kind that warns when it is copied
        # native byte order, one contiguous array each
        return {name: table[name].astype(table.dtype[name].newbyteorder("=")) for name in names}


def _plain(name: str) -> str:
    name = name.removeprefix("scalar_").lower()
    return COLOURS.get(name, name)
