"""Files -> tensors, once: a source's prepared samples as one safetensors file, with labels and words in JSON beside it.

Training reads packed tensors alone, so that it runs where neither rasterio nor laspy is installed. Made sources read no
file: they need not be taken there, but are made on the spot. As a command, every pack that training reads is made, and
what must be taken along is counted:

    python recipes/allspark-base/packed.py --data DIR --out runs/base
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lean import deflate, to_webp, widen
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from allspark import modality as modalities
from allspark.evaluate.sources import SOURCES, load

HALF_ABOVE = 256  # numbers in a tensor from which float16 is exact enough for prepared (standardised) values
PER_CLASS = 400  # of a class; more costs time before it adds knowledge at this size
UNLABELLED = 400
FORMAT = 2  # of packs: another one is packed again
DISPLAY = "rgb"  # the modality whose pixels are for display
MOST = 48  # MiB that a stage's packs may weigh together where they must be taken somewhere


@dataclass
class Packed:
    """A source's samples in memory.

    Attributes:
        source: its name.
        modality: of its items.
        samples: what ``prepare`` gave, one dictionary each.
        labels: class id of each.
        names: class id -> its human names; none where the data do not say.
    """

    source: str
    modality: str
    samples: list[dict[str, Any]]
    labels: list[str]
    names: dict[str, list[str]]


def pack(name: str, split: str, data: Path, folder: Path, settings: dict[str, Any], per_class: int = PER_CLASS) -> Path:
    """Read one split of a source, prepare it and write it; a file that the same reader made is kept.

    What the reader says may change (which groups are tested on, which units): samples of another version do not belong
    to this version's splits, and would let training see what is tested.
    """
    source = SOURCES[name]
    path, made = folder / f"{name}.{split}.safetensors", {"made": fingerprint(name, settings, per_class)}
    if path.exists():
        if said_of(path) == made:
            return path
        print(f"{path} was packed by another reader or with other settings: packing it again", flush=True)
    start = time.perf_counter()
    tensors: dict[str, Tensor] = {}
    lists: dict[str, list[str]] = {}
    labels: list[str] = []
    lean: dict[str, dict[str, Any]] = {}
    for row, sample in prepared(name, split, data, settings, per_class):
        for key, value in sample.items():
            place = f"{len(labels)}/{key}"
            if not isinstance(value, Tensor):
                lists[place] = value
            elif value.numel() <= HALF_ABOVE:
                tensors[place] = value.contiguous().clone()
            elif source.modality == DISPLAY and key == "pixels":
                tensors[place], lean[place] = to_webp(value, settings["mean"], settings["std"])
            else:
                half = value.half() if value.dtype == torch.float32 else value
                tensors[place], lean[place] = deflate(half)
        labels.append(row.label)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"source": name, "modality": source.modality, "labels": labels, "lists": lists, "lean": lean,
             "names": {k: list(v) for k, v in source.labels.items()}}  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    save_file(tensors, path.with_suffix(".partial"), metadata=made)
    os.replace(path.with_suffix(".partial"), path)
    print(f"packed {name} {split}: {len(labels)} samples, {time.perf_counter() - start:.0f} s", flush=True)
    return path


def fingerprint(name: str, settings: dict[str, Any], per_class: int = PER_CLASS) -> str:
    """Of the file that reads a source, of what prepares its items, and of the settings that this is given."""
    code = inspect.getsource(inspect.getmodule(SOURCES[name].scan))  # type: ignore[arg-type]
    prepares = [inspect.getsource(modalities.get(part).prepare) for part in SOURCES[name].modality.split("+")]
    words = json.dumps([code, prepares, settings, per_class, FORMAT], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def said_of(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def prepared(
    name: str, split: str, data: Path, settings: dict[str, Any], per_class: int = PER_CLASS
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Records of a source and what ``prepare`` makes of them; those that it refuses are counted and left out."""
    source = SOURCES[name]
    prepare, left_out = modalities.get(source.modality).prepare, 0
    for row in load(source, data, split, per_class=per_class):
        try:
            sample: Any = prepare(row.item, **settings)
        except ValueError:
            left_out += 1
            continue
        yield row, sample
    if left_out:
        print(f"{name} {split}: {left_out} items cannot be prepared and were left out", flush=True)


def read(path: Path) -> Packed:
    """A packed file back into memory."""
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    samples: list[dict[str, Any]] = [{} for _ in facts["labels"]]
    lean = facts["lean"]
    for key, value in load_file(path).items():
        row, name = key.split("/", 1)
        said = lean.get(key)
        samples[int(row)][name] = value if said is None else widen(value, said)
    for key, words in facts["lists"].items():
        row, name = key.split("/", 1)
        samples[int(row)][name] = words
    return Packed(facts["source"], facts["modality"], samples, facts["labels"], facts["names"])


def without(source: Packed, classes: list[str]) -> Packed:
    """A source less some of its classes."""
    rows = [i for i, label in enumerate(source.labels) if label not in classes]
    return replace(source, samples=[source.samples[i] for i in rows], labels=[source.labels[i] for i in rows])


def full(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples in float32 again."""
    return [
        {k: v.float() if isinstance(v, Tensor) and v.dtype == torch.float16 else v for k, v in s.items()}
        for s in samples
    ]


def training_sources(task: str = "classify") -> list[str]:
    """The sources of this kind that training may read, of modalities that have an encoder."""
    return [
        name
        for name, source in SOURCES.items()
        if source.role in ("train", "both")
        and source.task == task
        and "+" not in source.modality
        and modalities.get(source.modality).encoder is not None
    ]


def every_training_source() -> list[str]:
    """What training reads in all: sources with classes, and made few-shot tasks."""
    return [*training_sources(), *training_sources("episodes")]


def main() -> None:
    """Pack what training reads; per modality, what of it must be taken to a machine without the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="modalities; all by default")
    options = parser.parse_args()
    weight: dict[str, float] = defaultdict(float)
    for name in every_training_source():
        source = SOURCES[name]
        if source.files and (not options.only or source.modality in options.only):
            settings = dict(modalities.get(source.modality).input)
            path = pack(name, "train", options.data, options.out / "packed", settings)
            weight[source.modality] += sum(p.stat().st_size for p in (path, path.with_suffix(".json"))) / 2**20
    for modality, size in sorted(weight.items()):
        print(f"{modality}: {size:.1f} MiB" + (f", more than {MOST}" if size > MOST else ""))


if __name__ == "__main__":
    main()
