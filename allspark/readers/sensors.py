"""What band names mean: wavelengths of known sensors, polarisations, sensors and dates in official product names.

Centres and full widths at half maximum in micrometres. Sentinel-2: ESA's spectral responses of Sentinel-2A. Landsat:
USGS band designations (centre and width of each band's interval). Common names: the STAC electro-optical extension.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from ..items import POLARISATIONS

Spectrum = dict[str, tuple[float, float]]  # band -> centre, width

SENTINEL2: Spectrum = {
    "B1": (0.4427, 0.021),
    "B2": (0.4924, 0.066),
    "B3": (0.5598, 0.036),
    "B4": (0.6646, 0.031),
    "B5": (0.7041, 0.015),
    "B6": (0.7405, 0.015),
    "B7": (0.7828, 0.020),
    "B8": (0.8328, 0.106),
    "B8A": (0.8647, 0.021),
    "B9": (0.9451, 0.020),
    "B10": (1.3735, 0.031),
    "B11": (1.6137, 0.091),
    "B12": (2.2024, 0.175),
}
LANDSAT_TM: Spectrum = {
    "B1": (0.485, 0.07),
    "B2": (0.56, 0.08),
    "B3": (0.66, 0.06),
    "B4": (0.83, 0.14),
    "B5": (1.65, 0.20),
    "B6": (11.45, 2.10),
    "B7": (2.215, 0.27),
}
LANDSAT_ETM: Spectrum = {
    "B1": (0.4825, 0.065),
    "B2": (0.565, 0.08),
    "B3": (0.66, 0.06),
    "B4": (0.835, 0.13),
    "B5": (1.65, 0.20),
    "B6": (11.45, 2.10),
    "B7": (2.22, 0.26),
    "B8": (0.71, 0.38),
}
LANDSAT_OLI: Spectrum = {
    "B1": (0.443, 0.016),
    "B2": (0.482, 0.060),
    "B3": (0.5615, 0.057),
    "B4": (0.6545, 0.037),
    "B5": (0.865, 0.028),
    "B6": (1.6085, 0.085),
    "B7": (2.2005, 0.187),
    "B8": (0.5895, 0.173),
    "B9": (1.3735, 0.021),
    "B10": (10.895, 0.59),
    "B11": (12.005, 1.01),
}
SENSORS = {
    "sentinel-2": SENTINEL2,
    "landsat-tm": LANDSAT_TM,
    "landsat-etm": LANDSAT_ETM,
    "landsat-oli": LANDSAT_OLI,
}
COMMON: Spectrum = {
    "coastal": (0.443, 0.02),
    "blue": (0.49, 0.07),
    "green": (0.56, 0.04),
    "yellow": (0.61, 0.04),
    "red": (0.665, 0.04),
    "rededge": (0.72, 0.04),
    "rededge071": (0.705, 0.02),
    "rededge075": (0.74, 0.02),
    "rededge078": (0.783, 0.02),
    "nir": (0.842, 0.12),
    "nir08": (0.865, 0.03),
    "nir09": (0.945, 0.02),
    "pan": (0.6, 0.2),
    "cirrus": (1.375, 0.03),
    "swir16": (1.61, 0.09),
    "swir22": (2.2, 0.18),
    "swir1": (1.61, 0.09),
    "swir2": (2.2, 0.18),
    "lwir": (11.45, 2.1),
    "lwir11": (10.9, 0.6),
    "lwir12": (12.0, 1.0),
}

_WORDS = (
    (r"sentinel[-_ ]?2|\bs2[abc]?\b|\bs2[abc]?_msi", "sentinel-2"),
    (r"landsat[-_ ]?0?[89]|\boli(_tirs)?\b|\bl[co]0?[89]\b|hls[._]?l30", "landsat-oli"),
    (r"landsat[-_ ]?0?7|\betm\b|\betm\+|\ble0?7\b", "landsat-etm"),
    (r"landsat[-_ ]?0?[45]|\btm\b|\blt0?[45]\b", "landsat-tm"),
)
_BAND = re.compile(r"(?:.*[^a-z])?(?:b|band)[ _]?0?(\d{1,2}|8a)(?:_vcid_\d)?", re.IGNORECASE)
_PADDED = re.compile(r"B(0[1-9]|8A)", re.IGNORECASE)
_POLARISATION = re.compile(rf"(?<![a-z])({'|'.join(POLARISATIONS)})(?![a-z])", re.IGNORECASE)

# What stands last in the name of a file that holds one band
_IN_FILE = (
    re.compile(r"(?:^|.*?[_\-. ])((?:SR_|ST_)?B(?:\d{1,2}|8A)(?:_VCID_\d)?)(?:_\d{2}m)?", re.IGNORECASE),
    re.compile(r"(?:^|.*[_\-. ])band[_\- ]?(\d{1,2}|8a)", re.IGNORECASE),
    re.compile(rf"(?:^|.*[_\-. ])({'|'.join(sorted(COMMON, key=len, reverse=True))})", re.IGNORECASE),
)

# Landsat before the collections (LT52240631988227CUB02) and since (LC08_L2SP_224063_20200115_…), Sentinel-2 products
# (S2A_MSIL2A_20200115T…) and the bands inside them (T22MDC_20200115T135121_B02)
_LANDSAT_OLD = re.compile(r"L([COTE])([4-9])\d{6}(\d{4})(\d{3})[A-Z]{3}\d{2}")
_LANDSAT = re.compile(r"L([COTE])0([4-9])_L\w{3}_\d{6}_(\d{8})_")
_SENTINEL2 = re.compile(r"S2[ABC]_MSIL\d\w_(\d{8}T\d{6})|T\d{2}[A-Z]{3}_(\d{8}T\d{6})_(?:B\d|TCI)")


def identify(words: str | None) -> str | None:
    """The sensor (a key of ``SENSORS``) that a tag's words name, or None."""
    text = (words or "").lower()
    return next((sensor for pattern, sensor in _WORDS if re.search(pattern, text)), None)


