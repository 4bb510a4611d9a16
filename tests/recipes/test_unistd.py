"""unistd-base's recipe on archives made here: every source becomes a series, digits bounce, tables are filled."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pytest
import results
import tables
import torch
from moving_digits import DIGIT, SIDE, paths, read_digits, sequence
from PIL import Image
from ten_sources import FOLDER, SOURCES, mch_table
from ten_tasks import DIGITS, TASKS

from allspark.spatiotemporal.normalise import with_statistics


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def idx(count):
    pixels = np.zeros((count, DIGIT, DIGIT), np.uint8)
    pixels[:, 8:20, 12:16] = 255
    return gzip.compress(struct.pack(">IIII", 2051, count, DIGIT, DIGIT) + pixels.tobytes())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The layout of the data folder with made numbers, shorter than the real ones where the records allow it."""
    import xarray as xr

    root = tmp_path_factory.mktemp("data")
    folder, random = root / FOLDER, np.random.default_rng(0)
    folder.mkdir()
    zipped(
        folder / "bikenyc.zip", {"bikenyc_1369x16x8x2_hourly.npz": npz(flow=random.integers(0, 90, (100, 16, 8, 2)))}
    )
    speed = "\n".join(",".join(f"{v:.1f}" for v in row) for row in 60 + random.normal(size=(300, 207)))
    weights = "\n".join(",".join(row) for row in np.eye(207, dtype=int).astype(str))
    zipped(folder / "metr_la_7days.zip", {"los_speed.csv": speed, "los_adj.csv": weights})
    centi = random.integers(0, 1500, (300, 33, 49)).astype(np.int16)
    zipped(folder / "era5_uk_t2m.zip",
           {"era5_uk_t2m_201903_hourly.npz": npz(t2m_centiK=centi, dates=np.array([["20190301", "00"]]))})  # fmt: skip
    cubes = {}
    yearly = ((37, 49), 180, "YS")
    layout = {"A1B_north_america": yearly, "E1_north_america": yearly, "ostia_monthly": ((18, 432), 54, "MS")}
    for name, (size, count, step) in layout.items():
        field = "surface_temperature" if name.startswith("ostia") else "air_temperature"
        time = xr.date_range("1900-01-01", periods=count, freq=step, unit="ns")
        values = 280 + random.normal(size=(count, *size)).astype("float32")
        coords = {"time": time, "latitude": np.arange(size[0]) * 1.0, "longitude": np.arange(size[1]) * 1.0}
        cube = xr.Dataset({field: (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)
        cube.to_netcdf(root / "cube.nc", engine="netcdf4")
        cubes[f"{name}.nc"] = (root / "cube.nc").read_bytes()
    zipped(folder / "iris_climate.zip", cubes)
    rate = random.integers(0, 900, (4, 36, 128, 128)).astype(np.uint16)
    mrms = npz(rate_centi_mmh=rate, times=np.array(["20190610-000000"]))
    zipped(folder / "radar_mrms_20190610.zip", {"mrms_preciprate_4windows_36x128x128.npz": mrms})
    events = {}
    for day in ("20160928", "20170509"):
        events[f"raw_{day}"] = random.integers(0, 120, (40, 128, 128)).astype(np.uint8)
        events[f"times_{day}"] = np.array([f"{day}1200"])
    zipped(folder / "radar_fmi.zip", {"fmi_2events_40x128x128.npz": npz(**events)})
    picture = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (640, 710), np.uint8), "L").save(picture, "GIF")
    zipped(folder / "radar_mch_20170131.zip", {f"f{i:02}.gif": picture.getvalue() for i in range(40)})
    zipped(folder / "mnist_test.zip", {"t10k-images-idx3-ubyte.gz": idx(10_000)})
    return folder


@pytest.mark.parametrize("name", list(TASKS))
def test_every_source_is_a_series_with_three_parts(data, name, monkeypatch):
    for part in DIGITS:
        monkeypatch.setitem(DIGITS, part, 3)
    series = SOURCES[name](data)
    task = TASKS[name]
    assert series.task == task
    assert series.segments[0].shape[-2:] == task.size
    if name != "moving_mnist":  # its split names 1,800 sequences
        with_statistics(series)
        assert all(series.starts(part) for part in ("train", "validation", "test"))
    if task.graph:
        assert series.adjacency.shape == (207, 207)
    if task.periods:
        assert all(start is not None for start in series.start)


