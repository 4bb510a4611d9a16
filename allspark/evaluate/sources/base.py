"""What a source of labelled data is: its record, its split and how a part of it is drawn.

A source lists ``Entry``s, which cost nothing, and an entry is made into a ``Record`` only when it is drawn, so that
"five of each class" of a large archive does not decode the archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...items import Item

SPLITS = ("train", "val", "test", "seen")
ROLES = {"train": ("train", "val"), "test": ("test",), "both": SPLITS}  # the splits that a source of a role can have
Items = Item | dict[str, Item]


@dataclass(frozen=True)
class Record:
    """One labelled item.

    Attributes:
        item: the item, or {modality: item} for several modalities of one place.
        label: the class id as the data have it; "" where there is none.
        group: what support and query, or training and test, must not share (parcel, user, tile, grid cell …).
        words: captions beyond the label's own names.
    """

    item: Items
    label: str
    group: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A record that is not made yet: ``make()`` reads and builds the item.

    Attributes:
        split: the part it belongs to, one of ``SPLITS``.
    """

    make: Callable[[], Items]
    label: str
    group: str
    split: str
    words: tuple[str, ...] = ()

    def record(self) -> Record:
        """Read the item."""
        return Record(self.make(), self.label, self.group, self.words)


@dataclass(frozen=True)
class Source:
    """A data set: where it lies, how it is read and split, what its classes are called and whose it is.

    Splits: "train" and "val" share no group; "val" is for early stopping and temperatures. "test" is the official test
    part or the held-out groups, of the kept-out classes only where some are kept out. "seen" is the official test part
    of the classes that are trained on, where classes are kept out as well. A source of role "test" has only "test", one
    of role "train" has none.

    Attributes:
        name: the source's name.
        modality: the modality of its items ("rgb"), or several joined by "+" for paired items.
        files: the archives it reads, relative to the data folder; none for data that are made.
        scan: (data folder) -> the entries of all splits.
        labels: class id -> human names: the first is the one for zero-shot, then synonyms and short descriptions. An
            empty tuple means that the data do not say what the class is.
        role: "train" (never tested on), "test" (never trained on) or "both" (its own split).
        licence: as far as its publisher states it.
        citation: whom to cite.
        kept_out: class ids that are never trained on.
        task: "classify", "contrast" (pairs without labels), "episodes" (made few-shot tasks, whose labels are
            "task/class" and mean nothing outside their task) or "unlabelled".
    """

    name: str
    modality: str
    files: tuple[str, ...]
    scan: Callable[[Path], Iterator[Entry]]
    labels: Mapping[str, tuple[str, ...]]
    role: Literal["train", "test", "both"]
    licence: str
    citation: str
    kept_out: tuple[str, ...] = ()
    task: Literal["classify", "contrast", "episodes", "unlabelled"] = "classify"

    def entries(self, data: Path | str, split: str) -> list[Entry]:
        """The entries of one split, in the archive's order.

        Raises:
            ValueError: a split that is not one of ``SPLITS``.
            FileNotFoundError: an archive that is not in the data folder.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is not known; wanted one of {', '.join(SPLITS)}")
        missing = [name for name in self.files if not (Path(data) / name).exists()]
        if missing:
            raise FileNotFoundError(
                f"source {self.name!r} wants {', '.join(missing)} in {data}; put it there or leave this source out"
            )
        never = set(self.kept_out) if split in ("train", "val") else set()
        return [entry for entry in self.scan(Path(data)) if entry.split == split and entry.label not in never]

    def read(self, data: Path | str, split: str) -> Iterator[Record]:
        """The records of one split, one after the other."""
        for entry in self.entries(data, split):
            yield entry.record()


def fold(key: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on the key alone: the same split on every machine and in every order."""
    # not a CRC: those of two salts differ by a constant, and a group would never be drawn for one part after another
    digest = hashlib.blake2b(f"{salt}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(group: str, test: float = 0.0, val: float = 0.1, salt: str = "") -> str:
    """The part "test" for this share of the groups, "val" for this share of the others, else "train".

    A source with few groups sets ``salt``, so that every class has groups on both sides.
    """
    if fold(group, f"test{salt}") < test:
        return "test"
    return "val" if fold(group, f"val{salt}") < val else "train"


def draw(entries: list[Entry], limit: int | None, per_class: int | None, seed: int) -> list[Entry]:
    """At most ``per_class`` of every class and ``limit`` in all, drawn with the seed, in the entries' own order."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(entries))
    if per_class is not None:
        counts: dict[str, int] = {}
        few = []
        for i in chosen:
            label = entries[i].label
            if counts.get(label, 0) < per_class:
                counts[label] = counts.get(label, 0) + 1
                few.append(i)
        chosen = np.array(few, dtype=np.int64)
    if limit is not None:
        chosen = chosen[:limit]
    return [entries[i] for i in np.sort(chosen)]
