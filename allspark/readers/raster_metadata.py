"""What a file says of its raster: per band name, unit, scale, wavelength, nodata; for all place, time and sensor.

Sources (the file's tags, a STAC item, a product's own metadata) each give a ``Description``; ``filled`` joins them, the
nearest first. ``None`` always means "does not say".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from . import sensors, units

METRES_PER_DEGREE = 111_320.0  # along a meridian, and along the equator
_WAVELENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(nanomet\w*|nm|micromet\w*|microns?|µm|um)\b", re.IGNORECASE)
_SENSOR_TAGS = ("SENSOR", "SENSOR_ID", "SENSOR_TYPE", "SATELLITE", "SATELLITEID", "SPACECRAFT", "SPACECRAFT_ID",
                "SPACECRAFT_NAME", "PLATFORM", "MISSION")  # fmt: skip
_TIME_TAGS = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "ACQUISITION_TIME", "ACQUISITION_DATE", "ACQUISITION",
              "ACQUISITIONDATE", "DATE_ACQUIRED", "SENSING_TIME", "DATETIME", "PRODUCT_START_TIME")  # fmt: skip
_WRITTEN = "TIFFTAG_DATETIME"  # when the file was written where nothing else is known: asked last
_UNIT_TAGS = ("UNITS", "UNIT", "UNITTYPE", "DATA_UNITS")


@dataclass(frozen=True)
class Band:
    """What is known of one band.

    Args:
        name: its name.
        unit: its unit.
        scale, offset: stored * scale + offset is the value.
        wavelength, fwhm: micrometres.
        nodata: the stored number that means "no data".
    """

    name: str | None = None
    unit: units.Unit | None = None
    scale: float | None = None
    offset: float | None = None
    wavelength: float | None = None
    fwhm: float | None = None
    nodata: float | None = None

    def filled(self, other: Band) -> Band:
        """This band, with the other's words where this one says nothing."""
        taken = {field.name: getattr(other, field.name) for field in fields(self) if getattr(self, field.name) is None}
        if self.scale is not None:
            taken.pop("offset", None)  # a scale and an offset of two sources do not belong together
        return replace(self, **taken)


@dataclass(frozen=True)
class Description:
    """What is known of a raster."""

    bands: tuple[Band, ...]
    sensor: str | None = None
    time: np.datetime64 | None = None
    gsd: float | None = None
    crs: str | None = None
    transform: Any = None

    def filled(self, other: Description | None) -> Description:
        """This description, with the other's words where this one says nothing."""
        if other is None:
            return self
        bands = self.bands
        if len(other.bands) == len(bands):
            bands = tuple(own.filled(band) for own, band in zip(bands, other.bands))
        rest = {name: getattr(other, name) for name in ("sensor", "time", "gsd", "crs", "transform")
                if getattr(self, name) is None}  # fmt: skip
        return replace(self, bands=bands, **rest)

    def take(self, indexes: Sequence[int]) -> Description:
        """Only these bands, counted from 0."""
        return replace(self, bands=tuple(self.bands[index] for index in indexes))

    def with_wavelengths(self) -> Description:
        """Wavelengths from the band names, where the file gives none and the names leave no doubt."""
        found = sensors.spectrum([band.name for band in self.bands], self.sensor)
        bands = tuple(
            replace(band, wavelength=known[0], fwhm=known[1]) if band.wavelength is None and known else band
            for band, known in zip(self.bands, found)
        )
        return replace(self, bands=bands)