def product(name: str) -> tuple[str | None, datetime | None]:
    """Sensor and date that an official product or band file name says; (None, None) for any other name."""
    if found := _LANDSAT_OLD.match(name):
        return _landsat(found[1], found[2]), datetime.strptime(found[3] + found[4], "%Y%j")
    if found := _LANDSAT.match(name):
        return _landsat(found[1], found[2]), datetime.strptime(found[3], "%Y%m%d")
    if found := _SENTINEL2.match(name):
        return "sentinel-2", datetime.strptime(found[1] or found[2], "%Y%m%dT%H%M%S")
    return None, None


def _landsat(instrument: str, number: str) -> str | None:
    return {"T": "landsat-tm", "E": "landsat-etm", "C": "landsat-oli", "O": "landsat-oli"}[instrument]


def polarisation(name: str) -> str | None:
    """ "VV" of "Sigma0_vv_db"; None where the name holds no single polarisation."""
    found = {match.upper() for match in _POLARISATION.findall(name)}
    return found.pop() if len(found) == 1 else None


def band_in_file_name(stem: str) -> str | None:
    """The band that a one-band file is named after ("B04" of "T22MDC_20200115T135121_B04_10m"), or None."""
    full, numbered, common = (pattern.fullmatch(stem) for pattern in _IN_FILE)
    if full:
        return full[1].upper()
    if numbered:
        return f"B{numbered[1].upper()}"
    return common[1].lower() if common else polarisation(stem)


def spectrum(names: Sequence[str | None], sensor: str | None) -> list[tuple[float, float] | None]:
    """Centre and width of each band by its name, None where the name alone does not say.

    "B4" is red on Sentinel-2 and near infrared on Landsat 5, so numbered bands need ``sensor``; without one they are
    Sentinel-2's only where at least one name is written its way ("B02", "B8A").
    """
    if sensor is None and any(name and _PADDED.fullmatch(name) for name in names):
        sensor = "sentinel-2"
    table = SENSORS.get(sensor or "", {})
    found = []
    for name in names:
        band = _BAND.fullmatch(name or "")
        key = f"B{band[1].upper()}" if band else ""
        found.append(table.get(key) or COMMON.get((name or "").lower()))
    return found
