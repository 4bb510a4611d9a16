"""segment: one scene or cloud in, a map of classes out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import options as opt
from .inputs import read_chunks, read_examples
from .output import emit_json, emit_table


def segment(
    files: opt.Files,
    out: Annotated[str, typer.Option("--out", "-o", help="Where to write: .tif, .las, .laz or .npz.")],
    labels: opt.Labels = None,
    examples: opt.Examples = None,
    labelled: Annotated[
        str | None,
        typer.Option(
            help="A raster on the scene's own grid with 0, 1, … where pixels are labelled; --labels names them."
        ),
    ] = None,
    model: opt.Model = "allspark-base",
    modality: opt.ModalityName = None,
    units: opt.Units = None,
    bands: opt.Bands = None,
    wavelengths: opt.Wavelengths = None,
    crs: opt.Crs = None,
    as_json: opt.Json = False,
) -> None:
    """Give every pixel or point of a scene a class: by --labels, by --labelled pixels, or by --examples."""
    if (labels is None) == (examples is None):
        raise typer.BadParameter("give either --labels a,b,c (alone or with --labelled) or --examples FOLDER")
    if labelled is not None and labels is None:
        raise typer.BadParameter("--labelled needs --labels, the names of its numbers 0, 1, …")
    reading = opt.reading(units, bands, wavelengths, crs, None)
    chunk = next(read_chunks(files, modality, reading))
    if len(chunk) != 1:
        raise typer.BadParameter(f"{len(chunk)} inputs came; segment takes one at a time")
    scene = chunk[0]
    if scene.error is not None:
        raise ValueError(scene.error)
    names = opt.words(labels)
    shown: dict[str, Any] | None = None
    if examples is not None:
        shown = _whole(read_examples(examples, modality, reading))
    elif labelled is not None:
        shown = _from_pixels(scene.item, labelled, names or [])
    import allspark

    spark = allspark.load(model)
    found = spark.segment([scene.item], names if shown is None else None, examples=shown)[0]
    found.write(out)
    counts = {label: int((found.classes == number).sum()) for number, label in enumerate(found.labels)}
    valid = sum(counts.values())
    shares = {label: count / valid if valid else 0.0 for label, count in counts.items()}
    if as_json:
        without = 1 - valid / found.classes.size
        emit_json({"model": model, "file": scene.name, "out": out, "shares": shares, "no_data_share": without})
    else:
        rows = [(label, f"{share:.1%}") for label, share in shares.items()]
        emit_table(f"{scene.name} -> {out}", ["class", "share of what is valid>"], rows)


def _whole(examples: dict[str, list[Any]]) -> dict[str, list[tuple[Any, Any]]]:
    """Example files belong to their class as a whole: label -> (item, a mask of all of it)."""
    import numpy as np

    from ..items import PointCloud, Raster

    def everywhere(item: Any) -> Any:
        bare = next(iter(item.values())) if isinstance(item, dict) else item
        if isinstance(bare, Raster):
            return np.ones(bare.values.shape[-2:], bool)
        if isinstance(bare, PointCloud):
            return np.ones(len(bare.xyz), bool)
        raise ValueError(f"a {type(bare).__name__} came as an example; segment reads rasters and point clouds")

    return {label: [(item, everywhere(item)) for item in items] for label, items in examples.items()}


def _from_pixels(scene: Any, labelled: str, names: list[str]) -> dict[str, tuple[Any, Any]]:
    """A raster of class numbers on the scene's grid -> label -> (scene, mask)."""
    import allspark

    from ..items import Raster

    numbers = allspark.read(labelled, units="dn", bands=["label"])
    bare = next(iter(scene.values())) if isinstance(scene, dict) else scene
    if not isinstance(numbers, Raster) or not isinstance(bare, Raster):
        raise ValueError("--labelled takes a raster of class numbers for a raster; use --examples for point clouds")
    if numbers.values.shape[-2:] != bare.values.shape[-2:]:
        raise ValueError(
            f"{labelled} has {numbers.values.shape[-2:]} pixels, the scene {bare.values.shape[-2:]}; "
            "bring it to the scene's grid"
        )
    return {name: (scene, (numbers.values[0] == number) & numbers.mask) for number, name in enumerate(names)}
