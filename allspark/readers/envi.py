"""An ENVI raster is two files, a header and its data: either may be named, the data file is what GDAL opens."""

from __future__ import annotations

from . import UnreadableFileError
from .place import Place

DATA_SUFFIXES = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw", ".bin")


def header_of(place: Place) -> Place | None:
    """The header of a data file: ``scene.hdr`` or ``scene.img.hdr``; None where there is none."""
    names = {file.name.lower(): file for file in place.neighbours()}
    for name in (f"{place.name}.hdr", f"{place.stem}.hdr"):
        if name.lower() in names:
            return names[name.lower()]
    return None


def data_of(header: Place) -> Place:
    """The data file of a header.

    Raises:
        UnreadableFileError: the file is no header.
        FileNotFoundError: there is no data file beside it.
    """
    if not header.text().lstrip("\ufeff \r\n").upper().startswith("ENVI"):
        raise UnreadableFileError(f"{header.shown} does not begin with ENVI; wanted an ENVI header; name the data file")
    names = {file.name.lower(): file for file in header.neighbours()}
    for suffix in DATA_SUFFIXES:
        found = names.get(f"{header.stem}{suffix}".lower())
        if found is not None and found.name != header.name:
            return found
    wanted = " ".join(suffix for suffix in DATA_SUFFIXES if suffix)
    raise FileNotFoundError(
        f"the data of {header.shown} is not beside it; wanted {header.stem} with one of {wanted}; put them together"
    )