def number(text: Any) -> float | None:
    """A finite number, or None where the text is none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def instant(text: Any) -> np.datetime64 | None:
    """A UTC datetime64 of an ISO 8601, TIFF ("2019:09:17 10:50:31") or bare date; None where it is none."""
    if isinstance(text, datetime):
        found = text
    else:
        words = re.sub(r"^(\d{4}):(\d{2}):(\d{2})", r"\1-\2-\3", str(text or "").strip().strip('"'))
        try:
            found = datetime.fromisoformat(words)
        except ValueError:
            return None
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(found, "ns")


def wavelength(value: Any, unit: str | None) -> float | None:
    """Micrometres of a centre or width whose unit is named; without a name, only where the size leaves no doubt."""
    length = number(value)
    if length is None or length <= 0:
        return None
    word = (unit or "").strip().lower()
    if word.startswith(("nano", "nm")):
        return length / 1000
    if word.startswith(("micro", "um", "µm", "μm")):
        return length
    if word in ("", "unknown"):  # optical bands lie between 0.2 and 100 micrometres, in nanometres beyond 200
        return length / 1000 if length >= 200 else length if length < 100 else None
    return None  # wavenumbers, gigahertz, an index


def clean_names(names: Sequence[str | None]) -> list[str | None]:
    """Band names as the field writes them: "Sigma0_vv_db" is "VV"; a wavelength alone is no name."""
    found: list[str | None] = []
    for name in names:
        text = (name or "").strip()
        rest = _WAVELENGTH.sub("", text).strip(" ()[]-:,;=")
        if re.fullmatch(r"(band|channel|ch|b)?\W*\d*", rest, re.IGNORECASE) and rest != text:
            text = ""  # "band 7 (505.6 nm)" is a number and a wavelength
        found.append(text or None)
    short = [name and (sensors.polarisation(name) or name) for name in found]
    if None in short or len(set(short)) == len(short):
        return short
    return found  # the same polarisation at several dates keeps its own words


def describe(dataset: Any) -> Description:
    """What an open rasterio dataset says of itself (alpha bands included)."""
    tags = _tags(dataset)
    envi = {key.lower(): value for key, value in dataset.tags(ns="ENVI").items()}
    count = dataset.count
    names = clean_names(_names(dataset, envi))
    whole = next((unit for key in _UNIT_TAGS if (unit := units.parse(tags.get(key)))), None)
    lists = {key: envi_list(envi.get(key), count) for key in
             ("wavelength", "fwhm", "data_gain_values", "data_offset_values")}  # fmt: skip
    given = envi_list(f"{{{tags.get('WAVELENGTHS') or tags.get('WAVELENGTH') or ''}}}", count)
    reflectance = number(envi.get("reflectance_scale_factor"))
    display = units.Unit("uint8") if _is_display(dataset) else None
    bands = []
    for index in range(count):
        own = {key.upper(): value for key, value in dataset.tags(index + 1).items()}
        imagery = dataset.tags(index + 1, ns="IMAGERY")
        unit_of = own.get("WAVELENGTH_UNITS") or envi.get("wavelength_units") or tags.get("WAVELENGTH_UNITS")
        described = _WAVELENGTH.search(dataset.descriptions[index] or "")
        centre = (
            wavelength(lists["wavelength"][index], unit_of)
            or wavelength(own.get("WAVELENGTH") or own.get("CENTER_WAVELENGTH"), unit_of)
            # after the header's own numbers: GDAL rounds these to whole nanometres
            or wavelength(imagery.get("CENTRAL_WAVELENGTH_UM"), "um")
            or wavelength(given[index], unit_of)
            or (wavelength(described[1], described[2]) if described else None)
        )
        width = (
            # a width has no size that betrays its unit: nanometres where the centre was given in nanometres
            wavelength(lists["fwhm"][index], unit_of or _unit_like(lists["wavelength"][index], centre))
            or wavelength(own.get("FWHM"), unit_of)
            or wavelength(imagery.get("FWHM_UM"), "um")
        )
        unit = units.parse(dataset.units[index]) or next(
            (found for key in _UNIT_TAGS if (found := units.parse(own.get(key)))), None
        )
        scale, offset = _law(dataset, index, lists)
        if unit is None and whole is None and reflectance:
            unit = units.Unit("reflectance", reflectance)
        unit = unit or whole or _unit_in_name(dataset.descriptions[index]) or display
        bands.append(Band(names[index], unit, scale, offset, centre, width, dataset.nodatavals[index]))
    known = next((name for key in _SENSOR_TAGS if (name := sensors.identify(tags.get(key)))), None)
    when = next((moment for key in _TIME_TAGS if (moment := instant(tags.get(key))) is not None), None)
    place = dataset.crs.to_string() if dataset.crs else None
    transform = None if dataset.transform.is_identity else dataset.transform
    gsd = ground_sample_distance(dataset) if place and transform is not None else None
    return Description(tuple(bands), known, when, gsd, place, transform)


def last_words(dataset: Any, name: str) -> Description:
    """What stands where nothing better does: sensor and day in a product's name, then when the file was written."""
    sensor, day = sensors.product(name)
    return Description((), sensor, instant(day) if day else instant(dataset.tags().get(_WRITTEN)))