def test_the_ten_tasks_are_of_four_disciplines():
    assert len(TASKS) == 10
    assert len({task.discipline for task in TASKS.values()}) == 4
    for task in TASKS.values():
        parts = task.split or {}
        for segment, first, last in parts.get("validation", ()):
            assert all(segment != s or first >= b + task.gap or last + task.gap <= a for s, a, b in parts["train"])


def test_digits_move_straight_bounce_and_stay_inside():
    places = paths(40, 50, torch.Generator().manual_seed(0))
    assert 0 <= places.min() < places.max() <= SIDE - DIGIT
    steps = places.diff(dim=1).norm(dim=-1)
    assert steps.median().item() == pytest.approx(3.6, abs=0.01)
    digits = torch.full((3, DIGIT, DIGIT), 200, dtype=torch.uint8)
    one, same = (sequence(digits, 20, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (20, 1, SIDE, SIDE)
    assert torch.equal(one, same)
    assert one.max() == 200
    assert (one > 0).sum((1, 2, 3)).max() <= 2 * DIGIT**2


def test_a_file_that_is_no_digits_is_refused(tmp_path):
    zipped(tmp_path / "a.zip", {"t10k-images-idx3-ubyte.gz": gzip.compress(struct.pack(">IIII", 7, 1, 28, 28))})
    with pytest.raises(ValueError, match="is not an IDX file"):
        read_digits(tmp_path / "a.zip")


def test_radar_classes_are_rain_rates():
    table = mch_table()
    assert table[0] == table[1] == 0
    assert np.isnan(table[255])
    assert (np.diff(table[2:251]) > 0).all()
    # a step of half a decibel of Z = 316 R^1.5
    assert table[102] / table[101] == pytest.approx(10 ** (0.05 / 1.5), rel=1e-4)


def test_a_cell_is_measured_once(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"rmse": 1 / 3, "csi_2": float("nan")}

    for _ in range(2):
        found = results.cell(tmp_path / "made.json", "waves / persistence", measure)
    assert calls == [1]
    assert found == {"rmse": 0.333333, "csi_2": None}
    assert json.loads((tmp_path / "made.json").read_text()) == {"waves / persistence": found}


def test_tables_are_filled_from_results_alone(tmp_path, monkeypatch):
    cell = {
        "rmse": 2.0,
        "nrmse": 0.5,
        "mae": 1.0,
        "skill": 0.1,
        "psnr": 30.0,
        "mae_sum": 1.0,
        "mse_sum": 1.0,
        "windows": 4,
    }
    cell |= {f"{kind}_{at}": 0.5 for kind in ("csi", "pod", "far") for at in ("0.5", "2", "5")}
    training = {"parameters": 2e6, "training_seconds": 60.0, "validation_nrmse": 0.4, "steps": 9}
    looks = [
        {"step": 5, "processor": 30.0, "validation": {"a": 0.6}},
        {"step": 9, "processor": 60.0, "validation": {"a": 0.3}},
    ]
    joint = {name: {**cell, "rmse": 1.0, "nrmse": 0.25} for name in TASKS}
    facts = {"processor": 60.0, "parameters": 7e6, "learning": 2e6, "looks": looks}
    results.write(tmp_path / "joint.json", {**joint, "training": facts})
    results.write(tmp_path / "per_task.json", {f"{name} / 0": {**cell, **training} for name in TASKS})
    results.write(
        tmp_path / "baselines.json",
        {f"{name} / {words}": cell for name in TASKS for words in (*tables.CHEAP, tables.OURS)},
    )
    claim = {"mean": 0.5, "tasks": {}, "steps": 10, "learning": 1e6}
    cells = {f"b / random, frozen / {seed}": {**claim, "mean": 0.5 + seed / 10} for seed in range(3)}
    results.write(tmp_path / "claims.json", {"a / joint 3 / 0": claim, **cells})
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    page = "\n".join(f"<!-- table: {name} -->\nold\n<!-- end -->" for name in tables.TABLES)
    filled = tables.filled(page)
    assert "old" not in filled
    assert filled == tables.filled(filled)
    assert "**1.000**" in filled  # the least of a row
    assert "0.600 ± 0.100" in filled
    assert "| the joint model, at its first look that is as good | 60 | 0.300 |" in filled
