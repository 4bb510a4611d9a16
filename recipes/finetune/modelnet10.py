"""Ten kinds of furniture as clouds of 1,024 points: the training part at hand (1,456), the official test part (908).

python recipes/finetune/modelnet10.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from typing import Any

import shared
from shared import Example, Row

from allspark.evaluate import sources
from allspark.evaluate.cheap_shapes import geometry_statistics

ROW = Row(
    name="modelnet10",
    title="ModelNet10, 1,024 points, training part at hand",
    metric="accuracy",
    paper="91.2 / 94.9 on ModelNet40",
    reach="≥ 92.5",
    better=lambda value, _: value >= 0.925,
    note="at most 150 training objects of a class are at hand instead of up to 889; objects stand upright and alike "
    "turned, so none is turned in training",
)


def main() -> None:
    """Write the clouds, fit the references, fine-tune."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    given = shared.arguments(ROW, __doc__)
    entries = list(sources.get("modelnet10").scan(given.data))
    items = [entry.make() for entry in entries]
    parts = ["test" if entry.split == "seen" else entry.split for entry in entries]
    labels = [entry.label for entry in entries]
    manifest = shared.write_manifest(
        given.out,
        (Example({"point_cloud": item}, label, part) for item, label, part in zip(items, labels, parts, strict=True)),
    )

    def classical() -> dict[str, Any]:
        geometry = geometry_statistics(items)
        candidates = {
            "extra trees": (geometry, ExtraTreesClassifier(500, random_state=0)),
            "SVM": (geometry, SVC(C=10)),
            "logistic regression": (geometry, LogisticRegression(max_iter=2000)),
        }
        return shared.classical(candidates, labels, parts, shared.accuracy)

    reference = shared.once(given.out / "reference.json", classical)
    options = {
        "data": str(manifest), "task": "classify", "at": "encoder", "train": ["heads", "encoders"], "steps": 600,
        "input": ["point_cloud.groups=64"], "batch": 32, "lr": 1e-3, "encoder_lr": 5e-4, "wide": 256,
        "apart": 0.8, "weight_decay": 0.05, "average": 0.98, "smoothing": 0.1, "heading": True, "eval_every": 50,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
