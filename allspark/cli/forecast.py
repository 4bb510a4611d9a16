"""forecast: fields over time in, the frames after them out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import options as opt
from .output import emit_json, emit_table


def forecast(
    file: opt.File,
    out: Annotated[str, typer.Option("--out", "-o", help="Where to write: .nc or a .zarr folder.")],
    horizon: Annotated[
        int | None, typer.Option(help="Frames to forecast; by default all that the task was trained for.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which of the model's tasks, where the data do not say.")] = None,
    rollout: Annotated[
        bool, typer.Option("--rollout", help="Go beyond the trained horizon by feeding forecasts back.")
    ] = False,
    variables: Annotated[
        str | None, typer.Option(help="Fields of the file that are the channels, separated by commas.")
    ] = None,
    units: opt.Units = None,
    figure: Annotated[
        str | None, typer.Option(help="A picture too: .gif shows the frames one after the other, .png side by side.")
    ] = None,
    model: opt.Model = "unistd-base",
    as_json: opt.Json = False,
) -> None:
    """Forecast the frames after the last of a NetCDF, Zarr, GRIB, GeoTIFF, npy or npz file."""
    from ..spatiotemporal.files import check_out, write_dataset
    from ..spatiotemporal.forecaster import Forecaster
    from ..spatiotemporal.frames import frames_of

    check_out(out)
    if figure is not None and Path(figure).suffix.lower() not in (".gif", ".png"):
        raise typer.BadParameter(f"--figure is {figure}; wanted a .gif or a .png")
    forecaster = Forecaster.load(model)
    frames = frames_of(file, opt.words(variables))
    found = forecaster.forecast(frames, horizon, task=task, rollout=rollout, units=units)
    write_dataset(found, out)
    if figure is not None:
        from ..spatiotemporal.pictures import draw_forecast

        draw_forecast(frames, found, figure)
    rows = [
        {
            "field": str(name),
            "units": found[name].attrs["units"],
            "least": float(found[name].min()),
            "mean": float(found[name].mean()),
            "most": float(found[name].max()),
        }
        for name in found.data_vars
    ]
    times = [str(instant) for instant in found["time"].values]
    if as_json:
        facts = {"model": model, "file": file, "out": os.fspath(out), "figure": figure}
        emit_json({**facts, "time": times, "fields": rows})
        return
    table = [(r["field"], r["units"], *(f"{r[key]:.4g}" for key in ("least", "mean", "most"))) for r in rows]
    title = f"{file} -> {out}: {len(times)} frames, {times[0]} to {times[-1]}"
    emit_table(title, ["field", "units", "least>", "mean>", "most>"], table)
