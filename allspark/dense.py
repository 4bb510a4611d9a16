"""Segmentation: windows of a scene, its tokens' vectors against labels in words or against labelled places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from . import modality as modalities
from . import trained
from .inputs import Bad, as_item, as_items, warn_bad
from .items import Item, Raster
from .running import to_device
from .segmentation import NO_DATA, Canvas, Segmentation, to_pixels, to_points, windows
from .vectors import token_vectors

if TYPE_CHECKING:
    from .api import AllSpark

BLOCK = 1 << 16  # points that are scored together
PLACES_PER_CLASS = 500  # labelled pixels or points that a class learns from; more cost time and add little

Score = Callable[[Tensor], Tensor]  # token vectors (N, D) -> (N, K) probabilities


def segment(
    spark: AllSpark,
    inputs: Any,
    labels: Sequence[str] | None = None,
    *,
    examples: Mapping[str, Any] | None = None,
    modality: str | None = None,
) -> list[Segmentation]:
    """A class for every pixel of a raster or point of a cloud.

    With ``labels`` each token, on its own through bridge and language model, is compared with the labels' text
    vectors. With ``examples`` a closed-form classifier learns from the encoder's tokens at labelled places. Of clouds
    both also look at what surrounds every single point (about a minute for a million points on two cores). With
    neither, a trained head answers.

    Args:
        spark: the model.
        inputs: one item or a list, each of one modality.
        labels: class names in words.
        examples: label -> ``(item, where)`` or a list of them; ``where`` is a bool mask, (H, W) or (P,), of the places
            in that item that have the label.
        modality: recognised where it is not given.

    Raises:
        ValueError: both of labels and examples, neither where no head was trained, a mask of another shape, or an item
            without dense answers.
    """
    if labels is not None and examples is not None:
        raise ValueError("give either labels= (zero-shot) or examples= (label -> (item, mask))")
    if labels is None and examples is None:
        return trained.segment(spark, inputs, modality)
    if labels is not None:
        from .api import check_labels

        names, at = check_labels(labels), "language"
        text = spark.text(names).float()
        temperature = spark.temperature((modality,) if modality else ())
        score: Score = lambda vectors: (vectors @ text.T / temperature).softmax(-1)  # noqa: E731
    else:
        names, at = list(examples or {}), "encoder"
        score = _learn(spark, examples or {}, modality)
    entries = as_items(inputs, modality)
    warn_bad(entries)
    good = [entry for entry in entries if not isinstance(entry, Bad)]
    with torch.inference_mode():
        return [_segment_one(spark, entry, names, score, at) for entry in good]


def _segment_one(
    spark: AllSpark, entry: Mapping[str, Item], names: Sequence[str], score: Score, at: str
) -> Segmentation:
    name, item = _single(entry)
    scores = _scores(spark, name, item, at, score)  # (K, H, W) or (K, P)
    classes = scores.argmax(0).to(torch.int16).numpy()
    if isinstance(item, Raster):
        classes = np.where(item.mask, classes, np.int16(NO_DATA))
    return Segmentation(classes, tuple(names), scores.numpy(), item)


def _single(entry: Mapping[str, Item]) -> tuple[str, Item]:
    if len(entry) != 1:
        raise ValueError(f"{len(entry)} modalities came at once; segment takes one at a time")
    return next(iter(entry.items()))


def _scores(spark: AllSpark, name: str, item: Item, at: str, score: Score) -> Tensor:
    """Scores at every pixel, (K, H, W), or point, (K, P)."""
    if not isinstance(item, Raster):
        tokens = _tokens(spark, name, item, at)[0]
        of = point_vectors(spark, name, item, tokens, at)
        if of is not None:  # in blocks: vectors of all points would be a hundred times as large as their scores
            blocks = np.array_split(np.arange(len(item.xyz)), -(-len(item.xyz) // BLOCK))  # type: ignore[union-attr]
            return torch.cat([score(of(block)).cpu().float() for block in blocks]).T
        return to_points(score(tokens), modalities.get(name), item, spark.processor.inputs[name]).cpu().float()
    canvas = Canvas(*item.values.shape[-2:])
    for row, column, window in windows(item, int(spark.processor.inputs[name]["size"])):
        features, grid = _tokens(spark, name, window, at)
        canvas.add(row, column, to_pixels(score(features), grid, window.values.shape[-2:]).cpu().float())
    return canvas.mean()


def _at_places(spark: AllSpark, name: str, item: Item, places: Tensor) -> Tensor:
    """The encoder's vectors at some pixels or points, whose flat numbers are given: (M,) -> (M, D).

    Only these are kept: a whole scene's vectors would be hundreds of numbers for every pixel.
    """
    if not isinstance(item, Raster):
        values = _tokens(spark, name, item, "encoder")[0]
        of = point_vectors(spark, name, item, values, "encoder")
        if of is not None:
            return of(places.numpy()).cpu().float()
        return to_points(values, modalities.get(name), item, spark.processor.inputs[name]).T[places].cpu().float()
    rows, columns = places // item.values.shape[-1], places % item.values.shape[-1]
    found: Tensor | None = None
    for row, column, window in windows(item, int(spark.processor.inputs[name]["size"])):
        height, width = window.values.shape[-2:]
        here = (rows >= row) & (rows < row + height) & (columns >= column) & (columns < column + width)
        if here.any():
            features, grid = _tokens(spark, name, window, "encoder")
            pixels = to_pixels(features, grid, (height, width)).cpu().float()  # (D, h, w)
            found = pixels.new_zeros(len(places), len(pixels)) if found is None else found
            found[here] = pixels[:, rows[here] - row, columns[here] - column].T
    if found is None:
        raise ValueError("no labelled place lies in a window with data; mark others")
    return found


def point_vectors(
    spark: AllSpark, name: str, item: Item, values: Tensor, at: str
) -> Callable[[np.ndarray], Tensor] | None:
    """Numbers (M,) of an item's points -> their vectors (M, X); None where tokens spread to them say all that is known.

    Args:
        spark: the model.
        name: modality of the item.
        item: whose points are meant.
        values: (N, D) of the item's tokens.
        at: their level: "encoder" or "language".
    """
    record = modalities.get(name)
    if record.places is None:
        return None
    settings = spark.processor.inputs[name]
    return record.places(spark.model.encoders[name], item, values, at == "language", **settings)


def _tokens(spark: AllSpark, name: str, item: Item, at: str) -> tuple[Tensor, tuple[int, int]]:
    batch = to_device(spark.processor([{name: item}]), spark.model.device)
    if name not in batch["inputs"]:
        raise ValueError(f"{name} has no dense answers; segment reads rasters and point clouds")
    tokens = spark.model.encode(name, batch["inputs"][name])
    features = token_vectors(spark.model, spark.processor, name, tokens.features, at)[0].float()
    if tokens.grid is None and isinstance(item, Raster):
        raise ValueError(f"{name} gave no grid of tokens for this raster; segment needs one")
    return features, tokens.grid or (0, 0)


def _learn(spark: AllSpark, examples: Mapping[str, Any], modality: str | None) -> Score:
    """A classifier of token vectors, from labelled places; an item that several labels share is encoded once."""
    from .fewshot import FewShot

    generator = np.random.default_rng(0)
    of_item: dict[int, tuple[str, Item, list[tuple[str, np.ndarray]]]] = {}
    for label, item, where, name in _labelled(examples, modality):
        places = np.flatnonzero(where.ravel())
        if len(places) > PLACES_PER_CLASS:
            places = np.sort(generator.choice(places, PLACES_PER_CLASS, replace=False))
        of_item.setdefault(id(item), (name, item, []))[2].append((label, places))
    vectors, owners = [], []
    with torch.inference_mode():
        for name, item, labelled in of_item.values():
            chosen = torch.from_numpy(np.concatenate([places for _, places in labelled]))
            vectors.append(_at_places(spark, name, item, chosen))
            owners += [label for label, places in labelled for _ in places]
    few = FewShot.fit(torch.cat(vectors), owners, method="ridge", at="encoder")
    order = [few.labels.index(label) for label in examples]
    return lambda features: few.predict(features.cpu())[:, order]


def _labelled(examples: Mapping[str, Any], modality: str | None) -> Iterator[tuple[str, Item, np.ndarray, str]]:
    """(label, item, mask, modality) of every labelled item, checked."""
    for label, given in examples.items():
        for pair in given if isinstance(given, list) else [given]:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ValueError(f"the example of {label!r} is a {type(pair).__name__}; wanted (item, mask)")
            name, item = _single(as_item(pair[0], modality))
            where = np.asarray(pair[1], dtype=bool)
            shape = item.values.shape[-2:] if isinstance(item, Raster) else (len(item.xyz),)  # type: ignore[union-attr]
            if where.shape != shape:
                raise ValueError(f"the mask of {label!r} has shape {where.shape}; wanted the item's {shape}")
            if isinstance(item, Raster):
                where = where & item.mask
            if not where.any():
                raise ValueError(f"the mask of {label!r} marks no place with data; wanted at least one")
            yield label, item, where, name
