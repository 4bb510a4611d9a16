"""Beside stage 2: what surrounds a single point of a cloud (``encoders/surroundings.py``) learns classes of points.

A dozen points of each class are taken from every cell of the training tiles, as they stand, from cells of another size
and from a third of the points, sometimes without intensities or echoes. A step draws a task: some classes, their
examples from one tile, what is asked mostly from another, ridge regression in closed form (R2D2, as made tasks
elsewhere), and beside it cross-entropy over all classes, and over the text vectors of their names. Classes are those of
the files (ground, low, medium and high vegetation, building), finer than what the league asks for, so that more is kept
than three names need. Seconds.

    python recipes/allspark-base/points_stage.py --data DIR --out runs/base
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from few_shot_tasks import task_loss
from packed import said_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from siblings import Parts
from torch import Tensor, nn
from training import rate

import allspark
from allspark import modality as modalities
from allspark.encoders import surroundings
from allspark.encoders.surroundings import Neighbourhood, Surroundings
from allspark.evaluate.sources import clouds
from allspark.evaluate.sources.clouds import FINE_CLASSES, labelled_cells
from allspark.items import PointCloud

NAMES = (  # what points of a class may be called: all vegetation alike, or by its height
    {
        "ground": ("ground", "bare ground, street or lawn"),
        "low vegetation": ("vegetation", "trees and bushes"),
        "medium vegetation": ("vegetation", "trees and bushes"),
        "high vegetation": ("vegetation", "trees and bushes"),
        "building": ("building", "roofs and walls of a building"),
    },
    {
        "ground": ("ground", "bare soil", "street", "lawn"),
        "low vegetation": ("low vegetation", "grass and herbs"),
        "medium vegetation": ("medium vegetation", "bushes and hedges"),
        "high vegetation": ("high vegetation", "tree", "the crown of a tree"),
        "building": ("building", "roof", "house"),
    },
)
TEMPERATURE = 0.07  # of cosines to names
EACH = 12  # points of a class in a cell
VARIANTS = ((1.0, 1), (2.5, 1), (1.0, 3))  # sides of a cell, times the usual; every n-th point
FORGOTTEN = 0.15  # share of points without intensity, and of those without echoes
SHOTS, ASKED = (1, 3, 5, 10), 15
PREFIX = "model.encoder.surroundings."


def pack(data: Path, path: Path, seed: int = 0) -> Path:
    """Numbers, class and tile of points of the training tiles; a file that the same code made is kept.

    Which tiles are tested on may change: points of another version could be of those.
    """
    code = [inspect.getsource(module) for module in (clouds, surroundings)]
    words = json.dumps([code, EACH, VARIANTS, FORGOTTEN, seed])
    made = hashlib.sha256(words.encode()).hexdigest()[:16]
    if path.exists() and said_of(path).get("made") == made:
        return path
    random = np.random.default_rng(seed)
    numbers, classes, tiles = [], [], []
    for side, nth in VARIANTS:
        for cloud, names, group in _cells(data, side, nth, random):
            for label in sorted(set(names) - {""}):
                picked = random.permutation(np.flatnonzero(names == label))[:EACH]
                numbers.append(Neighbourhood(_forgetful(cloud, random)).numbers(picked))
                classes += [label] * len(picked)
                tiles += [group.rsplit("-", 2)[0]] * len(picked)
    kinds, places = sorted(set(classes)), sorted(set(tiles))
    tensors = {
        "numbers": torch.from_numpy(np.concatenate(numbers)),
        "classes": torch.tensor([kinds.index(one) for one in classes]),
        "tiles": torch.tensor([places.index(one) for one in tiles]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"classes": json.dumps(kinds), "tiles": json.dumps(places), "made": made}
    save_file(tensors, path.with_suffix(".partial"), metadata=said)
    os.replace(path.with_suffix(".partial"), path)
    print(f"packed {len(classes)} points of {len(places)} tiles: {path.stat().st_size / 2**20:.1f} MiB", flush=True)
    return path


def _cells(
    data: Path, side: float, nth: int, random: np.random.Generator
) -> Iterator[tuple[PointCloud, np.ndarray, str]]:
    for cloud, names, group in labelled_cells(data, "train", classes=FINE_CLASSES, side=side):
        kept = np.sort(random.permutation(len(names))[: max(len(names) // nth, 64)])
        features = {name: values[kept] for name, values in cloud.features.items()}
        yield PointCloud(cloud.xyz[kept], features, cloud.crs), names[kept], group


def _forgetful(cloud: PointCloud, random: np.random.Generator) -> PointCloud:
    """The cloud, now and then without its intensities or its echoes, as many clouds come."""
    lost = {"intensity"} if random.random() < FORGOTTEN else set()
    lost |= {"number_of_returns", "return_number"} if random.random() < FORGOTTEN else set()
    return PointCloud(cloud.xyz, {k: v for k, v in cloud.features.items() if k not in lost}, cloud.crs)


class Names:
    """The text vectors of what classes may be called.

    Args:
        kinds: the classes' ids in order.
        text: names -> (N, H) unit vectors.
    """

    def __init__(self, kinds: list[str], text: Callable[[list[str]], Tensor]) -> None:
        self.kinds = kinds
        words = sorted({name for names in NAMES for many in names.values() for name in many})
        self.vectors = dict(zip(words, text(words).float().clone(), strict=True))

    def draw(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One name for each class, those that share one once: (N, H), and which of them is each class's (K,)."""
        names = NAMES[int(random.integers(len(NAMES)))]
        chosen = {many: str(random.choice(many)) for many in names.values()}
        order = list(chosen)
        owners = torch.tensor([order.index(names[kind]) for kind in self.kinds])
        return torch.stack([self.vectors[chosen[many]] for many in order]), owners


