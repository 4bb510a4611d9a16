"""The options that several commands share, each declared once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Files, each one input. [bold]MODALITY=FILE[/] pairs beside each other are one input of several "
        "modalities (rgb=a.png point_cloud=a.laz); a modality that comes again begins the next input.",
        show_default=False,
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="A file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Model = Annotated[str, typer.Option("--model", "-m", help="A model that ships with the package, or a folder.")]
ModalityName = Annotated[str | None, typer.Option("--modality", help="What the files are, where they do not say.")]
Labels = Annotated[str | None, typer.Option("--labels", "-l", help="The classes, separated by commas.")]
Examples = Annotated[
    str | None,
    typer.Option(
        "--examples", "-e", help="Labelled examples: a folder with one sub-folder per class, or a manifest with labels."
    ),
]
At = Annotated[
    str, typer.Option("--at", help="Where features are taken: encoder, bridge, language or several (encoder+language).")
]
FewShotAt = Annotated[
    str | None, typer.Option("--at", help="Whence examples are compared: encoder, bridge, language, encoder+language.")
]
Units = Annotated[str | None, typer.Option("--units", help="Units of a raster that does not name them: db, dn, …")]
Bands = Annotated[str | None, typer.Option("--bands", help="Band names in the file's order, separated by commas.")]
Wavelengths = Annotated[
    str | None, typer.Option("--wavelengths", help="Band centres in micrometres, separated by commas.")
]
Crs = Annotated[str | None, typer.Option("--crs", help="Coordinate system, where the file does not name it.")]
Id = Annotated[str | None, typer.Option("--id", help="Which of several trajectories in one file.")]


def words(text: str | None) -> list[str] | None:
    """ "a, b" -> ["a", "b"]; None stays None."""
    if text is None:
        return None
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise ValueError(f"{text!r} names nothing; wanted words separated by commas")
    return found


def numbers(text: str | None, name: str) -> list[float] | None:
    """ "0.49,0.56" -> [0.49, 0.56]; ValueError names the option."""
    try:
        return None if text is None else [float(word) for word in words(text) or []]
    except ValueError:
        raise ValueError(f"--{name} is {text!r}; wanted numbers separated by commas") from None


def reading(
    units: str | None, bands: str | None, wavelengths: str | None, crs: str | None, id_: str | None
) -> dict[str, Any]:
    """The options of ``allspark.read`` that were given."""
    given = {
        "units": units,
        "bands": words(bands),
        "wavelengths": numbers(wavelengths, "wavelengths"),
        "crs": crs,
        "id": id_,
    }
    return {name: value for name, value in given.items() if value is not None}
