"""Modes of transport from GeoLife's fixes, users apart: walk, bike, bus, car and taxi, subway and train.

python recipes/finetune/geolife.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shared
from shared import Example, Row

from allspark.encoders.trajectory import displacements
from allspark.evaluate import sources
from allspark.evaluate.cheap_shapes import motion_statistics
from allspark.items import Item, Trajectory

ROW = Row(
    name="geolife",
    title="GeoLife modes (walk, bike, bus, car+taxi, subway+train), by user",
    metric="macro_f1",
    paper="–",
    reach="above the best classical reference",
    better=lambda value, reference: value > reference,
    note="tracks are in metres from their first fix, without longitude and latitude",
)


def local(item: Item) -> Trajectory:
    """The same track in metres from its first fix: where a user lives says nothing of how others travel."""
    assert isinstance(item, Trajectory)
    way = np.cumsum(np.stack(displacements(item), 1), 0)
    return Trajectory(np.concatenate([np.zeros((1, 2)), way]), item.time, crs="metres")


def main() -> None:
    """Write the trips, fit the references, fine-tune."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    given = shared.arguments(ROW, __doc__)
    entries = list(sources.get("geolife").scan(given.data))
    items = [local(entry.make()) for entry in entries]
    parts, labels = [entry.split for entry in entries], [entry.label for entry in entries]
    manifest = shared.write_manifest(
        given.out,
        (
            Example({"trajectory": item}, label, part, {"group": entry.group})
            for item, label, part, entry in zip(items, labels, parts, entries, strict=True)
        ),
    )

    def classical() -> dict[str, Any]:
        motion = motion_statistics(items)
        boosting = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, random_state=0)
        candidates = {
            "random forest": (motion, RandomForestClassifier(500, class_weight="balanced", random_state=0)),
            "extra trees": (motion, ExtraTreesClassifier(500, class_weight="balanced", random_state=0)),
            "gradient boosting": (motion, boosting),
            "logistic regression": (motion, LogisticRegression(C=0.3, class_weight="balanced", max_iter=3000)),
        }
        return shared.classical(candidates, labels, parts, shared.macro_f1)

    reference = shared.once(given.out / "reference.json", classical)
    options = {
        "data": str(manifest), "task": "classify", "at": "encoder", "train": ["heads", "encoders"],
        "input": ["trajectory.fixes=64"], "steps": 350, "batch": 32, "lr": 1e-2, "encoder_lr": 3e-4, "wide": 128,
        "weight_decay": 0.05, "average": 0.99, "smoothing": 0.1, "balance": "weights", "drop_path": 0.1,
        "trees": 300, "trees_share": 0.7,
        # noise and missing fixes change numbers that the road reads as they are
        "augment": "none", "choose": "macro_f1", "eval_every": 50, "leak_distance": 0.0,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
