"""Made tables from random structural causal models, under names of real geospatial attributes.

A prior-fitted network (Hollmann et al., TabPFN, 2023) is shown labelled rows of a random causal model and predicts the
value of one of its nodes for another row. This encoder sees one row alone, so a label that depends on the model's own
random mechanism could not be known from what it reads; only the classifier behind it sees a table's labelled rows. What
that classifier needs is that a row's vector keeps the value of every column apart from the others', finely, and so that
a linear map reads it. Hence the label here is the level of *one column drawn at random* among the row's columns: the
least loss is reached by a vector that is near the names of all its columns' levels at once, and a column that is left
out costs as much as any other (a training accuracy of one in the number of columns is therefore about the most that can
be had). Levels are ranks within the table, which rise with the standard score that the encoder is given. The causal
models make columns depend on each other, skewed, rounded and missing, as in real tables, and headers are written in
several ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from ...items import Table
from .base import Entry, Source, split_of

TABLES, ROWS = 160, 40
FEWEST, MOST = 3, 9  # columns of numbers
CUTS = (0.07, 0.21, 0.4, 0.6, 0.79, 0.93)  # shares of the table's rows below
LEVELS = ("extremely low", "very low", "low", "middling", "high", "very high", "extremely high")
# name -> other headers, then a usual value, a usual spread, and whether it is skewed (log-normal)
COLUMNS: dict[str, tuple[tuple[str, ...], float, float, bool]] = {
    "elevation": (("elev_m", "height above sea level", "altitude"), 600, 400, False),
    "slope": (("slope_deg", "slope angle", "steepness of the terrain"), 12, 8, True),
    "distance to water": (("dist_water_m", "metres to the nearest stream"), 300, 250, True),
    "distance to road": (("road_distance", "metres to the nearest road"), 900, 800, True),
    "soil moisture": (("soil_moist", "water content of the soil"), 0.25, 0.1, False),
    "soil acidity": (("soil_pH", "pH of the soil"), 6.3, 0.9, False),
    "clay content": (("clay_pct", "share of clay in per cent"), 25, 11, False),
    "organic carbon": (("SOC", "organic carbon in the topsoil"), 2.0, 1.3, True),
    "annual rainfall": (("precip_mm", "yearly precipitation", "rain per year"), 850, 400, True),
    "air temperature": (("t_mean", "temperature in degrees Celsius"), 11, 7, False),
    "wind speed": (("wind_ms", "mean wind in metres per second"), 4, 2, True),
    "humidity": (("rel_humidity", "relative humidity in per cent"), 68, 14, False),
    "solar radiation": (("ghi", "global horizontal irradiance"), 170, 45, False),
    "snow depth": (("snow_cm", "snow cover in centimetres"), 20, 25, True),
    "vegetation index": (("ndvi", "NDVI", "greenness"), 0.5, 0.2, False),
    "canopy height": (("tree_height_m", "height of the trees"), 14, 8, False),
    "leaf area index": (("LAI", "leaf area per ground area"), 2.8, 1.5, False),
    "surface temperature": (("lst_k", "land surface temperature in kelvin"), 295, 9, False),
    "population density": (("pop_km2", "inhabitants per square kilometre"), 400, 900, True),
    "building height": (("bldg_h", "height of the building in metres"), 9, 6, True),
    "floor area": (("area_m2", "living space in square metres"), 110, 55, True),
    "household income": (("median_income", "yearly income of households"), 42_000, 17_000, True),
    "traffic volume": (("aadt", "vehicles per day"), 9_000, 8_000, True),
    "noise level": (("noise_db", "noise in decibels"), 57, 8, False),
    "nitrogen dioxide": (("no2", "NO2 in micrograms per cubic metre"), 24, 11, True),
    "fine dust": (("pm10", "particulate matter"), 22, 12, True),
    "water depth": (("depth_m", "metres below the surface"), 35, 40, True),
    "salinity": (("psu", "salt in the water"), 33, 3, False),
    "chlorophyll": (("chl_a", "chlorophyll in the water"), 2.0, 2.5, True),
    "turbidity": (("ntu", "cloudiness of the water"), 9, 9, True),
    "river discharge": (("flow_m3s", "stream flow"), 60, 90, True),
    "groundwater level": (("gw_depth", "depth of the water level below ground"), 8, 5, False),
    "crop yield": (("yield_t_ha", "harvest in tonnes per hectare"), 5.5, 2.0, False),
    "burned area": (("burnt_ha", "hectares burned"), 40, 90, True),
    "earthquake magnitude": (("mag", "magnitude of the quake"), 4.4, 0.8, False),
    "travel time": (("minutes_to_town", "minutes to the nearest town"), 45, 35, True),
}
CATEGORIES = {
    "land use": ("farmland", "woodland", "housing", "pasture", "industry", "wetland"),
    "soil type": ("sand", "loam", "clay", "peat", "silt"),
    "aspect": ("north", "east", "south", "west"),
    "season": ("spring", "summer", "autumn", "winter"),
}

LABELS = {
    f"{column}-{number}": (f"{level} {column}", f"{column} is {level}", f"{level} {others[-1]}")
    for column, (others, *_) in COLUMNS.items()
    for number, level in enumerate(LEVELS)
}


def causal_nodes(count: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """(rows, count) of a random causal graph: each node a random function of some earlier ones, plus noise."""
    values = np.empty((rows, count))
    for node in range(count):
        parents = np.flatnonzero(rng.random(node) < rng.uniform(0.1, 0.7))[-3:]
        cause = values[:, parents] @ rng.normal(0, 1, len(parents)) if len(parents) else np.zeros(rows)
        bend = int(rng.integers(4))
        effect = (cause, np.tanh(cause * 1.5), np.abs(cause) - 0.8, np.sin(cause * 1.5))[bend]
        value = effect * rng.uniform(0.3, 1.5) * bool(len(parents)) + rng.normal(0, 1, rows)
        values[:, node] = (value - value.mean()) / value.std()
    return values[:, rng.permutation(count)]


@cache
def _table(seed: int) -> tuple[Table, list[str | None]]:
    """A table, and for each row the class of one of its cells (none where the row has no number)."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    count = int(rng.integers(FEWEST, MOST + 1))
    names = [str(name) for name in rng.choice(list(COLUMNS), count, replace=False)]
    cells: dict[str, object] = {}
    levels = np.full((ROWS, count), -1)
    for column, (name, value) in enumerate(zip(names, causal_nodes(count, ROWS, rng).T, strict=True)):
        others, usual, spread, skewed = COLUMNS[name]
        header = name if rng.random() < 0.5 else str(rng.choice(others))
        usual, spread = usual * rng.uniform(0.7, 1.3), spread * rng.uniform(0.4, 1.4)
        numbers = usual * np.exp(value * min(spread / usual, 1.2)) if skewed else usual + spread * value
        step = 10.0 ** np.floor(np.log10(spread)) / float(rng.choice([1, 10, 100]))
        numbers = np.round(numbers / step) * step
        if rng.random() < 0.3:
            numbers[rng.random(ROWS) < rng.uniform(0, 0.25)] = np.nan
        known = np.isfinite(numbers)
        share = (np.argsort(np.argsort(numbers[known])) + 0.5) / known.sum()
        levels[known, column] = np.searchsorted(CUTS, share)
        cells[header] = numbers
    for name, words in CATEGORIES.items():
        if rng.random() < 0.2:
            cells[name] = rng.choice(words, ROWS)
    if rng.random() < 0.2:
        cells["date of survey"] = pd.Timestamp("2012-01-01") + pd.to_timedelta(rng.integers(0, 4_000, ROWS), unit="D")
    order = rng.permutation(len(cells))
    headers = list(cells)
    labels: list[str | None] = []
    for row in levels:
        there = np.flatnonzero(row >= 0)
        chosen = int(rng.choice(there)) if len(there) else None
        labels.append(None if chosen is None else f"{names[chosen]}-{row[chosen]}")
    return Table(pd.DataFrame({headers[i]: cells[headers[i]] for i in order})), labels


def made(path: Path) -> Iterator[Entry]:
    """The same tables on every machine; a table is a group. Nothing is read from the data folder."""
    for number in range(TABLES):
        table, labels = _table(17_000_003 + number)
        group = f"table-{number}"
        for row, label in enumerate(labels):
            if label is not None:
                words = (f"a row with {LABELS[label][0]}",)
                yield Entry(partial(table.__getitem__, row), label, group, split_of(group), words)


MADE = Source(
    name="made_tables", modality="table", files=(), scan=made, labels=LABELS, role="train", licence="Apache-2.0",
    citation="made here from random structural causal models",
)  # fmt: skip
SOURCES = (MADE,)
