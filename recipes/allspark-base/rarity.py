"""How rare strings of characters and words are in English and in programs: the table beside ``allspark/sketch.py``.

Every source gives at most so many passages of ``PASSAGE`` characters, and each place of the table keeps
log((1 + passages) / (1 + those that hold something of this place)). What is counted is what stage 1 reads, so no test
set is in it.

    python recipes/allspark-base/rarity.py --data DIR
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from language_corpus import read_corpus
from safetensors.numpy import save

from allspark import atomic
from allspark.sketch import PLACES, STEPS, TABLE, VIEWS, place

PASSAGE = 800  # characters
MOST = {"books": 4000, "dictionary": 4000, "factbook": 2500, "captions": 1000, "code": 3000, "questions": 50}


def passages(documents: Iterable[str]) -> Iterator[str]:
    """Documents one after the other, cut to ``PASSAGE`` characters; short ones share a passage."""
    held = ""
    for document in documents:
        held = f"{held}\n{document}" if held else document
        while len(held) >= PASSAGE:
            yield held[:PASSAGE]
            held = held[PASSAGE:]


def count(texts: Iterable[str]) -> dict[str, np.ndarray]:
    """View -> (PLACES,) uint8 rarities in steps of 1 / ``STEPS``."""
    held = {name: np.zeros(PLACES, np.int64) for name in VIEWS}
    total = 0
    for text in texts:
        total += 1
        for name, view in VIEWS.items():
            held[name][np.unique(place(view(text)))] += 1
    rare = {name: np.log((1 + total) / (1 + found)) for name, found in held.items()}
    return {name: np.clip(np.rint(STEPS * value), 0, 255).astype(np.uint8) for name, value in rare.items()}


def main() -> None:
    """Count and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--wordnet", default=Path("/usr/share/wordnet"), type=Path)
    parser.add_argument("--out", default=TABLE, type=Path)
    parser.add_argument("--seed", default=0, type=int)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    chosen: list[str] = []
    for source, documents in sorted(read_corpus(options.data, options.wordnet, options.seed).train.items()):
        found = list(passages(documents))
        chosen += draw.sample(found, min(MOST[source], len(found)))
        print(f"{source}: {min(MOST[source], len(found))} of {len(found)} passages")
    table = count(chosen)
    atomic.write(options.out, save(table))
    for name, values in table.items():
        print(f"{name}: {(values < values.max()).mean():.1%} of the places were met")


if __name__ == "__main__":
    main()
