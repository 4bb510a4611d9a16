"""A modality is a record: which item it takes, how that becomes tensors, and what encodes them.

``register`` is called at the foot of each modality's own file. Modules of ``allspark.encoders`` and those named by the
entry points "allspark.modalities" of other packages are imported the first time a modality is looked up.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .encoders.base import Encoder

Sample = dict[str, Any]  # name -> Tensor without a batch axis, or a list of strings (words that the model embeds)


def stack(samples: Sequence[Sample]) -> dict[str, Any]:
    """The default collate: tensors of one shape are stacked, lists of strings are listed."""
    return {
        key: torch.stack([s[key] for s in samples]) if isinstance(value, Tensor) else [s[key] for s in samples]
        for key, value in samples[0].items()
    }


def pad(samples: Sequence[Sample], value: float = 0.0) -> dict[str, Any]:
    """Collate for ragged samples: every tensor is padded at the end of its first axis to the longest, and a bool
    ``mask`` (B, N) tells the real entries. Every tensor of a sample must have the same first axis.
    """
    length = max(len(next(iter(s.values()))) for s in samples)
    batch: dict[str, Any] = {}
    for key, first in samples[0].items():
        if isinstance(first, Tensor):
            padded = first.new_full((len(samples), length, *first.shape[1:]), 0 if first.dtype == torch.bool else value)
            for row, sample in enumerate(samples):
                padded[row, : len(sample[key])] = sample[key]
            batch[key] = padded
        else:
            batch[key] = [s[key] for s in samples]
    lengths = torch.tensor([len(next(iter(s.values()))) for s in samples])
    batch["mask"] = torch.arange(length) < lengths[:, None]
    return batch


@dataclass(frozen=True)
class Modality:
    """Everything the package knows of one kind of data.

    Attributes:
        name: lower case, singular; used everywhere ("point_cloud").
        item: the item type it takes.
        prepare: (item, **input) -> one sample without a batch axis. A sample maps names to tensors, or to a list of N
            strings: the model hands the encoder their text vectors (B, N, H) under the same name. A str instead of a
            dict means words, which go to the language model itself.
        encoder: (**config) -> Encoder; None where ``prepare`` returns words.
        prompt: the words before this modality's tokens.
        recognises: is this item (a Raster with two dB bands, say) mine?
        collate: samples -> one batch.
        input: JSON defaults of ``prepare``; they live in processor_config.json.
        config: JSON defaults of ``encoder``; they live in config.json. A key "language_width" is set to the language
            model's width when a model is built.
        spread: (values (N, X) of one item's tokens, item, **input) -> (P, X) for its P points, where tokens do not lie
            on a grid; None for rasters, whose grids are enlarged, and where dense answers make no sense.
        input_for: (encoder config) -> the part of ``input`` that follows from it (an image tower's own size).
        augment: (sample, random, turn) -> a changed sample of which the same is true, for training; ``turn`` allows
            flips and turns. None where nothing can be changed.
        numbers: (**tensors of a collated batch) -> (B, S), the items' own numbers in a fixed order, for heads with a
            road past the encoder (``heads/wide.py``). None where items have no numbers of their own.
        places: (encoder, item, its tokens' vectors (N, D), are they of the language space?, **input) -> a function of
            point numbers (M,) to (M, X) that tells single points apart better than tokens spread to them do, or None
            where this encoder has none.
        beside: (**tensors of a collated batch) -> (B, X) that stands beside the mean of the encoder's tokens, of length
            1/2, where items are compared; rows of length one are twice as loud. None where the tokens say all.
        pieces: is each of these numbers worth looking at by itself? No where they are a curve's (a spectrum), of which
            neighbours all but repeat each other.
        pretrained: (encoder, its config) -> fill a freshly built encoder from the public checkpoint that its config
            names, and give back the config to keep, without the checkpoint's place.
    """

    name: str
    item: type
    prepare: Callable[..., Sample | str]
    encoder: Callable[..., Encoder] | None
    prompt: str
    recognises: Callable[[Any], bool]
    collate: Callable[[Sequence[Sample]], dict[str, Any]] = stack
    input: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    spread: Callable[..., Tensor] | None = None
    input_for: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    pretrained: Callable[[Any, Mapping[str, Any]], dict[str, Any]] | None = None
    augment: Callable[[Sample, torch.Generator, bool], Sample] | None = None
    numbers: Callable[..., Tensor] | None = None
    places: Callable[..., Callable[[Any], Tensor] | None] | None = None
    beside: Callable[..., Tensor] | None = None
    pieces: bool = True


_REGISTRY: dict[str, Modality] = {}
_SCANNED = False


def register(modality: Modality) -> Modality:
    """Make a modality known under its name; a second one of that name is refused."""
    known = _REGISTRY.get(modality.name)
    if known is not None and known.prepare.__module__ != modality.prepare.__module__:
        raise ValueError(f"a modality {modality.name!r} is registered already; choose another name")
    _REGISTRY[modality.name] = modality
    return modality


def _scan() -> None:
    global _SCANNED
    if _SCANNED:
        return
    _SCANNED = True
    from . import encoders

    for module in sorted(pkgutil.iter_modules(encoders.__path__), key=lambda m: m.name):
        importlib.import_module(f"{encoders.__name__}.{module.name}")
    for point in entry_points(group="allspark.modalities"):
        try:
            point.load()
        except Exception as error:  # a broken plug-in must not take the package down with it
            warnings.warn(f"modality plug-in {point.name!r} could not be loaded: {error}", stacklevel=3)


def get(name: str) -> Modality:
    """The modality of this name; ValueError lists the known ones."""
    _scan()
    if name not in _REGISTRY:
        raise ValueError(f"modality {name!r} is not known; wanted one of {', '.join(names())}")
    return _REGISTRY[name]


def names() -> list[str]:
    """The names of all modalities, sorted."""
    _scan()
    return sorted(_REGISTRY)


def recognise(item: Any) -> Modality:
    """The one modality whose item this is; ValueError where none or several claim it."""
    _scan()
    claims = [m for m in _REGISTRY.values() if isinstance(item, m.item) and m.recognises(item)]
    if len(claims) == 1:
        return claims[0]
    found = f"{type(item).__name__}"
    if claims:
        raise ValueError(f"{found} could be {' or '.join(sorted(m.name for m in claims))}; say which with modality=")
    raise ValueError(f"no modality recognises this {found}; say which with modality=, one of {', '.join(names())}")
