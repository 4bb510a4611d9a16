"""bench few-shot: a model and cheap features on the same episodes of your own labelled data."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import options as opt
from .inputs import read_manifest
from .output import emit_json, emit_table, say


def few_shot(
    data: Annotated[
        str,
        typer.Option("--data", "-d", help="A manifest: `path` or a column per modality, `label`, `group`, `split`."),
    ],
    model: opt.Model = "allspark-base",
    at: opt.At = "language",
    ways: Annotated[int, typer.Option(help="Classes per episode.", min=2)] = 5,
    shots: Annotated[str, typer.Option(help="Examples per class, separated by commas.")] = "1,5",
    queries: Annotated[int, typer.Option(help="Queries per class.", min=1)] = 15,
    episodes: Annotated[int, typer.Option(help="Episodes.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Of the draw of episodes.")] = 0,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.")] = None,
    baselines: Annotated[bool, typer.Option(help="Cheap features on the same episodes.")] = True,
    modality: opt.ModalityName = None,
    as_json: opt.Json = False,
) -> None:
    """Few-shot accuracy over episodes: mean and 95 % interval; support and query never share a group."""
    counts = [int(number) for number in opt.numbers(shots, "shots") or []]
    rows = read_manifest(data, modality, split=split)
    import allspark
    from allspark.evaluate.baselines import cheap_features, score_baselines
    from allspark.evaluate.draw import draw_episodes
    from allspark.evaluate.episodes import Result, score_episodes
    from allspark.inputs import as_item

    items = [as_item(row.item) for row in rows]
    labels, groups = [row.label for row in rows], [row.group for row in rows]
    named = [group for group in groups if group is not None]
    if named and len(named) != len(groups):
        raise ValueError(f"{data} names a group for {len(named)} of {len(groups)} rows; name one for each, or for none")
    features: Any = allspark.load(model).embed(items, at=at)
    kinds = {tuple(item) for item in items}
    cheap = {}
    if baselines and len(kinds) == 1 and len(kind := next(iter(kinds))) == 1:
        cheap = cheap_features([item[kind[0]] for item in items], kind[0])
    elif baselines and len(kinds) == 1:
        cheap = cheap_features(items, "")

    results: list[dict[str, Any]] = []
    notes: list[str] = []
    for count in counts:
        drawn = draw_episodes(
            labels, named or None, ways=ways, shots=count, queries=queries, episodes=episodes, seed=seed
        )
        notes += [note for note in drawn.notes if note not in notes]
        scored: dict[str, Result] = {f"{model} at {at}": score_episodes(features, drawn)}
        scored |= score_baselines(cheap, drawn)
        for name, result in scored.items():
            facts = {"features": name, "ways": result.ways, "shots": count, "episodes": result.episodes}
            results.append(facts | {"accuracy": result.mean, "interval": result.interval, "chance": result.chance})
    if as_json:
        about = {"data": data, "items": len(items), "classes": sorted(set(labels)), "grouped": bool(named)}
        emit_json({**about, "model": model, "at": at, "seed": seed, "results": results, "notes": notes})
        return
    for note in notes:
        say(f"note: {note}")
    emit_table(
        f"{data}: {len(items)} items, {len(set(labels))} classes; % ± 95 % interval",
        ["features", "ways>", "shots>", "accuracy>", "chance>", "episodes>"],
        [
            (
                row["features"],
                row["ways"],
                row["shots"],
                f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f}",
                f"{100 * row['chance']:.0f}",
                row["episodes"],
            )
            for row in results
        ],
    )
