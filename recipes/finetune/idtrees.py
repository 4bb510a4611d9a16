"""Tree species of IDTReeS crowns from pictures, 369 hyperspectral bands and LiDAR points together, plots apart.

python recipes/finetune/idtrees.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import shared
from shared import Example, Row

from allspark.evaluate.cheap_images import image_statistics, raw_spectrum
from allspark.evaluate.cheap_shapes import geometry_statistics
from allspark.evaluate.sources.base import Entry, fold
from allspark.evaluate.sources.paired import trees

FEWEST = 4  # crowns of a species in the training plots, and one in the test plots
SALT = "tune4"  # of the plots' draw: of six draws the one with most species on both sides
ROW = Row(
    name="idtrees",
    title="IDTReeS crowns, RGB + HSI + points together, by plot",
    metric="macro_f1",
    paper="–",
    reach="together better than the best single modality",
    better=lambda value, reference: value > reference,
    note=f"species of at least {FEWEST} crowns in the training plots that occur in the test plots; the single "
    "modalities are the same fine-tuned model asked with one of the three, which modality dropout has taught it",
)


def part_of(entry: Entry) -> str:
    """Six of the thirteen plots that the base model never saw are tested on; with all of them 62 crowns would train."""
    return "test" if entry.split == "test" and fold(entry.group, SALT) < 0.5 else "train"


def main() -> None:
    """Write the crowns, fit the references, fine-tune once with all three."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression

    given = shared.arguments(ROW, __doc__)
    entries = [replace(entry, split=part_of(entry)) for entry in trees(given.data, ("train", "val", "test"))]
    tests = {entry.label for entry in entries if entry.split == "test"}
    counts = Counter(entry.label for entry in entries if entry.split != "test")
    entries = [entry for entry in entries if counts[entry.label] >= FEWEST and entry.label in tests]
    items: list[Mapping] = [entry.make() for entry in entries]  # type: ignore[misc]
    labels = [entry.label for entry in entries]
    # too few plots to hold whole ones back: crowns of the training plots
    parts = [entry.split for entry in entries]
    seen = [i for i, part in enumerate(parts) if part == "train"]
    held = shared.held_back([f"{labels[i]}|{i}" for i in seen], share=0.2)
    for i, back in zip(seen, held, strict=True):
        parts[i] = "val" if back else "train"
    manifest = shared.write_manifest(
        given.out, (Example(item, label, part) for item, label, part in zip(items, labels, parts, strict=True))
    )
    alone = {
        "RGB": image_statistics([item["rgb"] for item in items]),
        "HSI": raw_spectrum([item["hyperspectral"] for item in items]),
        "points": geometry_statistics([item["point_cloud"] for item in items]),
    }
    alone["all three"] = np.concatenate(list(alone.values()), 1)
    candidates = {
        f"{kind} on {name}": (values, estimator)
        for name, values in alone.items()
        for kind, estimator in (
            ("extra trees", ExtraTreesClassifier(300, class_weight="balanced", random_state=0)),
            ("logistic regression", LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)),
        )
    }
    classical = shared.classical(candidates, labels, parts, shared.macro_f1)
    options = {
        # crowns are too few to train three encoders on
        "data": str(manifest), "task": "classify", "at": "bridge", "train": ["heads"], "wide": 64, "wide_dropout": 0.5,
        "modality_dropout": 0.3, "balance": "weights", "steps": 300, "batch": 16, "lr": 3e-3,
        "average": 0.95, "smoothing": 0.1, "leak_distance": 0.0, "eval_every": 50, "choose": "macro_f1",
        "input": ["rgb.size=64", "hyperspectral.size=8", "point_cloud.groups=32"],
    }  # fmt: skip

    def one(seed: int) -> tuple[float, dict]:
        found = shared.refitted(given, f"seed{seed}", seed, **options)
        return float(found["test"][ROW.metric]), found

    best = {"name": "", "value": -1.0}
    if not given.dry_run and given.choose is None:
        singles = [one(seed)[1]["test_by_modality"] for seed in given.seeds]
        means = {name: float(np.mean([found[name][ROW.metric] for found in singles])) for name in singles[0]}
        name = max(means, key=lambda key: means[key])
        best = {"name": f"{name} alone", "value": means[name], "alone": means}
    reference = {**best, "also": {classical["name"]: classical["value"]}}
    shared.seeds(ROW, given, reference, options, one)


if __name__ == "__main__":
    main()
