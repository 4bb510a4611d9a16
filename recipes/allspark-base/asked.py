"""What `ask` says of items that training held back: the share of answers that are one of the item's class names.

    python recipes/allspark-base/asked.py --data DIR
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import allspark
from allspark.evaluate.sources import SOURCES, load

QUESTION = "What is this?"
PER_CLASS = 4


def main() -> None:
    """Ask of ``PER_CLASS`` held-back items of every class, and print a line for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--model", default="allspark-base")
    parser.add_argument("--sources", nargs="*", default=[], help="by default all that have class names and an encoder")
    options = parser.parse_args()
    spark = allspark.load(options.model)
    named = [name for name, source in SOURCES.items() if any(source.labels.values())]
    for name in options.sources or named:
        source = SOURCES[name]
        if source.role == "test" or source.modality not in spark.model.encoded:
            continue
        records = [r for r in load(source, options.data, "val", per_class=PER_CLASS, seed=0) if source.labels[r.label]]
        if not records:
            continue
        said = spark.ask([record.item for record in records], QUESTION)
        names = [[name.lower() for name in source.labels[record.label]] for record in records]
        right = sum(words.lower() in known for words, known in zip(said, names, strict=True))
        most, times = Counter(said).most_common(1)[0]
        classes = len({record.label for record in records})
        print(f"{name}: {right} of {len(records)} right, {classes} classes; most often {most!r} ({times})", flush=True)


if __name__ == "__main__":
    main()
