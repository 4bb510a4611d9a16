"""STAC items beside a file: bands, wavelengths, scale, nodata, unit, gsd and date (STAC 1.0 and 1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import sensors, units
from .place import Place
from .raster_metadata import Band, Description, instant, number

# The role an asset plays says what its numbers are.
_ROLES = {"reflectance": "reflectance", "amplitude": "amplitude", "radiance": "radiance", "temperature": "kelvin"}


def beside(place: Place) -> Mapping[str, Any] | None:
    """The STAC item of a file or folder: ``FILE.json``, ``STEM.json``, or ``item.json`` in the same folder."""
    if place.is_folder():
        found = [file for file in place.files() if file.suffix == ".json"]
    else:
        names = (f"{place.name}.json", f"{place.stem}.json", f"{place.stem}_stac.json", "item.json")
        found = [file for name in names if (file := place.beside(name)).exists()]
    for file in found:
        try:
            item = json.loads(file.text())
        except (ValueError, RecursionError):
            continue  # somebody's other .json
        if isinstance(item, dict) and item.get("type") == "Feature" and isinstance(item.get("assets"), dict):
            return item
    return None


def describe(item: Mapping[str, Any] | None, file: str, count: int) -> Description | None:
    """What the item says of ``file``'s ``count`` bands; None where it speaks of other files."""
    if item is None:
        return None
    assets = [asset for asset in item["assets"].values() if isinstance(asset, dict)]
    own = [asset for asset in assets if str(asset.get("href", "")).rpartition("/")[2] == file]
    if not own and len(assets) == 1:
        own = assets  # renamed, but there is nothing else that the item could speak of
    if not own:
        return None
    asset, shared = own[0], _mapping(item.get("properties"))
    lists = [_bands(source) for source in (asset, shared)]
    bands = next((found for found in lists if len(found) == count), [Band()] * count)
    roles = asset.get("roles") if isinstance(asset.get("roles"), list) else []
    role = next((_ROLES[word] for word in roles or [] if word in _ROLES), None)
    whole = _band(asset)
    if role and whole.unit is None:
        whole = replace(whole, unit=units.Unit(role))
    words = " ".join(str(shared.get(key, "")) for key in ("platform", "constellation", "instruments"))
    return Description(
        tuple(band.filled(replace(whole, name=None)) for band in bands),
        sensor=sensors.identify(words),
        time=instant(shared.get("datetime") or shared.get("start_datetime")),
        gsd=number(asset.get("gsd")) or number(shared.get("gsd")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _bands(source: Mapping[str, Any]) -> list[Band]:
    """The bands of an asset: STAC 1.1's ``bands``, or 1.0's ``eo:bands`` and ``raster:bands`` side by side."""
    lists = [source[key] for key in ("bands", "eo:bands", "raster:bands") if isinstance(source.get(key), list)]
    length = max(map(len, lists), default=0)
    found = [Band()] * length
    for entries in lists:
        if len(entries) == length:
            found = [band.filled(_band(_mapping(entry))) for band, entry in zip(found, entries)]
    return found


def _band(entry: Mapping[str, Any]) -> Band:
    get = lambda name, space: entry.get(name, entry.get(f"{space}:{name}"))  # noqa: E731
    name = entry.get("name") or get("common_name", "eo")
    nodata = entry.get("nodata")
    scale, offset = number(get("scale", "raster")), number(get("offset", "raster"))
    return Band(
        name=str(name) if name else None,
        unit=units.parse(str(entry.get("unit") or "")),
        scale=1.0 if scale is None and offset is not None else scale,
        offset=0.0 if offset is None and scale is not None else offset,
        wavelength=number(get("center_wavelength", "eo")),
        fwhm=number(get("full_width_half_max", "eo")),
        nodata=float("nan") if nodata == "nan" else number(nodata),
    )