def _tags(dataset: Any) -> dict[str, str]:
    """All dataset tags under upper-case names; the image's own before those of other namespaces."""
    found: dict[str, str] = {}
    for space in ("IMD", "ENVI", "IMAGERY", None):
        for key, value in dataset.tags(ns=space).items():
            found[key.rpartition(".")[2].upper()] = str(value).strip('"')
    return found


def _names(dataset: Any, envi: Mapping[str, str]) -> list[str | None]:
    if dataset.driver == "ENVI":  # GDAL mixes names and wavelengths into the descriptions
        words = envi.get("band_names")
        listed = [part.strip() for part in words.strip("{} ").split(",")] if words else []
        return list(listed) if len(listed) == dataset.count else [None] * dataset.count
    if any(dataset.descriptions):
        return list(dataset.descriptions)
    colours = {"red", "green", "blue", "nir", "coastal", "pan"}
    return [colour.name if colour.name in colours else None for colour in dataset.colorinterp]


def _unit_in_name(name: str | None) -> units.Unit | None:
    """The unit that a radar band's name carries ("Sigma0_VV_db", "Amplitude_VH")."""
    unit = units.parse(name) if name and sensors.polarisation(name) else None
    return replace(unit, factor=None) if unit else None  # "Amplitude_VH_2019" ends in a year


def _is_display(dataset: Any) -> bool:
    """An 8-bit picture: all bytes, with a red, a green and a blue band."""
    colours = {colour.name for colour in dataset.colorinterp}
    return set(dataset.dtypes) == {"uint8"} and {"red", "green", "blue"} <= colours


def _law(dataset: Any, index: int, lists: Mapping[str, Sequence[Any]]) -> tuple[float | None, float | None]:
    scale, offset = dataset.scales[index], dataset.offsets[index]
    if (scale, offset) != (1.0, 0.0):
        return scale, offset
    gain, bias = number(lists["data_gain_values"][index]), number(lists["data_offset_values"][index])
    if gain is None and bias is None:
        return None, None
    return (1.0 if gain is None else gain), (0.0 if bias is None else bias)


def _unit_like(value: Any, centre: float | None) -> str | None:
    length = number(value)
    return None if length is None or centre is None else "nm" if length > centre else "um"


def envi_list(text: str | None, count: int) -> list[str | None]:
    """``count`` entries of an ENVI header's "{a, b, c}"; Nones where their number is another."""
    parts = [part.strip() for part in (text or "").strip().strip("{}").split(",") if part.strip()]
    return list(parts) if len(parts) == count else [None] * count


def ground_sample_distance(dataset: Any) -> float:
    """Metres per pixel: the side of a square of the pixel's area at the image's centre.

    Degrees count 111,320 m, those of longitude times the cosine of the latitude; Web Mercator's metres likewise.
    """
    grid = dataset.transform
    side = math.sqrt(abs(grid.determinant))
    y = grid.d * dataset.width / 2 + grid.e * dataset.height / 2 + grid.f
    if dataset.crs.is_geographic:
        return side * METRES_PER_DEGREE * math.sqrt(max(math.cos(math.radians(y)), 1e-6))
    factor = dataset.crs.linear_units_factor[1] if dataset.crs.is_projected else 1.0
    if dataset.crs.to_epsg() == 3857:
        factor /= math.cosh(y / 6_378_137.0)  # = cos(latitude)
    return side * factor
