"""Ten vehicles of MSTAR, the official parts: trained at 17 degrees of depression, tested at 15.

python recipes/finetune/mstar.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shared
from shared import Example, Row

from allspark.evaluate import sources
from allspark.evaluate.cheap_images import random_convolutions

ROW = Row(
    name="mstar",
    title="MSTAR 10 classes, official 17°/15°",
    metric="accuracy",
    paper="97.24 / 99.13",
    reach="≥ 99.2",
    better=lambda value, _: value >= 0.992,
    note="chips are cropped in the middle, because their size tells the class; validation is a tenth of the 17° chips",
)
SIDE = 64  # pixels of the references' crop


def main() -> None:
    """Write the chips, fit the references, fine-tune."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    given = shared.arguments(ROW, __doc__)
    # all ten classes: the source keeps five from its own training part
    entries = list(sources.get("mstar10").scan(given.data))
    items = [entry.make() for entry in entries]
    parts = ["test" if entry.split == "seen" else entry.split for entry in entries]
    labels = [entry.label for entry in entries]
    manifest = shared.write_manifest(
        given.out, (Example({"sar": item}, label, part) for item, label, part in zip(items, labels, parts, strict=True))
    )

    def classical() -> dict[str, Any]:
        crops = np.stack([_middle(item.values[0]) for item in items]).reshape(len(items), -1)
        crops = crops / np.linalg.norm(crops, axis=1, keepdims=True)
        logistic = LogisticRegression(C=1.0, max_iter=500)
        candidates = {
            "1 nearest neighbour on pixels": (crops, KNeighborsClassifier(1)),
            "PCA and SVM on pixels": (crops, make_pipeline(PCA(100, whiten=True, random_state=0), SVC(C=10))),
            "random convolutions and logistic regression": (random_convolutions(items), logistic),
        }
        return shared.classical(candidates, labels, parts, shared.accuracy)

    reference = shared.once(given.out / "reference.json", classical)
    options = {
        "data": str(manifest), "task": "classify", "at": "encoder", "train": ["heads", "encoders"],
        "input": ["sar.size=64"], "steps": 1000, "batch": 32, "lr": 2e-3, "encoder_lr": 1e-3, "wide": 256,
        "weight_decay": 0.05, "average": 0.99, "smoothing": 0.1, "augment": "none", "eval_every": 200,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


def _middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
    return pixels[top : top + SIDE, left : left + SIDE].astype(np.float32)


if __name__ == "__main__":
    main()
