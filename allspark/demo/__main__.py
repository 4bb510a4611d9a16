"""`python -m allspark.demo`: every modality zero-shot, few-shot and asked; two of one place; a map of water."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import allspark

from .picture import draw
from .tasks import TASKS, Task, flood_labels

SHOTS = 3
QUESTION = "What is it?"


def few_shot(spark: Any, task: Task, seed: int = 0) -> tuple[int, int]:
    """(right, asked): learn from ``SHOTS`` pieces of each class, answer the others."""
    generator = np.random.default_rng(seed)
    examples, asked, truths = {}, [], []
    for label, pieces in task.pieces.items():
        order = generator.permutation(len(pieces))
        taken = min(SHOTS, len(pieces) - 1)
        examples[label] = [{task.modality: pieces[i]} for i in order[:taken]]
        asked += [{task.modality: pieces[i]} for i in order[taken:]]
        truths += [label] * (len(pieces) - taken)
    found = spark.classify(asked, examples=examples)
    return sum(prediction.label == truth for prediction, truth in zip(found, truths, strict=True)), len(asked)


def water_map(spark: Any, scene: Any, labels: np.ndarray, pixels: int = 40) -> tuple[np.ndarray, np.ndarray, float]:
    """Water in the scene from a few labelled pixels of its left half.

    Returns:
        The (H, W) answer, the (H, W) bool mask of the pixels that were shown, and the intersection over union of water
        on the right half, of which nothing was shown.
    """
    generator = np.random.default_rng(0)
    half = labels.shape[1] // 2
    shown = {}
    for number, label in enumerate(("dry land", "water")):
        places = np.argwhere(labels[:, :half] == number)
        mask = np.zeros(labels.shape, bool)
        mask[tuple(places[generator.choice(len(places), pixels, replace=False)].T)] = True
        shown[label] = ({"multispectral": scene}, mask)
    answer = spark.segment([{"multispectral": scene}], examples=shown)[0].classes
    truth, guess = labels[:, half:], answer[:, half:]
    both, either = (truth == 1) & (guess == 1), ((truth == 1) | (guess == 1)) & (truth >= 0)
    return answer, shown["water"][1] | shown["dry land"][1], float(both.sum() / either.sum())


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(prog="python -m allspark.demo", description=__doc__)
    parser.add_argument("--model", default="allspark-base", help="a shipped model or a folder")
    parser.add_argument("--out", type=Path, default=Path("out/demo.png"), help="where the picture is written")
    given = parser.parse_args()

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 130)  # a log is no 80 columns wide
    start = time.perf_counter()
    spark = allspark.load(given.model)
    console.print(f"{given.model} loaded in {time.perf_counter() - start:.1f} s: {', '.join(spark.modalities)}\n")

    table = Table(title="Ten kinds of data, one language space", title_justify="left")
    for name in ("modality", "sample", "zero-shot", "of", f"few-shot, {SHOTS} examples a class", f"“{QUESTION}”"):
        table.add_column(name, overflow="fold")
    bars, asked, notes = [], {}, []
    for make in TASKS:
        task = make()
        prediction = spark.classify([{task.modality: task.item}], list(task.labels))[0]
        right, count = few_shot(spark, task)
        answer = spark.ask([{task.modality: task.item}], QUESTION, max_new_tokens=16)[0]
        verdict = "right" if prediction.label == task.truth else f"wrong: {task.truth}"
        table.add_row(
            task.modality,
            task.file,
            f"{prediction.label} {prediction.scores[prediction.label]:.2f} ({verdict})",
            str(len(task.labels)),
            f"{right} of {count}: {' / '.join(task.pieces)}",
            escape(answer) or "(no words)",
        )
        bars.append((task.modality, prediction.scores, task.truth))
        notes.append(f"{task.modality}: {task.pieces_of}")
        asked[task.modality] = task
    console.print(table)
    console.print("The few-shot pieces are cut from the samples (" + "; ".join(notes) + ").")
    console.print("They are few and alike: a demonstration, no figure. The model card has the figures.\n", style="bold")

    place = {name: asked[name].item for name in ("multispectral", "sar")}
    labels = list(asked["sar"].labels)
    console.print("Two modalities of one place in one input, multispectral_flood.tif and sar_flood.tif:")
    choices = {"both": place} | {f"{name} alone": {name: part} for name, part in place.items()}
    for words, item in choices.items():
        found = spark.classify([item], labels)[0]
        scores = ", ".join(f"{label} {score:.2f}" for label, score in found.scores.items())
        console.print(f"  {words:20} {scores}   (read: {', '.join(found.inputs_used)})")
    console.print(
        f"  “{QUESTION}” of both: {escape(spark.ask([place], QUESTION, max_new_tokens=16)[0]) or '(no words)'}\n"
    )

    truth = flood_labels()
    found_water, learned, overlap = water_map(spark, place["multispectral"], truth)
    console.print(
        f"Water in the flood scene from {int(learned.sum())} labelled pixels of its left half: "
        f"intersection over union {overlap:.2f} on the right half, where no label was shown."
    )
    title = f"answer (IoU {overlap:.2f} on the right)"
    draw(given.out, place["multispectral"], truth, learned, found_water, title, bars)
    console.print(f"Picture: {given.out}   ({time.perf_counter() - start:.0f} s in all)")


if __name__ == "__main__":
    main()
