"""The league: which sets are measured, how each stays unseen, and one row after the other into one table.

A row is written when it is done, with the settings it was made with, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from .. import atomic
from .quick import evaluate_source
from .report import AT_ONCE, TOGETHER, Row, Table
from .sources import SOURCES, Record, load

SHIPPED = "league.json"  # beside the weights: the figures that `reproduce` compares with
LIMIT = 100  # items of a class that are read, unless a row says less


@dataclass(frozen=True)
class Spec:
    """One row.

    Attributes:
        source: of `sources.SOURCES`; its part "test" is measured.
        unseen: how it stays unseen, in words.
        most: items of a class at most, where a class has many more and each costs much.
        keep: of items of several modalities, only these.
        points: measured per point instead of per item (`points.point_row`).
    """

    source: str
    unseen: str
    most: int = 300
    keep: tuple[str, ...] = ()
    points: bool = False


NEVER, CLASSES = "not trained on", "its classes were kept out of training"
ROWS: dict[str, Spec] = {
    "rsscn7": Spec("rsscn7", NEVER),
    "aid": Spec("aid", CLASSES),
    "mstar10": Spec("mstar10", CLASSES),
    "satlab_slum": Spec("satlab_slum", "5 km cells kept out"),
    "statlog_landsat": Spec("statlog_landsat", "official test part"),
    "denmark_crops": Spec("denmark_crops", "parcels kept out"),
    "tempcnn_formosat2": Spec("tempcnn_formosat2", NEVER),
    "houston2018": Spec("houston2018", "blocks of 16 pixels kept out"),
    "modelnet10": Spec("modelnet10", CLASSES),
    "ign_lidarhd": Spec("ign_lidarhd", "tiles kept out; crops of one class"),
    "ign_points": Spec("ign_lidarhd", "tiles kept out; single points", points=True),
    "geolife": Spec("geolife", "users kept out"),
    "hurricanes": Spec("hurricanes", "official test part"),
    "proteins": Spec("proteins", NEVER),
    "airports_usa": Spec("airports_usa", NEVER),
    "cora": Spec("cora", NEVER),
    "covertype": Spec("covertype", NEVER),
    "20newsgroups": Spec("20newsgroups", NEVER, most=60),
    "poj104": Spec("poj104", "problems kept out", most=40),
    "linguist_samples": Spec("linguist_samples", NEVER, most=40),
    **{
        f"idtrees_{name}": Spec("idtrees_paired", "plots kept out", keep=keep)
        for name, keep in {
            "rgb": ("rgb",),
            "hyperspectral": ("hyperspectral",),
            "points": ("point_cloud",),
            "rgb_points": ("rgb", "point_cloud"),
            "rgb_hyperspectral": ("rgb", "hyperspectral"),
            "all": ("rgb", "hyperspectral", "point_cloud"),
        }.items()
    },
}


def measure(
    name: str,
    spark: Any,
    data: Path | str,
    *,
    limit: int = LIMIT,
    episodes: int = 600,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Row:
    """Measure one row.

    Args:
        name: of `ROWS`.
        spark: an ``AllSpark``.
        data: the folder that the sources' files are relative to.
        limit: items of a class that are read at most.
        episodes: per protocol.
        seed: of what is drawn.
        progress: told in a few words what comes next.

    Raises:
        ValueError: an unknown row.
        FileNotFoundError: its files are not in ``data``.
    """
    if name not in ROWS:
        raise ValueError(f"there is no row {name!r}; wanted one of {', '.join(ROWS)}")
    spec = ROWS[name]
    source = SOURCES[spec.source]
    if spec.points:
        from .points import point_row

        row = point_row(spark, data, name=name, limit=limit, episodes=episodes, seed=seed, progress=progress)
    else:
        records = load(source, data, "test", per_class=min(limit, spec.most), seed=seed)
        row = evaluate_source(
            spark, [_kept(record, spec.keep) for record in records], source.labels, episodes=episodes, seed=seed,
            name=name, modality="+".join(sorted(spec.keep)) or source.modality, progress=progress,
        )  # fmt: skip
    settings = {"limit": limit, "episodes": episodes, "seed": seed}
    return replace(row, settings=settings, notes=(f"Unseen: {spec.unseen}.", *row.notes))


def _kept(record: Record, keep: Sequence[str]) -> Record:
    if not keep:
        return record
    item: Any = record.item
    return replace(record, item=item[keep[0]] if len(keep) == 1 else {name: item[name] for name in keep})


def stored(folder: Path, name: str, settings: Mapping[str, Any]) -> Row | None:
    """A row that was made before; None where there is none.

    Raises:
        ValueError: it was made with other settings, or is no row of this version.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    row: Row = Table.from_json(path.read_text(encoding="utf-8")).rows[0]
    if dict(row.settings) != dict(settings):
        raise ValueError(f"{path} was made with {dict(row.settings)}, not {dict(settings)}; measure it --again")
    return row


