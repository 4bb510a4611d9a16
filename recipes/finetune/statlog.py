"""Land cover of single Landsat MSS pixels from 3 x 3 neighbourhoods, the official parts.

python recipes/finetune/statlog.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shared
from shared import Example, Row

from allspark.evaluate import sources

ROW = Row(
    name="statlog",
    title="Statlog Landsat, official",
    metric="accuracy",
    paper="–",
    reach="≥ 92.0",
    better=lambda value, _: value >= 0.92,
)


def main() -> None:
    """Write the patches, fit the references, fine-tune."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    given = shared.arguments(ROW, __doc__)
    entries = [
        entry for part in ("train", "val", "test") for entry in sources.get("statlog_landsat").entries(given.data, part)
    ]
    items = [entry.make() for entry in entries]
    parts = [entry.split for entry in entries]
    labels = [entry.label for entry in entries]
    manifest = shared.write_manifest(
        given.out,
        (Example({"multispectral": item}, label, part) for item, label, part in zip(items, labels, parts, strict=True)),
    )

    def classical() -> dict[str, Any]:
        pixels = np.stack([item.values.ravel() for item in items]).astype(float)
        middles = np.stack([item.values[:, 1, 1] for item in items])
        inorder = np.stack([np.sort(item.values.reshape(4, -1), 1).ravel() for item in items])
        candidates = {}
        for name, values in (("", pixels), (" on pixels in order", np.c_[middles, inorder].astype(float))):
            candidates |= {
                f"SVM, C={c:g}, gamma={g:g}{name}": (values, make_pipeline(StandardScaler(), SVC(C=c, gamma=g)))
                for c in (4, 16, 64)
                for g in (0.03, 0.1, 0.3)
            } | {
                f"5 nearest neighbours{name}": (values, KNeighborsClassifier(5)),
                f"extra trees{name}": (values, ExtraTreesClassifier(500, random_state=0)),
                f"gradient boosting{name}": (values, HistGradientBoostingClassifier(max_iter=200, random_state=0)),
            }
        return shared.classical(candidates, labels, parts, shared.accuracy)

    reference = shared.once(given.out / "reference.json", classical)
    options = {
        "data": str(manifest), "task": "classify", "at": "encoder", "train": ["heads", "encoders"], "steps": 1200,
        # mean and spread of the training part: the bands differ by a tenth of what reflectances spread over
        "input": ["multispectral.mean=0.33", "multispectral.std=0.08"],
        "batch": 128, "lr": 1e-3, "encoder_lr": 3e-4, "wide": 512, "wide_dropout": 0.15, "weight_decay": 0.3,
        "trees": 300,
        "average": 0.998, "smoothing": 0.1,
        # patches overlap, so a turned patch is none that the data hold: turns cost a perceptron three points on val
        "augment": "none", "eval_every": 500,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
