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
from allspark.items import Raster

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
FIELD, LOOKS = 96, 2  # pixels of the model's crop, and how many by how many are averaged to one


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
        given.out,
        (Example({"sar": seen(item)}, label, part) for item, label, part in zip(items, labels, parts, strict=True)),
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
        "input": [f"sar.size={FIELD // LOOKS}"], "steps": 5000, "batch": 32, "lr": 2e-3, "encoder_lr": 1e-3,
        "wide": 256, "weight_decay": 0.05, "average": 0.99, "smoothing": 0.1, "eval_every": 1000,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


def seen(item: Raster) -> Raster:
    """A chip as the model is given it: its middle, in several looks, turned.

    In decibels the speckle of the dark ground is as loud as the vehicle; averaging neighbouring pixels in power
    (multi-looking) before the logarithm quietens it. These chips have their shadows upwards, so the radar looks along
    the columns; a quarter turn makes it look along the rows, as the flip of the augmentation takes it.
    """
    power = np.square(_middle(item.values[0], FIELD)).reshape(FIELD // LOOKS, LOOKS, FIELD // LOOKS, LOOKS)
    amplitude = np.sqrt(power.mean((1, 3)))
    return Raster(np.rot90(amplitude)[None].copy(), units=item.units, bands=item.bands)


def _middle(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side].astype(np.float32)


if __name__ == "__main__":
    main()
