"""Single points of tiles that training left out, named in words alone: accuracy, mean IoU, and a picture.

    python recipes/allspark-base/points_figure.py --data DIR --out docs/figures/points_zero_shot.png
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import allspark
from allspark.evaluate.sources.clouds import LIDAR, LIDAR_CLASSES, LIDAR_TEST
from allspark.items import PointCloud

COLOURS = {"ground": "#c8a882", "vegetation": "#3f8f4f", "building": "#b5473c", "": "#d0d0d0"}


def tiles(data: Path) -> list[tuple[str, PointCloud, np.ndarray]]:
    """(name, cloud without its classes, names of its points' classes) of the tiles that are tested on."""
    found = []
    for file in sorted((data / LIDAR.files[0]).glob("*.laz")):
        if any(name in file.name for name in LIDAR_TEST):
            cloud = allspark.read(file)
            truth = np.array([LIDAR_CLASSES.get(int(c), "") for c in np.asarray(cloud.features["classification"])])
            bare = {name: values for name, values in cloud.features.items() if name != "classification"}
            found.append((file.stem, PointCloud(cloud.xyz, bare, cloud.crs), truth))
    return found


def draw(cloud: PointCloud, columns: dict[str, np.ndarray], path: Path) -> None:
    """The tile from the south, a little from above, once for each column of names."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    x, y, z = (cloud.xyz - cloud.xyz.min(0)).T
    order = np.argsort(-y)  # far points first
    figure, axes = plt.subplots(len(columns), 1, figsize=(6.4, 4.4 * len(columns)), constrained_layout=True)
    for axis, (title, names) in zip(axes, columns.items(), strict=True):
        colours = np.array([COLOURS[name] for name in names])
        axis.scatter(x[order], (z + 0.45 * y)[order], s=0.6, c=colours[order], linewidths=0)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_aspect("equal")
        axis.axis("off")
    for name in ("ground", "vegetation", "building"):
        axes[0].scatter([], [], c=COLOURS[name], s=20, label=name)
    axes[0].legend(loc="upper right", fontsize=8, frameon=False, ncols=3)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(partial, dpi=110)
    os.replace(partial, path)


def main() -> None:
    """Segment, count, draw the first tile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--model", default="allspark-base")
    parser.add_argument("--out", default="docs/figures/points_zero_shot.png", type=Path)
    options = parser.parse_args()
    spark = allspark.load(options.model)
    labels = list(dict.fromkeys(LIDAR_CLASSES.values()))
    truths, answers = [], []
    for number, (name, cloud, truth) in enumerate(tiles(options.data)):
        (answer,) = spark.segment(cloud, labels)
        found = np.array(labels)[answer.classes]
        right = (found == truth)[truth != ""].mean()
        print(f"{name}: {len(truth)} points, {right:.3f} of those with a class are right")
        truths.append(truth)
        answers.append(found)
        if number == 0:
            said = f"allspark-base, told the words {', '.join(labels)} alone: {100 * right:.0f} % are right"
            draw(cloud, {"what the file says (grey: none of the three)": truth, said: found}, options.out)
    truth, found = np.concatenate(truths), np.concatenate(answers)
    truth, found = truth[truth != ""], found[truth != ""]
    ious = [((truth == k) & (found == k)).sum() / ((truth == k) | (found == k)).sum() for k in labels]
    print(f"both: accuracy {(truth == found).mean():.3f}, mean IoU {np.mean(ious):.3f}",
          dict(zip(labels, np.round(ious, 3).tolist(), strict=True)))  # fmt: skip


if __name__ == "__main__":
    main()
