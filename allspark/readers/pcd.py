"""PCD, the Point Cloud Library's format: ascii, binary and binary_compressed.

Format: the Point Cloud Library's "The PCD (Point Cloud Data) file format", version 0.7.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from . import UnreadableFileError

KINDS = {"F": "f", "I": "i", "U": "u"}
HEADER = 4096  # bytes: far more than any header of named fields takes


def read_pcd(path: Path, name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The points of a PCD file; those of a missing return (NaN, as organised clouds mark them) are left out.

    Args:
        path: a real file.
        name: what errors call the file.

    Returns:
        xyz (P, 3) float64 and features name -> (P,); packed ``rgb`` becomes red, green and blue from 0 to 255.

    Raises:
        UnreadableFileError: truncated, or no PCD.
        ValueError: no x, y or z.
    """
    content = path.read_bytes()
    try:
        head, start = _header(content)
        columns = _columns(head, content, start)
    except (ValueError, KeyError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"{name} is truncated or not a PCD file ({error}); wanted PCD 0.7; fetch or write it again"
        ) from error
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise ValueError(f"{name} has no field {', '.join(missing)}; it holds {', '.join(columns)}; wanted x, y and z")
    with np.errstate(invalid="ignore"):  # some kinds of NaN warn when they are converted
        xyz = np.stack([columns.pop(axis).astype(np.float64) for axis in "xyz"], axis=1)
    real = np.isfinite(xyz).all(1)
    for packed in ("rgb", "rgba"):
        if packed in columns and columns[packed].dtype.itemsize == 4:
            bits = np.ascontiguousarray(columns.pop(packed)).view(np.uint32)
            shifts = {"red": 16, "green": 8, "blue": 0}
            columns |= {colour: (bits >> shift & 255).astype(np.uint8) for colour, shift in shifts.items()}
    if real.all():
        return xyz, columns
    return xyz[real], {key: value[real] for key, value in columns.items()}


def _header(content: bytes) -> tuple[dict[str, list[str]], int]:
    head: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in head:
        stop = content.find(b"\n", start)
        if stop < 0 or start > HEADER:
            raise ValueError("the header has no DATA line")
        words = content[start:stop].decode("ascii").split("#")[0].split()
        if words:
            head[words[0].upper()] = words[1:]
        start = stop + 1
    head.setdefault("COUNT", ["1"] * len(head["FIELDS"]))
    return head, start


def _columns(head: dict[str, list[str]], content: bytes, start: int) -> dict[str, np.ndarray]:
    total = int(head["POINTS"][0]) if "POINTS" in head else int(head["WIDTH"][0]) * int(head["HEIGHT"][0])
    shape = zip(head["FIELDS"], head["TYPE"], head["SIZE"], head["COUNT"], strict=True)
    fields = [(name, np.dtype(f"<{KINDS[kind.upper()]}{int(size)}"), int(count)) for name, kind, size, count in shape]
    coding = head["DATA"][0].lower()
    if total == 0:
        blocks = [np.empty((0, count), dtype) for _, dtype, count in fields]
    elif coding == "ascii":
        blocks = _ascii(content[start:], fields, total)
    elif coding == "binary":
        record = np.dtype([(f"f{i}", dtype, (count,)) for i, (_, dtype, count) in enumerate(fields)])
        rows = np.frombuffer(content, record, total, start)
        blocks = [rows[f"f{i}"] for i in range(len(fields))]
    elif coding == "binary_compressed":
        packed, unpacked = struct.unpack_from("<II", content, start)
        if len(content) < start + 8 + packed:
            raise ValueError(f"{len(content) - start - 8} of {packed} compressed bytes are there")
        data = lzf_decompress(content[start + 8 : start + 8 + packed], unpacked)
        blocks, place = [], 0
        for _, dtype, count in fields:  # one field after the other, not one point after the other
            blocks.append(np.frombuffer(data, dtype, total * count, place).reshape(total, count))
            place += dtype.itemsize * total * count
    else:
        raise ValueError(f"its data are {coding!r}, not ascii, binary or binary_compressed")
    columns: dict[str, np.ndarray] = {}
    for (name, _, count), block in zip(fields, blocks):
        if name != "_":  # padding
            columns |= {name if count == 1 else f"{name}_{i}": block[:, i] for i in range(count)}
    return columns


def _ascii(body: bytes, fields: list[tuple[str, np.dtype, int]], total: int) -> list[np.ndarray]:
    width = sum(count for _, _, count in fields)
    words = body.split()
    if len(words) < total * width:
        raise ValueError(f"{len(words) // width} of {total} points are there")
    table = np.array(words[: total * width]).reshape(total, width)
    blocks, place = [], 0
    for _, dtype, count in fields:
        blocks.append(table[:, place : place + count].astype(dtype))
        place += count
    return blocks


def lzf_decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that LZF compressed: runs of literals, and copies of what stood up to 8 KiB before.

    Format: M. Lehmann's liblzf, as PCL uses it. A control byte below 32 starts a run of literals one longer; any other
    holds the length of a copy in its upper three bits (7: one more byte adds to it) and the distance in the rest.

    Raises:
        ValueError: data that do not unpack to ``size`` bytes.
    """
    out = bytearray()
    i, end = 0, len(data)
    while i < end:
        control = data[i]
        i += 1
        if control < 32:
            out += data[i : i + control + 1]
            i += control + 1
            continue
        if i + (control >= 224) >= end:
            raise ValueError("the compressed data are cut off")
        length = control >> 5
        if length == 7:
            length += data[i]
            i += 1
        start = len(out) - ((control & 31) << 8) - data[i] - 1
        i += 1
        if start < 0:
            raise ValueError("the compressed data are damaged")
        length += 2
        if start + length <= len(out):
            out += out[start : start + length]
        else:  # the copy overlaps what it writes: the last bytes repeat
            period = bytes(out[start:])
            out += (period * (length // len(period) + 1))[:length]
    if len(out) != size:
        raise ValueError(f"the compressed data hold {len(out)} bytes where {size} were promised")
    return bytes(out)
