"""Where the ten series come from: one reader each, from a data folder's archives to a ``Series`` in physical units."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from moving_digits import read_digits, sequences
from PIL import Image
from ten_tasks import DIGITS, TASKS
from torch import Tensor

from allspark.readers.cube import read_cube
from allspark.spatiotemporal.frames import frames_of
from allspark.spatiotemporal.series import Series

FOLDER = "spatiotemporal"
# BikeNYC's file has no dates. It is the end of a known half year (4,392 hours from 1 April 2014): counted back from its
# end, the first frame is 23 h on 4 August. The rush hours (8 h, 17 to 18 h) and the quiet 1 September (Labor Day)
# agree.
BIKE_START = datetime(2014, 8, 4, 23, tzinfo=UTC).timestamp()
METR_START = datetime(2012, 3, 1, tzinfo=UTC).timestamp()
# windows of MeteoSwiss's 640 x 710 km composite that lie within the radars' reach: row and column of the corner
MCH_WINDOWS = ((160, 200), (160, 328), (288, 136), (288, 264), (288, 392), (416, 264))


def _arrays(archive: Path, member: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(archive) as opened, np.load(io.BytesIO(opened.read(member)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _seconds(text: str, pattern: str) -> float:
    return datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()


def bikenyc(data: Path) -> Series:
    """Hourly in- and outflows (1369, 2, 16, 8)."""
    flow = _arrays(data / "bikenyc.zip", "bikenyc_1369x16x8x2_hourly.npz")["flow"].astype(np.float32)
    return Series(TASKS["bikenyc"], [torch.from_numpy(flow.transpose(0, 3, 1, 2)).contiguous()], start=[BIKE_START])


def metr_la(data: Path) -> Series:
    """Speeds (2016, 1, 207, 1) and the sensors' weights."""
    with zipfile.ZipFile(data / "metr_la_7days.zip") as opened:
        speed = np.loadtxt(io.BytesIO(opened.read("los_speed.csv")), delimiter=",", skiprows=1, dtype=np.float32)
        weights = np.loadtxt(io.BytesIO(opened.read("los_adj.csv")), delimiter=",", dtype=np.float32)
    values = torch.from_numpy(speed)[:, None, :, None].contiguous()
    return Series(TASKS["metr_la"], [values], start=[METR_START], adjacency=torch.from_numpy(weights))


def era5_uk(data: Path) -> Series:
    """2 m temperature (744, 1, 33, 49) in kelvin; the file keeps hundredths of a degree Celsius."""
    found = _arrays(data / "era5_uk_t2m.zip", "era5_uk_t2m_201903_hourly.npz")
    values = torch.from_numpy(found["t2m_centiK"].astype(np.float32) / 100 + 273.15)[:, None]
    return Series(TASKS["era5_uk"], [values], start=[_seconds(str(found["dates"][0, 0]), "%Y%m%d")])


def _netcdf(data: Path, member: str, name: str) -> Series:
    with zipfile.ZipFile(data / "iris_climate.zip") as opened, tempfile.TemporaryDirectory() as folder:
        frames = frames_of(read_cube(opened.extract(member, folder)))
        return Series(
            TASKS[name],
            [torch.from_numpy(frames.values)],
            [None if frames.known.all() else torch.from_numpy(frames.known)],
            [None if frames.seconds is None else float(frames.seconds[0])],
        )


def rain_mrms(data: Path) -> Series:
    """Rain rates of four windows, (36, 1, 128, 128) each, mm/h."""
    found = _arrays(data / "radar_mrms_20190610.zip", "mrms_preciprate_4windows_36x128x128.npz")
    rate = torch.from_numpy(found["rate_centi_mmh"].astype(np.float32) / 100)
    start = _seconds(str(found["times"][0]), "%Y%m%d-%H%M%S")
    return Series(TASKS["rain_mrms"], [window[:, None].contiguous() for window in rate], start=[start] * len(rate))


def rain_fmi(data: Path) -> Series:
    """Rain rates of two events, (40, 1, 128, 128) each, mm/h.

    Bytes are half decibels above −32 dBZ (FMI's open composites); rain by Z = 223 R^1.53, FMI's relation for rain.
    """
    found = _arrays(data / "radar_fmi.zip", "fmi_2events_40x128x128.npz")
    segments, starts = [], []
    for day in ("20160928", "20170509"):
        raw = found[f"raw_{day}"].astype(np.float32)
        rate = (10 ** ((raw - 64) / 20) / 223) ** (1 / 1.53)
        segments.append(torch.from_numpy(np.where(raw == 0, 0, rate).astype(np.float32))[:, None])
        starts.append(_seconds(str(found[f"times_{day}"][0]), "%Y%m%d%H%M"))
    return Series(TASKS["rain_fmi"], segments, start=list(starts))


def mch_table() -> np.ndarray:
    """(256,) mm/h of MeteoSwiss's byte classes, NaN outside the radars' reach.

    The classes are 5-minute sums in steps of half a decibel of Z = 316 R^1.5, R in mm per 5 minutes (AQC product).
    """
    classes = np.arange(256)
    table = (10 ** ((classes - 71.5) / 20) / 316) ** (1 / 1.5) * 12
    table[(classes < 2) | (classes > 250)] = 0
    table[255] = np.nan
    return table.astype(np.float32)


def rain_mch(data: Path) -> Series:
    """Rain rates of six windows, (40, 1, 128, 128) each, mm/h."""
    table, frames = mch_table(), []
    with zipfile.ZipFile(data / "radar_mch_20170131.zip") as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".gif"))
        for name in names:
            frames.append(table[np.asarray(Image.open(io.BytesIO(opened.read(name))))])
    stack = torch.from_numpy(np.stack(frames))[:, None]
    windows = [stack[..., row : row + 128, column : column + 128].contiguous() for row, column in MCH_WINDOWS]
    start = datetime(2017, 1, 31, 9, 45, tzinfo=UTC).timestamp()
    return Series(TASKS["rain_mch"], windows, start=[start] * len(windows))


def moving_mnist(data: Path) -> Series:
    """Sequences of 20 frames (20, 1, 64, 64) uint8; no digit is in two parts."""
    digits = read_digits(data / "mnist_test.zip")
    segments: list[Tensor] = []
    for seed, (part, first, last) in enumerate((("train", 0, 7000), ("validation", 7000, 8000), ("test", 8000, 10000))):
        segments += sequences(digits[first:last], DIGITS[part], seed=seed)
    return Series(TASKS["moving_mnist"], segments)


SOURCES: dict[str, Callable[[Path], Series]] = {
    "bikenyc": bikenyc,
    "metr_la": metr_la,
    "era5_uk": era5_uk,
    "hadgem_a1b": lambda data: _netcdf(data, "A1B_north_america.nc", "hadgem_a1b"),
    "hadgem_e1": lambda data: _netcdf(data, "E1_north_america.nc", "hadgem_e1"),
    "ostia_sst": lambda data: _netcdf(data, "ostia_monthly.nc", "ostia_sst"),
    "rain_mrms": rain_mrms,
    "rain_fmi": rain_fmi,
    "rain_mch": rain_mch,
    "moving_mnist": moving_mnist,
}