def train(
    model: Surroundings, numbers: Tensor, classes: Tensor, tiles: Tensor, names: Names, options: argparse.Namespace
) -> None:
    """So many steps; prints the accuracy on what tasks ask."""
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    model.fit(numbers)
    head = nn.Linear(len(model.second), int(classes.max()) + 1)
    learnt = [getattr(model, name).requires_grad_() for name in ("first", "bias", "second", "words")]
    optimiser = torch.optim.AdamW([*learnt, *head.parameters()], lr=options.lr, weight_decay=0.05)
    rows = {
        (int(t), int(k)): torch.nonzero((tiles == t) & (classes == k))[:, 0].numpy()
        for t in tiles.unique() for k in classes.unique()
    }  # fmt: skip
    rows = {key: found for key, found in rows.items() if len(found) > max(SHOTS)}
    of_tile = {t: {k for tile, k in rows if tile == t} for t, _ in rows}
    right, count = 0.0, 0
    for step in range(options.steps):
        first, second = random.choice(sorted(of_tile), 2)
        shared = sorted(of_tile[first] & of_tile[second])
        if len(shared) < 2:
            continue
        kinds = random.permutation(shared)[: int(random.integers(2, len(shared) + 1))]
        shots = int(random.choice(SHOTS))
        given = [random.choice(rows[first, k], shots) for k in kinds]
        asked = [random.choice(rows[second, k], ASKED) for k in kinds]
        picks = torch.from_numpy(np.concatenate(given + asked))
        owners = torch.cat([torch.arange(len(kinds)).repeat_interleave(n) for n in (shots, ASKED)])
        vectors, said = model.learnt(numbers[picks])
        called, called_of = names.draw(random)
        loss, accuracy = task_loss(vectors, owners, torch.arange(len(picks)) < shots * len(kinds))
        loss = loss + F.cross_entropy(head(vectors) / 0.1, classes[picks])
        loss = loss + F.cross_entropy(said @ called.T / TEMPERATURE, called_of[classes[picks]])
        for group in optimiser.param_groups:
            group["lr"] = options.lr * rate(step / options.steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        right, count = right + accuracy, count + 1
        if (step + 1) % 500 == 0:
            print(f"points step {step + 1} accuracy {right / max(count, 1):.3f}", flush=True)
            right, count = 0.0, 0
    for tensor in learnt:
        tensor.requires_grad_(False)


def main() -> None:
    """Pack, train, put it into stage 2's encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path, help="with stage 2's encoders/ and packed/")
    parser.add_argument("--like", type=Path, help="folder of a model whose words are wanted; else stage 1's")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    packed = pack(options.data, options.out / "packed" / "points.safetensors")
    tensors, kinds = load_file(packed), json.loads(said_of(packed)["classes"])
    path = options.out / "encoders" / "point_cloud.safetensors"
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    if facts.get("points", 0) >= options.steps:
        return
    spark = allspark.load(options.like) if options.like else Parts.read(options.out).build([], options.out / "language")
    model = Surroundings(int(modalities.get("point_cloud").config["surroundings"]), spark.model.config.language_width)
    train(model, tensors["numbers"], tensors["classes"], tensors["tiles"], Names(kinds, spark.text), options)
    after = {key: value for key, value in load_file(path).items() if not key.startswith(PREFIX)}
    after |= {PREFIX + key: value.contiguous() for key, value in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(after, partial, metadata={"facts": json.dumps({**facts, "points": options.steps})})
    os.replace(partial, path)


if __name__ == "__main__":
    main()
