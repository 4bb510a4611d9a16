"""What the fine-tuning recipes share: records written as a manifest, seed after seed, one JSON of figures.

A recipe says which records belong to which part, what is trained, and which cheap methods stand beside it. Everything
is trained by ``allspark.finetune.run`` on an ordinary manifest, as anybody's own data would be. Files land in
``--out``; a recipe that was stopped goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from allspark import atomic
from allspark.items import Graph, Item, PointCloud, Raster, Table, Text, Trajectory

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "transformers", "peft", "scikit-learn")
VAL = 0.1  # share of the training part, where the data set names no validation part


@dataclass(frozen=True)
class Example:
    """One record on its way into the manifest: its items by modality, its answer and its part."""

    items: Mapping[str, Item]
    label: str
    split: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of the table in ``docs/finetune.md``.

    Attributes:
        name: of the recipe and its results.
        title: data and split, as the table shows them.
        metric: which of ``results.json``'s test metrics counts; in per cent where ``percent``.
        paper: the seed paper's figure and the best it compares with, as words.
        reach: the target as words.
        better: whether a value reaches the target, given the reference's: (value, reference) -> bool.
        note: what else must be known of the protocol.
    """

    name: str
    title: str
    metric: str
    paper: str
    reach: str
    better: Callable[[float, float], bool]
    note: str = ""
    percent: bool = True


def held_back(keys: Sequence[str], share: float = VAL, seed: int = 0) -> list[bool]:
    """Which of these rows go to validation: an even share of every class, drawn by the keys' hash.

    Args:
        keys: "class|identity" of each training row.
        share: of each class.
        seed: of the draw.
    """
    order: dict[str, list[tuple[bytes, int]]] = {}
    for i, key in enumerate(keys):
        digest = hashlib.blake2b(f"{seed}|{key}".encode(), digest_size=8).digest()
        order.setdefault(key.split("|", 1)[0], []).append((digest, i))
    chosen = {i for members in order.values() for _, i in sorted(members)[: max(1, round(len(members) * share))]}
    return [i in chosen for i in range(len(keys))]


def write_manifest(folder: Path, examples: Iterable[Example]) -> Path:
    """Every item a file in ``folder/items``, every example a row of ``folder/manifest.csv``; made once.

    Returns:
        The manifest's path.
    """
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        return manifest
    (folder / "items").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, example in enumerate(examples):
        row: dict[str, Any] = {"split": example.split, "label": example.label, **example.extra}
        for name, item in example.items.items():
            row |= _cells(folder, f"items/{number}_{name}", name, item)
        rows.append(row)
    return write_csv(manifest, rows)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A table with the union of the rows' columns; it appears under its name only when whole."""
    import io

    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, buffer.getvalue())
    return path


def _cells(folder: Path, stem: str, name: str, item: Item) -> dict[str, Any]:
    """Write one item and say what its row must hold of it."""
    if isinstance(item, Text):
        return {name: " ".join(item.words.split())}
    if isinstance(item, Trajectory):
        columns = ["time", *(("lon", "lat") if item.geographic else ("x", "y"))]
        values = np.c_[item.time, item.positions[:, :2]]
        np.savetxt(folder / f"{stem}.csv", values, "%.10g", ",", header=",".join(columns), comments="")
        return {name: f"{stem}.csv", **({} if item.geographic else {f"{name}.crs": "metres"})}
    if isinstance(item, Raster):
        values = item.values if item.mask.all() else np.where(item.mask, item.values.astype(np.float32), np.nan)
        np.save(folder / f"{stem}.npy", values)
        cells: dict[str, Any] = {name: f"{stem}.npy", f"{name}.units": item.units}
        for key in ("bands", "wavelengths"):
            if (given := getattr(item, key)) is not None:
                cells[f"{name}.{key}"] = json.dumps([v if isinstance(v, str) else float(v) for v in given])
        return cells
    if isinstance(item, PointCloud):
        np.savez(folder / f"{stem}.npz", xyz=item.xyz, **{k: np.asarray(v) for k, v in item.features.items()})
        return {name: f"{stem}.npz"}
    if isinstance(item, Graph):
        arrays = {"edges": item.edges, "nodes": item.nodes, "edge_features": item.edge_features}
        np.savez(folder / f"{stem}.npz", **{k: v for k, v in arrays.items() if v is not None})
        return {name: f"{stem}.npz"}
    raise TypeError(f"a {type(item).__name__} came; wanted an item that fits a file of its own (a table is one file)")


