"""Tables: every record is one row with the scales of its whole table, without the column that is the answer."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...items import Table
from .base import Entry, Source, split_of

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_STEP = 20  # every twentieth Seattle day is the package's own sample: it is left out here
THIN = 4  # every fourth ZIP code: neighbouring codes are nearly the same row
WILDERNESS = ("Rawah", "Neota", "Comanche Peak", "Cache la Poudre")
STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky",
    "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota",
    "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "PR": "Puerto Rico", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
POLLUTION = (("good", 35.0), ("moderate", 75.0), ("unhealthy", 150.0), ("hazardous", float("inf")))


def _frame(source: Source, path: Path, member: str, **options: Any) -> pd.DataFrame:
    import pandas as pd

    with zipfile.ZipFile(path / source.files[0]) as archive:
        return pd.read_csv(io.BytesIO(archive.read(member)), **options)


def _entries(table: Table, labels: Iterable[str], groups: Iterable[str], split: str | None = None) -> Iterator[Entry]:
    for i, (label, group) in enumerate(zip(labels, groups, strict=True)):
        yield Entry(partial(table.__getitem__, i), str(label), str(group), split or split_of(str(group)))


def covertype(path: Path) -> Iterator[Entry]:
    """Forest cover by terrain, a test alone; the 44 indicator columns become two of categories."""
    frame = _frame(COVERTYPE, path, "train.csv")
    wild = frame.filter(regex="^Wilderness_Area").to_numpy().argmax(1)
    soil = frame.filter(regex="^Soil_Type").to_numpy().argmax(1) + 1
    labels, identity = frame["Cover_Type"].astype(str), frame["Id"]
    terrain = frame.loc[:, "Elevation":"Horizontal_Distance_To_Fire_Points"]
    terrain = terrain.rename(columns=lambda name: name.replace("_", " ").lower())
    terrain["wilderness area"] = [WILDERNESS[i] for i in wild]
    terrain["soil type"] = [f"soil type {i}" for i in soil]
    yield from _entries(Table(terrain), labels, identity, "test")


def housing(path: Path) -> Iterator[Entry]:
    """Census blocks of California by quarter of house value; a half-degree cell is a group."""
    frame = _frame(HOUSING, path, "housing.csv")
    value = frame.pop("median_house_value")
    labels = value.rank(pct=True).mul(4).sub(1e-9).astype(int).clip(0, 3).astype(str)
    groups = (frame["longitude"] // 0.5).astype(str) + "_" + (frame["latitude"] // 0.5).astype(str)
    yield from _entries(Table(frame.rename(columns=lambda name: name.replace("_", " "))), labels, groups)


def weather(path: Path) -> Iterator[Entry]:
    """Days of Seattle and New York by weather; a month of a city is a group."""
    frame = _frame(WEATHER, path, "weather.csv", parse_dates=["date"])
    day = frame.groupby("location").cumcount()
    frame = frame[~((frame["location"] == "Seattle") & (day % SAMPLE_STEP == 0))]
    labels = frame["weather"]
    groups = frame["location"] + frame["date"].dt.strftime("-%Y-%m")
    about = {
        "precipitation": "precipitation in millimetres", "temp_max": "highest temperature in degrees Celsius",
        "temp_min": "lowest temperature in degrees Celsius", "wind": "wind speed in metres per second",
    }  # fmt: skip
    yield from _entries(Table(frame.drop(columns="weather"), descriptions=about), labels, groups)


def _by_state(frame: pd.DataFrame, columns: list[str]) -> Iterator[Entry]:
    frame = frame[frame["state"].isin(list(STATES))]
    groups = (frame["longitude"] // 1.0).astype(str) + "_" + (frame["latitude"] // 1.0).astype(str)
    yield from _entries(Table(frame[columns]), frame["state"], groups)


def zipcodes(path: Path) -> Iterator[Entry]:
    """Places of the United States by state; a one-degree cell is a group. The code itself would tell the state."""
    frame = _frame(ZIPCODES, path, "zipcodes.csv", dtype={"zip_code": str}).iloc[::THIN]
    yield from _by_state(frame, ["latitude", "longitude", "city", "county"])


def airfields(path: Path) -> Iterator[Entry]:
    """Airports of the United States by state; a one-degree cell is a group."""
    yield from _by_state(_frame(AIRFIELDS, path, "airports.csv"), ["name", "city", "latitude", "longitude"])


def pollution(path: Path) -> Iterator[Entry]:
    """Hours of Beijing by fine dust; a week is a group. Hours without a measurement are left out."""
    import numpy as np

    frame = _frame(POLLUTION_HOURS, path, "pollution.csv").dropna(subset=["pm2.5"])
    bins = np.searchsorted([limit for _, limit in POLLUTION], frame["pm2.5"], side="left")
    labels = [POLLUTION[i][0] for i in bins]
    groups = (frame["No"] // 168).astype(str)
    names = {
        "month": "month", "hour": "hour", "DEWP": "dew point", "TEMP": "temperature", "PRES": "air pressure",
        "cbwd": "wind direction", "Iws": "cumulated wind speed", "Is": "hours of snow", "Ir": "hours of rain",
    }  # fmt: skip
    # "cv" is calm and variable in this table
    table = Table(frame[list(names)].rename(columns=names).replace({"wind direction": {"cv": "calm"}}))
    yield from _entries(table, labels, groups)


COVERTYPE = Source(
    name="covertype", modality="table", files=("table/covertype_15120.zip",), scan=covertype, role="test",
    labels={
        "1": ("spruce and fir forest", "cold high forest of Engelmann spruce and subalpine fir"),
        "2": ("lodgepole pine forest", "forest of slender pines at middle heights"),
        "3": ("ponderosa pine forest", "open pine forest at low, dry and warm heights"),
        "4": ("cottonwood and willow", "trees along streams in low valleys"),
        "5": ("aspen forest", "deciduous forest of aspen"),
        "6": ("Douglas fir forest", "forest of Douglas firs on low steep slopes"),
        "7": ("krummholz", "stunted trees at the highest tree line"),
    },
    licence="CC BY 4.0 as listed by UCI; repository not stated", citation="Blackard, Covertype, UCI repository",
)  # fmt: skip
HOUSING = Source(
    name="california_housing", modality="table", files=("table/california_housing.zip",), scan=housing, role="train",
    labels={
        "0": ("cheap houses", "house values in the lowest quarter"),
        "1": ("moderately priced houses", "house values below the median"),
        "2": ("costly houses", "house values above the median"),
        "3": ("very expensive houses", "house values in the highest quarter"),
    },
    licence="Apache-2.0 (repository); US census 1990, public domain",
    citation="Pace and Barry, Sparse spatial autoregressions, 1997",
)  # fmt: skip
_VEGA: dict[str, Any] = {
    "modality": "table", "files": ("table/vega_geo.zip",), "role": "train",
    "licence": "public domain (US government); repository BSD-3-Clause", "citation": "vega-datasets",
}  # fmt: skip
WEATHER = Source(
    name="us_weather", scan=weather,
    labels={
        "drizzle": ("drizzle", "very light rain"),
        "fog": ("fog", "thick mist"),
        "rain": ("rain", "a rainy day"),
        "snow": ("snow", "a day with snowfall"),
        "sun": ("sun", "a dry sunny day"),
    },
    **_VEGA,
)  # fmt: skip
ZIPCODES = Source(
    name="us_places", scan=zipcodes, labels={k: (v, f"a place in {v}") for k, v in STATES.items()},
    **_VEGA,
)  # fmt: skip
AIRFIELDS = Source(
    name="us_airfields", scan=airfields, labels={k: (v, f"an airport in {v}") for k, v in STATES.items()},
    **_VEGA,
)  # fmt: skip
POLLUTION_HOURS = Source(
    name="beijing_pm25", modality="table", files=("table/beijing_pm25.zip",), scan=pollution, role="train",
    labels={
        "good": ("good air", "clean air with little fine dust"),
        "moderate": ("moderate air pollution", "some fine dust"),
        "unhealthy": ("unhealthy air", "much fine dust"),
        "hazardous": ("hazardous air", "heavy smog"),
    },
    licence="CC BY 4.0 as listed by UCI; repository not stated",
    citation="Liang et al., Assessing Beijing's PM2.5 pollution, Proc. R. Soc. A 2015",
)  # fmt: skip
SOURCES = (COVERTYPE, HOUSING, WEATHER, ZIPCODES, AIRFIELDS, POLLUTION_HOURS)