def keep_row(folder: Path, row: Row) -> None:
    """Write a row under its name, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / f"{row.name}.json", Table([row]).json() + "\n")


def run(
    names: Sequence[str],
    model: str,
    data: Path | str,
    folder: Path,
    *,
    limit: int = LIMIT,
    episodes: int = 600,
    seed: int = 0,
    again: bool = False,
    workers: int = 1,
    progress: Callable[[str], None] = print,
) -> Iterator[Row]:
    """Measure what is not there yet; rows come as they are done, in the order of ``names`` with one worker.

    Args:
        names: of `ROWS`.
        model: a shipped name or a folder.
        data: as in `measure`.
        folder: where rows are kept.
        again: measure what is there, too.
        workers: processes that measure rows beside each other, each with its share of the cores.
    """
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise ValueError(f"there is no row {', '.join(unknown)}; wanted some of {', '.join(ROWS)}")
    settings = {"limit": limit, "episodes": episodes, "seed": seed}
    missing = []
    for name in names:
        row = None if again else stored(folder, name, settings)
        if row is None:
            missing.append(name)
        else:
            yield row
    threads = max(1, (os.cpu_count() or 1) // workers)
    jobs = [(name, model, str(data), str(folder), settings, threads) for name in missing]
    if workers == 1:
        for job in jobs:
            yield _work(*job[:5], threads=0, progress=progress)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_work, *job) for job in jobs]):
            row = done.result()
            progress(f"{row.name}: done")
            yield row


@cache
def _model(name: str) -> Any:
    from ..api import load as load_model

    return load_model(name)


def _work(
    name: str,
    model: str,
    data: str,
    folder: str,
    settings: Mapping[str, Any],
    threads: int,
    progress: Callable[[str], None] | None = None,
) -> Row:
    """One row, measured and kept; ``threads`` 0 leaves torch's own number."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    start = time.perf_counter()
    say = progress or (lambda words: None)
    row = measure(name, _model(model), data, **settings, progress=lambda words: say(f"  {words}"))
    keep_row(Path(folder), row)
    say(f"{name}: {time.perf_counter() - start:.0f} s")
    return row


def compared(before: Row, after: Row) -> list[dict[str, Any]]:
    """Every figure of a row beside the same one of another; "same" is within the first one's interval (0.5 points at
    least: sums of floating-point numbers differ between machines).
    """

    def cells(row: Row) -> dict[tuple[str, str], Any]:
        found: dict[tuple[str, str], Any] = {
            (line.protocol, name): cell for line in row.lines for name, cell in {**line.cells, **line.baselines}.items()
        }
        return found | ({("zero-shot", "language"): row.zero_shot} if row.zero_shot else {})

    old, new = cells(before), cells(after)
    return [
        {
            "protocol": key[0], "features": key[1], "shipped": old[key].mean, "interval": old[key].interval,
            "now": new[key].mean, "same": abs(new[key].mean - old[key].mean) <= max(old[key].interval, 0.005),
        }
        for key in old if key in new
    ]  # fmt: skip


def against_encoder(rows: Sequence[Row]) -> list[str]:
    """What the language model and asking at once add to encoders, over the rows: the means, and where they hurt."""
    found = []
    for shots in sorted({line.shots for row in rows for line in row.lines if line.task == "few-shot"}):
        for level in ("language", TOGETHER, AT_ONCE):
            gains = {
                row.name: line.cells[level].mean - line.cells["encoder"].mean
                for row in rows
                for line in row.lines
                if line.task == "few-shot" and line.shots == shots and {level, "encoder"} <= set(line.cells)
            }
            if gains:
                worst = sorted(gains, key=gains.__getitem__)[:3]
                hurts = [f"{name} {100 * gains[name]:+.1f}" for name in worst if gains[name] < 0]
                mean = 100 * sum(gains.values()) / len(gains)
                better = sum(gain > 0 for gain in gains.values())
                found.append(
                    f"{shots}-shot, {level} against encoder alone: {mean:+.1f} points on the mean of {len(gains)} "
                    f"rows, better on {better}" + (f"; most hurt: {', '.join(hurts)}." if hurts else ".")
                )
    return found


def table(rows: Sequence[Row], seed: int = 0) -> Table:
    """The rows in the league's order, with what they say of the language model against encoders alone."""
    order = {name: i for i, name in enumerate(ROWS)}
    ordered = sorted(rows, key=lambda row: order.get(row.name, len(order)))
    return Table(ordered, seed=seed, remarks=tuple(against_encoder(ordered)))