def frame_of(items: Sequence[Table]) -> Any:
    """Rows of one table -> the whole data frame."""
    import pandas as pd

    return pd.concat([item.frame for item in items], ignore_index=True)


def classical(
    candidates: Mapping[str, tuple[np.ndarray, Any]],
    answers: Sequence[Any],
    parts: Sequence[str],
    metric: Callable[[np.ndarray, np.ndarray], float],
) -> dict[str, Any]:
    """The best of several cheap methods, chosen on val, fitted again on train and val, and measured once on test.

    Args:
        candidates: name -> features (N, D) and an estimator of scikit-learn.
        answers: N classes.
        parts: N names of parts.
        metric: (truth, found) -> the higher the better.
    """
    from sklearn.base import clone

    answers_, parts_ = np.asarray(answers), np.asarray(parts)
    tried = {}
    for name, (features, estimator) in candidates.items():
        found = clone(estimator).fit(features[parts_ == "train"], answers_[parts_ == "train"])
        tried[name] = metric(answers_[parts_ == "val"], found.predict(features[parts_ == "val"]))
    best = max(tried, key=lambda name: tried[name])
    features, estimator = candidates[best]
    seen = parts_ != "test"
    found = clone(estimator).fit(features[seen], answers_[seen]).predict(features[~seen])
    return {"name": best, "value": metric(answers_[~seen], found), "val": tried}


def accuracy(truth: np.ndarray, found: np.ndarray) -> float:
    """The share that is right."""
    return float((np.asarray(truth) == np.asarray(found)).mean())


def macro_f1(truth: np.ndarray, found: np.ndarray) -> float:
    """The mean over the classes of F1."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, found, average="macro"))


def once(place: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` gives, read from the JSON file ``place`` where an earlier call wrote it."""
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(place, json.dumps(make(), indent=2) + "\n")
    return json.loads(place.read_text(encoding="utf-8"))


