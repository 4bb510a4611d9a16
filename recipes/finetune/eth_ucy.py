"""Where pedestrians will be: ETH-UCY, 8 fixes seen, 12 predicted, every scene left out in turn.

python recipes/finetune/eth_ucy.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shared
from shared import Row

SEEN, AHEAD, FUTURES, STEP = 8, 12, 20, 0.4  # fixes, fixes, futures, seconds
SCENES = {
    "eth": ("biwi_eth",), "hotel": ("biwi_hotel",), "univ": ("students001", "students003"),
    "zara1": ("crowds_zara01",), "zara2": ("crowds_zara02",),
}  # fmt: skip
ONLY_TRAIN = ("crowds_zara03", "uni_examples")
MOST = 12_000  # training windows of a fold, drawn evenly
VAL = 0.1  # the last share of each training file's time
ANGLE = np.deg2rad(25.0)  # spread of the reference's headings (Schöller et al., RA-L 2020)
ROW = Row(
    name="eth_ucy",
    title="ETH-UCY, leave one scene out, 8 → 12, best of 20, mean over five scenes (metres)",
    metric="ade",
    paper="0.43 / 0.36 on ETH",
    reach="≤ 0.22 (and 0.36 on ETH)",
    better=lambda value, _: value <= 0.22,
    note="windows in which at least two people walk all 20 frames, as Social GAN cuts them; no neighbours are read",
    percent=False,
)


def windows(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(M, 20, 2) metres and (M,) share of the file's time at each window's begin."""
    with zipfile.ZipFile(data / "trajectory/eth_ucy.zip") as archive:
        table = np.loadtxt(io.BytesIO(archive.read(f"{name}.txt")))
    frames = np.unique(table[:, 0])
    step = np.diff(frames).min()
    place = {(frame, person): (x, y) for frame, person, x, y in table}
    people: dict[float, list[float]] = {}
    for frame, person, *_ in table:
        people.setdefault(frame, []).append(person)
    found, when = [], []
    for frame in frames:
        times = frame + step * np.arange(SEEN + AHEAD)
        walks = [
            [place[time, person] for time in times]
            for person in people[frame]
            if all((time, person) in place for time in times)
        ]
        if len(walks) > 1:
            found += walks
            when += [(frame - frames[0]) / np.ptp(frames)] * len(walks)
    return np.array(found), np.array(when)


def fold(data: Path, scene: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The windows of train, val and test where ``scene`` is left out."""
    others = [name for key, names in SCENES.items() if key != scene for name in names] + list(ONLY_TRAIN)
    train, val = [], []
    for name in others:
        walks, when = windows(data, name)
        val.append(walks[when > 1 - VAL])
        train.append(walks[when < 1 - 2 * VAL])  # what begins between the two would share fixes with val
    parts = {"train": np.concatenate(train), "val": np.concatenate(val)}
    random = np.random.default_rng(seed)
    for part, most in (("train", MOST), ("val", MOST // 10)):
        kept = random.permutation(len(parts[part]))[:most]
        parts[part] = parts[part][np.sort(kept)]
    return parts | {"test": np.concatenate([windows(data, name)[0] for name in SCENES[scene]])}


def write(folder: Path, parts: dict[str, np.ndarray]) -> Path:
    """Every window a track of one file, every track a row of the manifest."""
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        return manifest
    time = (np.arange(SEEN + AHEAD) * STEP).round(1)
    tracks, rows = [], []
    for part, walks in parts.items():
        for walk in walks:
            track = f"walk{len(rows)}"
            tracks += [{"id": track, "time": t, "x": x, "y": y} for t, (x, y) in zip(time, walk, strict=True)]
            rows.append({
                "trajectory": "tracks.csv", "trajectory.id": track, "trajectory.crs": "metres", "split": part,
            })  # fmt: skip
    shared.write_csv(folder / "tracks.csv", tracks)
    return shared.write_csv(manifest, rows)


def constant_velocity(walks: np.ndarray, futures: int, seed: int = 0) -> tuple[float, float]:
    """ADE and FDE of walking on as in the last step; of several futures all but the first turn by a random angle."""
    angles = np.random.default_rng(seed).normal(0, ANGLE, (len(walks), futures))
    angles[:, 0] = 0
    last, velocity = walks[:, SEEN - 1], walks[:, SEEN - 1] - walks[:, SEEN - 2]
    c, s = np.cos(angles), np.sin(angles)
    turned = np.stack([c * velocity[:, None, 0] - s * velocity[:, None, 1],
                       s * velocity[:, None, 0] + c * velocity[:, None, 1]], -1)  # fmt: skip
    ahead = last[:, None, None] + turned[:, :, None] * np.arange(1, AHEAD + 1)[:, None]
    apart = np.linalg.norm(ahead - walks[:, None, SEEN:], axis=-1)  # (M, K, T)
    return float(apart.mean(-1).min(1).mean()), float(apart[..., -1].min(1).mean())


def main() -> None:
    """Write five folds, fine-tune each with every seed."""
    given = shared.arguments(ROW, __doc__)
    folds = {scene: fold(given.data, scene) for scene in SCENES}
    manifests = {scene: write(given.out / scene, parts) for scene, parts in folds.items()}
    turning = {scene: constant_velocity(parts["test"], FUTURES) for scene, parts in folds.items()}
    straight = {scene: constant_velocity(parts["test"], 1) for scene, parts in folds.items()}
    reference = {
        "name": "constant velocity, 20 headings", "value": float(np.mean([ade for ade, _ in turning.values()])),
        "fde": float(np.mean([fde for _, fde in turning.values()])), "scenes": turning,
        "also": {"constant velocity, one future": float(np.mean([ade for ade, _ in straight.values()]))},
    }  # fmt: skip
    options: dict[str, Any] = {
        "data": str(manifests["eth"]), "task": "trajectory", "observe": SEEN, "predict": AHEAD, "modes": FUTURES,
        "at": "encoder", "train": ["heads", "encoders"], "steps": 700, "batch": 128, "lr": 2e-3,
        "encoder_lr": 3e-4, "wide": 256, "wide_dropout": 0.0, "weight_decay": 0.01, "average": 0.99,
        "eval_every": 250,
    }  # fmt: skip

    on_eth: list[float] = []

    def one(seed: int) -> tuple[float, dict[str, Any]]:
        found = {
            scene: shared.refitted(given, f"{scene}/seed{seed}", seed, **{**options, "data": str(manifest)})
            for scene, manifest in manifests.items()
        }
        tests = {scene: each["test"] for scene, each in found.items()}
        mean = {key: float(np.mean([test[key] for test in tests.values()])) for key in ("ade", "fde")}
        on_eth.append(tests["eth"]["ade"])
        minutes = sum(each["cpu_minutes"] for each in found.values())
        return mean["ade"], {**mean, "scenes": tests, "cpu_minutes": minutes}

    row = replace(ROW, better=lambda value, _: value <= 0.22 and float(np.mean(on_eth)) <= 0.36)
    shared.seeds(row, given, reference, options, one)


if __name__ == "__main__":
    main()
