"""Ground, vegetation and buildings, point by point, on airborne LiDAR tiles that training does not see.

python recipes/finetune/ign.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shared
from shared import Row

import allspark
from allspark.evaluate.cheap_shapes import point_statistics
from allspark.evaluate.sources.clouds import LIDAR, LIDAR_CLASSES, LIDAR_TEST
from allspark.items import PointCloud

TRAIN = ("77050_627755", "77050_627760", "77055_627755")
VAL = ("77055_627760",)
POINTS = 8_000  # of a tile that the reference learns from; all are told
ROW = Row(
    name="ign",
    title="IGN LiDAR tiles, by tile (ground, vegetation, building)",
    metric="miou",
    paper="–",
    reach="≥ 85",
    better=lambda value, _: value >= 0.85,
    note="six neighbouring tiles: three to train, one to validate, the two of the eastern column to test",
)


def part_of(name: str) -> str | None:
    """The part of a tile by its file's name; None for those of other places."""
    parts = {"train": TRAIN, "val": VAL, "test": LIDAR_TEST}
    return next((part for part, tiles in parts.items() if any(tile in name for tile in tiles)), None)


def mean_iou(truth: np.ndarray, found: np.ndarray) -> float:
    """The mean over the classes of TP / (TP + FP + FN)."""
    ious = []
    for name in sorted(set(LIDAR_CLASSES.values())):
        both, either = ((truth == name) & (found == name)).sum(), ((truth == name) | (found == name)).sum()
        ious.append(both / max(either, 1))
    return float(np.mean(ious))


def reference_of(tiles: dict[str, tuple[str, PointCloud]]) -> dict:
    """Extra trees on eigenvalues, heights and echoes around each point, fitted on train and val."""
    from sklearn.ensemble import ExtraTreesClassifier

    names = np.vectorize(lambda number: LIDAR_CLASSES.get(number, ""))
    features, labels, parts = [], [], []
    for part, cloud in tiles.values():
        label = names(np.asarray(cloud.features["classification"]).astype(int))
        bare = PointCloud(cloud.xyz, {k: v for k, v in cloud.features.items() if k != "classification"}, cloud.crs)
        chosen = np.flatnonzero(label != "")
        if part != "test":
            chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:POINTS])
        features.append(point_statistics(bare, chosen))
        labels.append(label[chosen])
        parts += [part] * len(chosen)
    width = min(block.shape[1] for block in features)
    candidates = {
        f"extra trees, at least {least} points in a leaf": (
            np.concatenate([block[:, :width] for block in features]),
            ExtraTreesClassifier(200, min_samples_leaf=least, class_weight="balanced", random_state=0),
        )
        for least in (1, 5)
    }
    return shared.classical(candidates, np.concatenate(labels), parts, mean_iou)


def main() -> None:
    """Name the tiles, fit the reference, fine-tune."""
    given = shared.arguments(ROW, __doc__)
    files: dict[Path, str] = {}
    for file in sorted((given.data / LIDAR.files[0]).glob("*.laz")):
        if (part := part_of(file.name)) is not None:
            files[file] = part
    rows = [
        {"point_cloud": str(file.resolve()), "mask": "classification", "split": part} for file, part in files.items()
    ]
    manifest = shared.write_csv(given.out / "manifest.csv", rows)
    reference = shared.once(
        given.out / "reference.json",
        lambda: reference_of({file.name: (part, allspark.read(file)) for file, part in files.items()}),
    )
    options = {
        "data": str(manifest), "task": "segment", "window": 10.0, "train": ["heads", "encoders"], "batch": 8,
        "classes": [f"{number}={name}" for number, name in LIDAR_CLASSES.items()],
        "input": ["point_cloud.groups=256", "point_cloud.neighbours=16", "point_cloud.points=4096"],
        "steps": 600, "eval_every": 60, "lr": 2e-3, "encoder_lr": 5e-4, "balance": "weights", "average": 0.97,
        "leak_distance": 0.0,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
