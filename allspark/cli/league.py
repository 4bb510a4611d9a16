"""bench league and reproduce: every set of the league, one of your own as a row of it, one row measured again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options as opt
from .inputs import read_manifest
from .output import emit_json, emit_table, say

Data = Annotated[str, typer.Option("--data", "-d", help="The folder of the development data (its own README there).")]
Limit = Annotated[int, typer.Option(help="Items of a class that are read at most.", min=2)]


def league(
    data: Data = "",
    model: opt.Model = "allspark-base",
    rows: Annotated[str | None, typer.Option(help="Only these rows, separated by commas; 'none' for none.")] = None,
    manifest: Annotated[
        list[str] | None,
        typer.Option(help="A manifest of your own as a row: `path` or a column per modality, `label`, `group`."),
    ] = None,
    limit: Limit = 100,
    episodes: Annotated[int, typer.Option(help="Per protocol.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Measure rows that are there, too.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that measure rows beside each other.", min=1)] = 1,
    keep: Annotated[str, typer.Option(help="Folder of rows that are done: a killed run goes on.")] = "runs/league",
    out: Annotated[str, typer.Option(help="Folder for league.json, league.md and league.png.")] = "docs",
    as_json: opt.Json = False,
) -> None:
    """Measure every set beside cheap baselines: 1- and 5-shot, zero-shot, linear probe; writes docs/league.md."""
    from allspark.evaluate import league as evaluation

    names = [] if rows == "none" else opt.words(rows) or list(evaluation.ROWS)
    if names and not data:
        raise ValueError("no data folder came; give --data FOLDER, or --rows none with a --manifest")
    own = [Path(path).stem for path in manifest or ()]
    if len(set(own) | set(names)) < len(own) + len(names):
        raise ValueError(f"the rows {', '.join([*names, *own])} are not all named differently; rename a manifest")
    folder = Path(keep)
    found: list[Any] = []
    if names:
        found += evaluation.run(
            names, model, data, folder, limit=limit, episodes=episodes, seed=seed, again=again, workers=workers,
            progress=say,
        )  # fmt: skip
    settings = {"limit": limit, "episodes": episodes, "seed": seed}
    found += _own_rows(manifest or [], model, folder, settings, again)
    table = evaluation.table(found, seed)
    written = [str(path) for path in table.save(out, "league")]
    if as_json:
        import json

        emit_json({**json.loads(table.json()), "written": written})
        return
    table.print()
    say(f"written: {', '.join(written)}")


def _own_rows(manifests: list[str], model: str, folder: Path, settings: dict[str, int], again: bool) -> Iterator[Any]:
    """The rows of a user's manifests; a label is its own name in zero-shot."""
    from dataclasses import replace

    from allspark.evaluate import league as evaluation
    from allspark.evaluate.quick import evaluate_source, subsample
    from allspark.inputs import as_item

    spark: Any = None
    for path in manifests:
        name, settings = Path(path).stem, {**settings, "manifest": path}  # type: ignore[dict-item]
        row = None if again else evaluation.stored(folder, name, settings)
        if row is None:
            import allspark

            spark = spark or allspark.load(model)
            taken = read_manifest(path)
            kept = subsample([one.label for one in taken], most=settings["limit"], seed=settings["seed"])
            items = [as_item(taken[i].item) for i in kept]
            records = [
                evaluation.Record(
                    next(iter(item.values())) if len(item) == 1 else dict(item), taken[i].label,
                    taken[i].group or f"row {i}",
                )
                for i, item in zip(kept, items, strict=True)
            ]  # fmt: skip
            kinds = {tuple(sorted(item)) for item in items}
            if len(kinds) > 1:
                raise ValueError(f"{path} mixes {', '.join('+'.join(kind) for kind in sorted(kinds))}; give one kind")
            row = evaluate_source(
                spark,
                records,
                {one.label: one.label for one in taken},
                episodes=settings["episodes"],
                seed=settings["seed"],
                name=name,
                modality="+".join(kinds.pop()),
                progress=lambda words: say(f"  {words}"),
            )
            row = replace(row, settings=settings)
            evaluation.keep_row(folder, row)
        yield row


def reproduce(
    row: Annotated[str, typer.Argument(metavar="ROW", help="A row of the league.", show_default=False)],
    data: Data,
    model: opt.Model = "allspark-base",
    as_json: opt.Json = False,
) -> None:
    """Measure one row of the league again and compare it with the figures that ship with the model."""
    from allspark import presets
    from allspark.evaluate import league as evaluation
    from allspark.evaluate.report import Table

    place = presets.find(model) / evaluation.SHIPPED
    if not place.is_file():
        raise ValueError(f"{model} ships no figures ({place.name} is not beside its weights); run bench league")
    shipped = {one.name: one for one in Table.from_json(place.read_text(encoding="utf-8")).rows}
    if row not in shipped:
        raise ValueError(f"there is no row {row!r} among the shipped figures; wanted one of {', '.join(shipped)}")
    import allspark

    before = shipped[row]
    after = evaluation.measure(row, allspark.load(model), data, progress=lambda words: say(f"  {words}"),
                               **before.settings)  # fmt: skip
    pairs = evaluation.compared(before, after)
    apart = [pair for pair in pairs if not pair["same"]]
    if as_json:
        emit_json({"row": row, "settings": dict(before.settings), "figures": pairs, "same": not apart})
    else:
        emit_table(
            f"{row}: shipped and measured now, %",
            ["protocol", "features", "shipped>", "now>", "difference>", ""],
            [
                (p["protocol"], p["features"], f"{100 * p['shipped']:.1f} ± {100 * p['interval']:.1f}",
                 f"{100 * p['now']:.1f}", f"{100 * (p['now'] - p['shipped']):+.1f}", "same" if p["same"] else "differs")
                for p in pairs
            ],
        )  # fmt: skip
    if apart:
        say(f"{len(apart)} of {len(pairs)} figures lie outside the shipped 95 % interval")
        raise typer.Exit(1)
