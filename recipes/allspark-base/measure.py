"""The table beside the weights: every development test set, few-shot and zero-shot, beside the cheap baselines.

Only test parts are read, and nothing is chosen on them. A row is written when it is done, so a killed run goes on.

    python recipes/allspark-base/measure.py --data DIR --model allspark-base --out runs/base/measured
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import allspark
from allspark.evaluate.quick import evaluate_source
from allspark.evaluate.report import Table
from allspark.evaluate.sources import SOURCES, load

ROWS = (
    "rsscn7", "aid", "mstar10", "satlab_slum", "statlog_landsat", "denmark_crops", "tempcnn_formosat2", "houston2018",
    "modelnet10", "ign_lidarhd", "geolife", "hurricanes", "proteins", "airports_usa", "covertype", "20newsgroups",
    "poj104", "linguist_samples",
)  # fmt: skip
MOST = {"poj104": 40, "20newsgroups": 150, "covertype": 300}  # per class, where a class has many more


def main() -> None:
    """Measure the rows that are asked for, print the table, write JSON, Markdown and PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--model", default="allspark-base")
    parser.add_argument("--out", default="runs/base/measured", type=Path)
    parser.add_argument("--rows", nargs="*", default=ROWS)
    parser.add_argument("--per-class", type=int, default=100, help="items of a class that are read at most")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tables", type=Path, help="folder for figures.json, figures.md and figures.png")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    spark = None
    for name in options.rows:
        path = options.out / f"{name}.json"
        if path.exists():
            continue
        spark = spark or allspark.load(options.model)
        start, source = time.perf_counter(), SOURCES[name]
        records = load(source, options.data, "test", per_class=min(options.per_class, MOST.get(name, 300)))
        row = evaluate_source(
            spark, records, source.labels, name=name, modality=source.modality, episodes=options.episodes,
            progress=lambda words: print(f"  {words} ({time.perf_counter() - start:.0f} s)", flush=True),  # noqa: B023
        )  # fmt: skip
        path.write_text(Table([row]).json(), encoding="utf-8")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    rows = [Table.from_json((options.out / f"{n}.json").read_text(encoding="utf-8")).rows[0] for n in options.rows]
    table = Table(rows)
    table.print()
    if options.tables:
        table.save(options.tables, "figures")


if __name__ == "__main__":
    main()
