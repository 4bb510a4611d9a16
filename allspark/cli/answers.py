"""classify, embed, ask, segment: files in, answers out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

from . import options as opt
from .inputs import Input, read_chunks, read_examples
from .output import emit_json, emit_table, say, sentence


def _answer(
    inputs: Sequence[Input], answer: Callable[[Any], Sequence[Any]], failed: Callable[[Any], bool]
) -> list[Any]:
    """One answer, or the sentence why there is none, for each input in its order.

    All inputs are answered together; those without an answer are asked again alone, which says why.
    """
    results: list[Any] = [entry.error for entry in inputs]
    good = [index for index, entry in enumerate(inputs) if entry.error is None]
    answers: Sequence[Any] = []
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*inputs could not be read")  # each is named here
            items = [inputs[index].item for index in good]
            answers = answer(items[0] if len(items) == 1 else items) if items else []  # one alone says what is wrong
    except (ValueError, OSError) as error:
        if len(good) == 1:
            results[good[0]] = sentence(error)
            return results
    for place, index in enumerate(good):
        if answers and (len(good) == 1 or not failed(answers[place])):
            results[index] = answers[place]
        else:
            results[index] = _answer([inputs[index]], answer, failed)[0]
    return results


def _finish(failed: Sequence[tuple[str, str]], as_json: bool) -> None:
    """Name the inputs that have no answer; exit code 1 if there are any."""
    if failed:
        if not as_json:
            for name, error in failed:
                say(f"error: {name}: {error}")
        raise typer.Exit(1)


def _each(chunks: Iterable[Sequence[Input]], ask: Callable[[Any], Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    """The name of every input and its prediction, or why there is none."""
    for chunk in chunks:
        answers = _answer(chunk, ask, lambda prediction: prediction.error is not None)
        yield from zip((entry.name for entry in chunk), answers, strict=True)


def _together(
    spark: Any, few: Any, chunks: Iterable[Sequence[Input]], abstain_below: float | None
) -> Iterator[tuple[str, Any]]:
    """As `_each`, of all inputs at once: only their vectors are kept until the last one is read."""
    import torch

    from ..modality import recognise
    from ..predictions import prediction_of

    found: list[tuple[str, Any, Any]] = []  # name, modalities, vector or why there is none
    for chunk in chunks:
        answers = _answer(chunk, lambda items: list(spark.embed(items, at=few.at)), lambda row: bool(row.isnan().any()))
        for entry, answer in zip(chunk, answers, strict=True):
            kind = None
            if not isinstance(answer, str):
                kind = tuple(entry.item) if isinstance(entry.item, dict) else (recognise(entry.item).name,)
            found.append((entry.name, kind, answer))
    vectors = [answer for _, kind, answer in found if kind is not None]
    rows = iter(few.predict(torch.stack(vectors), transductive=True) if vectors else ())
    for name, kind, answer in found:
        yield name, answer if kind is None else prediction_of(kind, few.labels, next(rows), abstain_below)


def classify(
    files: opt.Files,
    labels: opt.Labels = None,
    examples: opt.Examples = None,
    model: opt.Model = "allspark-base",
    at: opt.FewShotAt = None,
    abstain_below: Annotated[
        float | None, typer.Option(help="Give no label where the best score is below this.", min=0, max=1)
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="With --examples: all files are asked at once, and learnt from too.")
    ] = False,
    modality: opt.ModalityName = None,
    units: opt.Units = None,
    bands: opt.Bands = None,
    wavelengths: opt.Wavelengths = None,
    crs: opt.Crs = None,
    id_: opt.Id = None,
    as_json: opt.Json = False,
) -> None:
    """Classify files zero-shot (--labels) or by labelled examples (--examples)."""
    reading = opt.reading(units, bands, wavelengths, crs, id_)
    if (labels is None) == (examples is None):
        raise typer.BadParameter("give either --labels a,b,c or --examples FOLDER")
    if together and examples is None:
        raise typer.BadParameter("--together goes with --examples FOLDER; leave it out")
    classes = opt.words(labels)
    shown = None if examples is None else read_examples(examples, modality, reading)
    import allspark
    from allspark.presets import FEW_SHOT_LEVEL

    at = at or FEW_SHOT_LEVEL
    spark = allspark.load(model)
    few = None if shown is None else spark.few_shot(shown, at=at)
    results: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    chunks = read_chunks(files, modality, reading)
    if together and few is not None:
        pairs = _together(spark, few, chunks, abstain_below)
    else:
        pairs = _each(
            chunks, lambda items: spark.classify(items, classes, examples=few, at=at, abstain_below=abstain_below)
        )
    for name, answer in pairs:
        error = answer if isinstance(answer, str) else answer.error
        if error is not None:
            failed.append((name, error))
            results.append({"file": name, "error": error})
            continue
        results.append(
            {
                "file": name,
                "label": None if answer.abstained else answer.label,
                "scores": answer.scores,
                "inputs_used": answer.inputs_used,
                "abstained": answer.abstained,
                "error": None,
            }
        )
    if as_json:
        emit_json({"model": model, "at": at, "results": results})
    else:
        good = [result for result in results if result["error"] is None]
        emit_table(
            f"classified by {model}",
            ["file", "label", "score>", "next", "read as"],
            [(r["file"], r["label"] or "(abstained)", *_best(r["scores"]), ", ".join(r["inputs_used"])) for r in good],
        )
    _finish(failed, as_json)


def _best(scores: dict[str, float]) -> tuple[str, str]:
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    return f"{ranked[0][1]:.3f}", ", ".join(f"{label} {score:.3f}" for label, score in ranked[1:3])


def embed(
    files: opt.Files,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Where to write: .npz, .parquet or .geoparquet (with footprints).")
    ] = None,
    model: opt.Model = "allspark-base",
    at: opt.At = "language",
    modality: opt.ModalityName = None,
    units: opt.Units = None,
    bands: opt.Bands = None,
    wavelengths: opt.Wavelengths = None,
    crs: opt.Crs = None,
    id_: opt.Id = None,
    as_json: opt.Json = False,
) -> None:
    """Write one vector per file; with --json and no --out, print the vectors."""
    if out is None and not as_json:
        raise typer.BadParameter("say where to write with --out vectors.parquet, or print them with --json")
    import numpy as np

    from . import embeddings

    if out is not None:
        embeddings.check_suffix(out)
    reading = opt.reading(units, bands, wavelengths, crs, id_)
    import allspark

    spark = allspark.load(model)

    def vectors_of(items: Any) -> list[Any]:
        found: Any = spark.embed(items, at=at)
        return list(found.float().cpu().numpy())

    names, vectors, shapes, failed = [], [], [], []
    for chunk in read_chunks(files, modality, reading):
        answers = _answer(chunk, vectors_of, lambda vector: not np.isfinite(vector).all())
        for entry, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, str):
                failed.append((entry.name, answer))
                continue
            names.append(entry.name)
            vectors.append(answer)
            shapes.append(embeddings.footprint(entry.item))
    if vectors and out is not None:
        embeddings.write(out, names, np.stack(vectors), shapes)
    if as_json:
        written = {} if out is not None else {"embeddings": vectors}
        errors = [{"file": name, "error": error} for name, error in failed]
        width = len(vectors[0]) if vectors else None
        emit_json({"model": model, "at": at, "out": out, "width": width, "files": names, **written, "errors": errors})
    elif vectors:
        placed = sum(shape is not None for shape in shapes)
        emit_table(
            f"embedded by {model}",
            ["written to", "vectors>", "width>", "with a place>"],
            [(out, len(vectors), len(vectors[0]), placed)],
        )
    _finish(failed, as_json)


def ask(
    files: opt.Files,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Asked of each input.", show_default=False)],
    model: opt.Model = "allspark-base",
    max_new_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.", min=1)] = 64,
    modality: opt.ModalityName = None,
    units: opt.Units = None,
    bands: opt.Bands = None,
    wavelengths: opt.Wavelengths = None,
    crs: opt.Crs = None,
    id_: opt.Id = None,
    as_json: opt.Json = False,
) -> None:
    """Ask one question of each input, in words."""
    reading = opt.reading(units, bands, wavelengths, crs, id_)
    if not question.strip():
        raise typer.BadParameter("the question is empty")
    import allspark

    spark = allspark.load(model)
    results, failed = [], []
    for chunk in read_chunks(files, modality, reading):
        answers = _answer(
            chunk,
            lambda items: [{"answer": said} for said in spark.ask(items, question, max_new_tokens=max_new_tokens)],
            lambda said: said["answer"] == "",
        )
        for entry, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, str):
                failed.append((entry.name, answer))
                results.append({"file": entry.name, "answer": None, "error": answer})
            else:
                results.append({"file": entry.name, **answer, "error": None})
    if as_json:
        emit_json({"model": model, "question": question, "results": results})
    else:
        rows = [(result["file"], result["answer"]) for result in results if result["error"] is None]
        emit_table(question, ["file", "answer"], rows)
    _finish(failed, as_json)
