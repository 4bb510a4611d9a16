"""The metadata that agencies deliver beside the bands: Landsat's ``_MTL.txt`` and Sentinel-2's ``MTD_MSI*.xml``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import sensors
from .place import Place
from .raster_metadata import Band, Description, instant, number
from .units import Unit

_MTL = re.compile(r'^[ \t]*(\w+)[ \t]*=[ \t]*"?([^"\r\n]*?)"?[ \t\r]*$', re.MULTILINE)
_SENTINEL2_ORDER = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")  # by band_id


def describe(files: Sequence[Place], names: Sequence[str | None]) -> Description | None:
    """What a product's metadata file among ``files`` says of the bands of these names; None where there is none."""
    for file in files:
        if file.name.upper().endswith("_MTL.TXT"):
            return _landsat(file.text(), names)
        if re.fullmatch(r"MTD_MSIL\d\w\.xml", file.name):
            return _sentinel2(file.text(), names)
    return None


def _landsat(text: str, names: Sequence[str | None]) -> Description:
    """Level 2: the published law to reflectance and kelvin. Level 1: digital numbers. Fill is 0 in both."""
    said: dict[str, str] = {}
    for key, value in _MTL.findall(text):
        said.setdefault(key, value)  # level 2 files repeat the names of level 1 further down
    level2 = said.get("PROCESSING_LEVEL", "").startswith("L2")
    bands = []
    for name in names:
        digits = re.search(r"B(\d+)$", name or "")
        law, unit = None, Unit("dn")
        if level2 and digits:
            thermal = (name or "").startswith("ST_")
            stem = f"TEMPERATURE_{{}}_BAND_ST_B{digits[1]}" if thermal else f"REFLECTANCE_{{}}_BAND_{digits[1]}"
            law = number(said.get(stem.format("MULT"))), number(said.get(stem.format("ADD")))
            unit = Unit("kelvin" if thermal else "reflectance")
        if law is not None and None in law:
            bands.append(Band(nodata=0.0))
        else:
            scale, offset = law or (None, None)
            bands.append(Band(unit=unit, scale=scale, offset=offset, nodata=0.0))
    when = said.get("DATE_ACQUIRED", "")
    clock = said.get("SCENE_CENTER_TIME", "")[:8]  # whole seconds: the file has more digits than ISO 8601 readers take
    return Description(
        tuple(bands),
        sensor=sensors.identify(f"{said.get('SPACECRAFT_ID', '')} {said.get('SENSOR_ID', '')}"),
        time=instant(f"{when}T{clock}" if clock else when),
    )


def _sentinel2(text: str, names: Sequence[str | None]) -> Description:
    """(stored + offset) / quantification is reflectance (offsets since processing baseline 04.00). Fill is 0."""
    quantum = re.search(r"<(?:BOA_)?QUANTIFICATION_VALUE[^>]*>([^<]+)<", text)
    offsets = {int(index): value for index, value in
               re.findall(r'<(?:BOA|RADIO)_ADD_OFFSET band_id="(\d+)">([^<]+)<', text)}  # fmt: skip
    count = number(quantum[1]) if quantum else None
    bands = []
    for name in names:
        found = re.search(r"B0?(\d+|8A)$", name or "")
        key = f"B{found[1]}" if found else ""
        if not count or key not in _SENTINEL2_ORDER:
            bands.append(Band(nodata=0.0))
            continue
        shift = number(offsets.get(_SENTINEL2_ORDER.index(key))) or 0.0
        bands.append(Band(unit=Unit("reflectance"), scale=1 / count, offset=shift / count, nodata=0.0))
    start = re.search(r"<PRODUCT_START_TIME>([^<]+)<", text)
    return Description(tuple(bands), sensor="sentinel-2", time=instant(start[1]) if start else None)