@cache
def _weights_hash(model: str) -> str:
    from allspark.presets import find

    digest = hashlib.sha256()
    with open(Path(find(model)) / "model.safetensors", "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@cache
def _encoder_hash(model: str, modality: str) -> str:
    """SHA-256 of the tensors under ``encoders.<modality>.``, by name: it stays where other parts are replaced."""
    import torch
    from safetensors import safe_open

    from allspark.presets import find

    digest = hashlib.sha256()
    with safe_open(Path(find(model)) / "model.safetensors", "pt") as file:
        for name in sorted(key for key in file.keys() if key.startswith(f"encoders.{modality}.")):  # noqa: SIM118
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _encoder_hashes(model: str, modalities: Iterable[str]) -> dict[str, str]:
    """Those of these modalities that have an encoder."""
    from allspark.config import AllSparkConfig
    from allspark.presets import find

    known = AllSparkConfig.from_pretrained(find(model)).encoders
    return {name: _encoder_hash(model, name) for name in modalities if name in known}


def _modalities(manifest: Path, options: Mapping[str, Any]) -> list[str]:
    """The modalities of a recipe's manifest, as its columns name them."""
    from allspark import modality

    if options.get("columns"):
        return ["table"]
    with open(manifest, encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    return sorted(set(columns) & set(modality.names()))


def arguments(row: Row, words: str | None) -> argparse.Namespace:
    """The command line that all recipes share."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of public data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default="allspark-base", help="a shipped model's name, or a folder")
    parser.add_argument("--out", type=Path, default=Path("runs/finetune") / row.name, help="manifest, runs, figures")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON of figures goes")
    parser.add_argument(
        "--choose",
        nargs="*",
        metavar="NAME=VALUE",
        help="one fine-tuning on train, with these changes, measured on val; the test rows are left out",
    )
    parser.add_argument("--dry-run", action="store_true", help="the reference, and what one seed would cost")
    return parser.parse_args()


def tune(given: argparse.Namespace, run_name: str, seed: int, **options: Any) -> dict[str, Any]:
    """One fine-tuning; what an earlier call finished is read, what it began goes on."""
    from allspark.finetune import run
    from allspark.tuning.options import Options

    place = given.out / run_name
    finished = place / "results.json"
    if finished.is_file():
        return json.loads(finished.read_text(encoding="utf-8"))
    began = time.process_time()
    found = run(Options(out=str(place), model=str(given.model), seed=seed, resume=place.is_dir(), **options))
    found["cpu_minutes"] = (time.process_time() - began) / 60
    atomic.write(finished, json.dumps(found, indent=2) + "\n")
    return found


def _part(manifest: Path, name: str, change: Callable[[str], str | None]) -> Path:
    """The manifest with each row's split changed, or the row left out, under another name beside it."""
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = [{**row, "split": change(row["split"])} for row in csv.DictReader(file)]
    return write_csv(manifest.with_name(name), [row for row in rows if row["split"]])


def refitted(given: argparse.Namespace, name: str, seed: int, **options: Any) -> dict[str, Any]:
    """A fine-tuning on train and val together, with what val has chosen before; ``classical`` does the same.

    Args:
        given: the command line.
        name: of the run.
        seed: of it.
        options: of it; "data" is the manifest.
    """
    whole = _part(Path(options["data"]), "whole.csv", lambda split: split if split == "test" else "train")
    return tune(given, name, seed, **{**options, "data": str(whole), "eval_every": options["steps"]})


def chosen(given: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """``--choose``: train on train alone, measure on val, without a row of the test part; the curve is printed."""
    from allspark.finetune import run
    from allspark.tuning.journal import FILE
    from allspark.tuning.options import Options

    changes: dict[str, Any] = {}
    for entry in given.choose:
        name, _, value = entry.partition("=")
        try:
            changes[name] = json.loads(value)
        except json.JSONDecodeError:
            changes[name] = value
    place = given.out / "choose" / ("-".join(given.choose).replace("/", "_") or "as it is")
    data = _part(Path(options["data"]), "seen.csv", lambda split: None if split == "test" else split)
    found = run(Options(out=str(place), model=str(given.model), **{**options, **changes, "data": str(data)}))
    print((place / FILE).read_text(encoding="utf-8"))
    print(json.dumps({"changes": changes, "best_step": found["best_step"], "val": found["val"]}))


def seeds(
    row: Row,
    given: argparse.Namespace,
    reference: Mapping[str, Any],
    options: Mapping[str, Any],
    values: Callable[[int], tuple[float, Mapping[str, Any]]] | None = None,
) -> None:
    """Run every seed, print the row, and write its JSON.

    Args:
        row: of the table.
        given: the command line.
        reference: "name" and "value" of the best classical method, in the metric's own scale (0 to 1 for shares).
        options: of the fine-tuning, for the file.
        values: seed -> value and details, where a seed is more than one fine-tuning.
    """  # fmt: skip

    weights = _weights_hash(str(given.model))
    if given.dry_run:
        from allspark.finetune import run
        from allspark.tuning.options import Options

        print(json.dumps(dict(reference), indent=2))
        run(Options(out=str(given.out / "dry"), model=str(given.model), dry_run=True, **options))
        return
    if given.choose is not None:
        chosen(given, options)
        return

    def one(seed: int) -> tuple[float, Mapping[str, Any]]:
        found = refitted(given, f"seed{seed}", seed, **options)
        return float(found["test"][row.metric]), found

    found = {seed: (values or one)(seed) for seed in given.seeds}
    numbers = np.array([value for value, _ in found.values()])
    mean, std = float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    content = {
        "name": row.name, "title": row.title, "metric": row.metric, "percent": row.percent, "paper": row.paper,
        "reach": row.reach, "reached": bool(row.better(mean, float(reference["value"]))), "note": row.note,
        "mean": mean, "std": std, "values": {str(seed): value for seed, (value, _) in found.items()},
        "reference": dict(reference), "command": f"python recipes/finetune/{row.name}.py --data DIR --seeds "
        + " ".join(map(str, given.seeds)),
        "cpu_minutes": sum(float(details.get("cpu_minutes", 0.0)) for _, details in found.values()),
        "details": {str(seed): details for seed, (_, details) in found.items()},
        "options": {k: v for k, v in options.items() if k != "data"},
        "weights": weights,
        "encoders": _encoder_hashes(str(given.model), _modalities(Path(options["data"]), options)),
        "versions": {name: version(name) for name in PACKAGES},
    }  # fmt: skip
    given.results.mkdir(parents=True, exist_ok=True)
    atomic.write(given.results / f"{row.name}.json", json.dumps(content, indent=2) + "\n")
    scale = 100 if row.percent else 1
    spread = "" if std is None else f" ± {scale * std:.2f}"
    print(
        f"{row.title}: {row.metric} {scale * mean:.2f}{spread} over {len(numbers)} seeds; {reference['name']} "
        f"{scale * float(reference['value']):.2f}; to reach {row.reach}: "
        f"{'reached' if content['reached'] else 'missed'}"
    )
