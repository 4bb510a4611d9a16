"""The contract of a modality as one function, and made data to hold it against: for these tests and other people's.

>>> from allspark.testing import check_modality  # doctest: +SKIP
>>> check_modality("radiosonde", items=[...])    # doctest: +SKIP
"""

from __future__ import annotations

import inspect
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .encoders.base import Encoder, Tokens
from .items import Code, Graph, Item, PointCloud, Raster, Table, Text, Trajectory
from .modality import Modality, get, names

Maker = Callable[[int, np.random.Generator], Item]


def _texture(kind: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size) from 0 to 1: stripes, blobs or a checkerboard, of any phase, direction and contrast."""
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    period, phase = rng.uniform(7, 11), rng.uniform(0, 2 * np.pi, 2)
    angle = rng.uniform(0, np.pi)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    if kind == 0:
        pattern = np.sin(2 * np.pi * along / period + phase[0])
    elif kind == 1:
        pattern = np.full((size, size), -1.0)
        for row, column, radius in zip(*rng.uniform([[0]] * 2 + [[3]], [[size]] * 2 + [[6]], (3, 10))):
            pattern[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = 1.0
    else:
        pattern = np.sign(
            np.sin(2 * np.pi * along / period + phase[0]) * np.sin(2 * np.pi * across / period + phase[1])
        )
    return 0.5 + pattern * rng.uniform(0.25, 0.45)


def _rgb(kind: int, rng: np.random.Generator) -> Raster:
    size = int(rng.integers(56, 80))
    tint = rng.uniform(0.5, 1.0, (3, 1, 1))
    values = _texture(kind, size, rng)[None] * tint * 255 + rng.normal(0, 8, (3, size, size))
    return Raster(np.clip(values, 0, 255).astype(np.uint8), units="uint8", bands=("red", "green", "blue"))


def _sar(kind: int, rng: np.random.Generator) -> Raster:
    size = int(rng.integers(56, 80))
    power = np.full((size, size), 10 ** rng.uniform(-1.6, -1.2))
    if kind == 1:  # man-made corners: few, bright
        row, column = rng.integers(0, size, (2, 25))
        power[row, column] += 10 ** rng.uniform(0.3, 1.0, 25)
    if kind == 2:  # fields of two kinds
        power *= 10 ** (_texture(0, size, rng) * 1.2)
    speckle = rng.gamma(3.0, 1 / 3.0, (2, size, size))  # three looks
    values = 10 * np.log10(power * speckle * np.array([1.0, 0.2])[:, None, None])
    return Raster(values.astype(np.float32), units="db", bands=("VV", "VH"), gsd=10.0)


def _multispectral(kind: int, rng: np.random.Generator) -> Raster:
    size = int(rng.integers(24, 40))
    leaf, soil, water = (
        np.array(spectrum)
        for spectrum in ([0.03, 0.07, 0.04, 0.42, 0.20], [0.10, 0.14, 0.19, 0.26, 0.33], [0.07, 0.06, 0.04, 0.02, 0.01])
    )
    spectrum = np.stack([leaf, soil, water])[kind] * 0.8 + np.stack([leaf, soil, water]).mean(0) * 0.2
    values = spectrum[:, None, None] * rng.uniform(0.6, 1.4) * rng.normal(1, 0.15, (1, size, size))
    values = np.clip(values + rng.normal(0, 0.015, (5, size, size)), 0, 1)
    return Raster(
        values.astype(np.float32),
        units="reflectance",
        bands=("B02", "B03", "B04", "B08", "B11"),
        wavelengths=np.array([0.49, 0.56, 0.665, 0.842, 1.61]),
        gsd=10.0,
    )


def _hyperspectral(kind: int, rng: np.random.Generator) -> Raster:
    size = int(rng.integers(8, 17))
    waves = np.linspace(0.42, 2.45, 80)
    slope = 0.25 + 0.1 * rng.uniform(-1, 1) * (waves - 1.4)
    centre = (0.9, 2.2, 1.7)[kind]  # iron oxide, clay, hydrocarbon
    values = slope - rng.uniform(0.08, 0.12) * np.exp(-(((waves - centre) / 0.06) ** 2))
    values = values[:, None, None] * rng.uniform(0.7, 1.3) + rng.normal(0, 0.008, (80, size, size))
    return Raster(np.clip(values, 0, 1).astype(np.float32), units="reflectance", wavelengths=waves, gsd=20.0)


def _point_cloud(kind: int, rng: np.random.Generator) -> PointCloud:
    count = int(rng.integers(80, 1500))
    ball = rng.normal(size=(count, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    if kind == 0:  # the faces of a box
        xyz = ball / np.abs(ball).max(1, keepdims=True)
    elif kind == 1:
        xyz = ball
    else:  # a cone that stands on its base
        radius = np.sqrt(rng.uniform(0, 1, (count, 1)))
        xyz = np.c_[ball[:, :2] / np.linalg.norm(ball[:, :2], axis=1, keepdims=True) * radius, 1 - radius]
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    xyz = (xyz * rng.uniform(3, 8) + rng.normal(0, 0.05, xyz.shape)) @ rotation + rng.uniform(-1e5, 1e5, 3)
    return PointCloud(xyz, {"intensity": rng.gamma(2.0, 100.0, count)})


def _trajectory(kind: int, rng: np.random.Generator) -> Trajectory:
    count = int(rng.integers(12, 120))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, (1.2, 0.05, 0.05)[kind], count))
    heading += np.arange(count) * (0.0, 0.0, 0.3)[kind]  # wanderers, straight movers, circles
    metres = rng.uniform(4, 12) * rng.uniform(0.8, 1.2, count)
    start = np.array([rng.uniform(-170, 170), rng.uniform(-60, 60)])
    steps = np.stack([np.cos(heading), np.sin(heading)], 1) * metres[:, None] / 111_000
    steps[:, 0] /= np.cos(np.deg2rad(start[1]))
    return Trajectory(start + np.cumsum(steps, 0), np.cumsum(rng.uniform(4, 6, count)))


def _graph(kind: int, rng: np.random.Generator) -> Graph:
    count = int(rng.integers(12, 60))
    nodes = np.arange(count)
    if kind == 0:  # a ring with a few chords
        pairs = np.concatenate([np.stack([nodes, (nodes + 1) % count]), rng.integers(0, count, (2, 3))], 1)
    elif kind == 1:  # every new node joins two earlier ones, the well-joined first: scale-free
        ends = [0, 1]
        links = [(0, 1)]
        for node in range(2, count):
            for other in {ends[i] for i in rng.integers(0, len(ends), 2)}:
                links.append((node, other))
                ends += [node, other]
        pairs = np.array(links).T
    else:  # triangles in a row
        pairs = np.concatenate([np.stack([nodes[:-1], nodes[1:]]), np.stack([nodes[:-2], nodes[2:]])], 1)
    order = rng.permutation(count)  # node numbers must tell nothing
    pairs = order[pairs]
    return Graph(np.concatenate([pairs, pairs[::-1]], 1), count=count)


_WORDS = (
    ("The river flows", "A lake lies", "Waves reach the shore", "The harbour floods", "Rain fills the reservoir"),
    ("A motorway runs", "The road crosses", "Traffic waits", "Two lanes lead", "The junction joins streets"),
    ("Pines grow", "The forest spreads", "Old oaks stand", "Loggers fell trees", "A dense wood rises"),
)
_PLACES = ("north of the town", "beside the field", "near the border", "behind the hill", "in the valley", "nearby")


def _language(kind: int, rng: np.random.Generator) -> Text:
    count = int(rng.integers(1, 4))
    return Text(" ".join(f"{rng.choice(_WORDS[kind])} {rng.choice(_PLACES)}." for _ in range(count)))


def _code(kind: int, rng: np.random.Generator) -> Code:
    name, other = rng.choice(["area", "height", "band", "count", "tile", "depth"], 2, replace=False)
    number = int(rng.integers(2, 90))
    return Code(
        (
            f"def {name}({other}):\n    if {other} > {number}:\n        return {other} * {number}\n    return None\n",
            f"int {name}(int {other}) {{\n  if ({other} > {number}) return {other} * {number};\n  return 0;\n}}\n",
            f"SELECT {name}, {other}\nFROM tiles\nWHERE {other} > {number}\nORDER BY {name};\n",
        )[kind]
    )


def _rows(labels: np.ndarray, rng: np.random.Generator) -> list[Item]:
    """Rows of one table: only the difference of rain and drainage tells the class; other cells say nothing."""
    import pandas as pd

    count = len(labels)
    shared = rng.normal(0, 1, count)
    shift = labels - labels.mean()
    frame = pd.DataFrame(
        {
            "rain_mm": 80 + 20 * (shared + shift + rng.normal(0, 0.15, count)),
            "drainage_mm": 60 + 20 * (shared - shift + rng.normal(0, 0.15, count)),
            "soil": rng.choice(["clay", "sand", "loam"], count),
            "surveyed": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, count), unit="D"),
            "paved": rng.integers(0, 2, count).astype(bool),
            "depth_m": np.where(rng.uniform(size=count) < 0.3, np.nan, rng.normal(3, 1, count)),
        }
    )
    rows: list[Item] = list(Table(frame).rows())
    return rows


_MAKERS: dict[str, Maker] = {
    "rgb": _rgb,
    "sar": _sar,
    "multispectral": _multispectral,
    "hyperspectral": _hyperspectral,
    "point_cloud": _point_cloud,
    "trajectory": _trajectory,
    "graph": _graph,
    "language": _language,
    "code": _code,
}


def made(name: str, count: int, classes: int = 2, seed: int = 0) -> tuple[list[Item], list[int]]:
    """Made items of a modality of this package, of classes that can be told apart but not by one mean.

    Args:
        name: the modality.
        count: how many items; the classes take turns.
        classes: 2 or 3.
        seed: the same seed gives the same items.

    Returns:
        The items and their classes, 0 to ``classes`` − 1.

    Raises:
        ValueError: an unknown modality, or a number of classes that is not made.
    """
    if name not in _MAKERS and name != "table":
        raise ValueError(f"no data are made for {name!r}; wanted one of {', '.join(sorted([*_MAKERS, 'table']))}")
    if classes not in (2, 3):
        raise ValueError(f"{classes} classes were asked for; wanted 2 or 3")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    labels = np.arange(count) % classes
    items = _rows(labels, rng) if name == "table" else [_MAKERS[name](int(label), rng) for label in labels]
    return items, labels.tolist()


def stand_in_words(batch: Mapping[str, Any], width: int) -> dict[str, Any]:
    """A collated batch with its lists of words as vectors (B, N, ``width``): seeded by the word, zero where padded.

    It takes the place of the language model's text vectors where there is no language model.
    """

    def vector(word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(width).astype(np.float32)

    result = dict(batch)
    for key, value in batch.items():
        if isinstance(value, Tensor):
            continue
        vectors = torch.zeros(len(value), max(len(words) for words in value), width)
        for row, words in enumerate(value):
            if words:
                vectors[row, : len(words)] = torch.from_numpy(np.stack([vector(word) for word in words]))
        result[key] = vectors
    return result


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(_equal(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


def _encode(modality: Modality, encoder: Encoder, samples: Sequence[Any]) -> Tokens:
    batch = modality.collate(samples)
    return encoder(**stand_in_words(batch, int(modality.config.get("language_width", 1))))


def _check_tokens(tokens: Tokens, encoder: Encoder, count: int, name: str) -> None:
    features, mask, grid = tokens
    assert features.ndim == 3, f"{name}: tokens have {features.ndim} axes; wanted (B, N, D)"
    assert features.shape[0] == count, f"{name}: {count} items became {features.shape[0]} rows of tokens"
    assert features.shape[2] == encoder.width, f"{name}: tokens of width {features.shape[2]}, encoder.width is not"
    assert torch.isfinite(features).all(), f"{name}: the encoder emits NaN or infinity"
    if mask is not None:
        assert mask.dtype == torch.bool, f"{name}: the mask is of type {mask.dtype}; wanted bool"
        assert mask.shape == features.shape[:2], f"{name}: the mask has shape {tuple(mask.shape)}"
        assert mask.any(1).all(), f"{name}: an item has no real token"
    if grid is not None:
        assert grid[0] * grid[1] == features.shape[1], f"{name}: a grid of {grid} for {features.shape[1]} tokens"


def check_modality(name: str, items: Sequence[Any] | None = None, tolerance: float = 1e-4) -> None:
    """Assert the whole contract of a registered modality.

    JSON defaults that ``prepare`` and the encoder take; an item recognised by its modality alone; ``prepare``
    deterministic and finite; tokens of the promised shape; a gradient for every parameter; an item's tokens the same
    alone and among others; an encoder that is wholly its ``state_dict`` (it is built on the meta device and filled).

    Args:
        name: of the modality.
        items: at least two items of different sizes; made ones for this package's own modalities.
        tolerance: how far an item's tokens may move with the batch.

    Raises:
        AssertionError: what does not hold.
    """
    modality = get(name)
    items = list(items) if items is not None else made(name, 4, seed=1)[0]
    assert len(items) >= 2, f"{name}: {len(items)} items came; wanted at least two"
    for what, defaults, taker in (
        ("input", modality.input, modality.prepare),
        ("config", modality.config, modality.encoder),
    ):
        assert json.loads(json.dumps(dict(defaults))) == dict(defaults), f"{name}: {what} does not survive JSON"
        if taker is not None:
            first = [None] if what == "input" else []
            inspect.signature(taker).bind(*first, **defaults)
    assert modality.prompt.strip(), f"{name}: there is no prompt"
    for item in items:
        assert isinstance(item, modality.item), f"{name}: an item is a {type(item).__name__}"
        assert modality.recognises(item), f"{name}: does not recognise its own item"
        for other in set(names()) - {name}:
            foreign = get(other)
            claimed = isinstance(item, foreign.item) and foreign.recognises(item)
            assert not claimed, f"{name}: its item is also claimed by {other}"

    samples = [modality.prepare(item, **modality.input) for item in items]
    for item, sample in zip(items, samples):
        assert _equal(sample, modality.prepare(item, **modality.input)), f"{name}: prepare is not deterministic"
    if modality.encoder is None:
        assert all(isinstance(s, str) and s.strip() for s in samples), f"{name}: no encoder, so words are wanted"
        return
    for sample in samples:
        assert isinstance(sample, dict), f"{name}: prepare returns {type(sample).__name__}; wanted a dict of tensors"
        for key, value in sample.items():
            finite = not isinstance(value, Tensor) or bool(torch.isfinite(value).all())
            assert finite, f"{name}: prepare's {key!r} holds NaN or infinity"

    torch.manual_seed(0)
    encoder = modality.encoder(**modality.config)
    tokens = _encode(modality, encoder.train(), samples)
    _check_tokens(tokens, encoder, len(items), name)
    (tokens.features * torch.randn_like(tokens.features)).sum().backward()
    for key, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name}: {key} gets no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{name}: the gradient of {key} is not finite"

    encoder.eval()
    with torch.no_grad():
        together = _encode(modality, encoder, samples)
        for row, sample in enumerate(samples):
            alone = _encode(modality, encoder, [sample])
            a = alone.features[0] if alone.mask is None else alone.features[0][alone.mask[0]]
            b = together.features[row] if together.mask is None else together.features[row][together.mask[row]]
            assert a.shape == b.shape, f"{name}: item {row} has {len(a)} tokens alone and {len(b)} in a batch"
            moved = float((a - b).abs().max())
            assert moved <= tolerance, f"{name}: item {row} moves by {moved:.1e} with its batch"
        with torch.device("meta"):
            empty = modality.encoder(**modality.config)
        empty.to_empty(device="cpu").load_state_dict(encoder.state_dict())
        again = _encode(modality, empty.eval(), samples)
        assert torch.equal(again.features, together.features), f"{name}: state_dict is not the whole encoder"
