"""allspark forecast: files out, pictures, JSON, and errors of one sentence; pictures by themselves."""

import json

import numpy as np
import pytest
import xarray as xr
from made_series import series, waves
from PIL import Image
from typer.testing import CliRunner

from allspark.cli import app
from allspark.readers.cube import read_cube
from allspark.spatiotemporal import UNISTD_TINY, Forecaster, UniSTD
from allspark.spatiotemporal.fit import start_from_data
from allspark.spatiotemporal.frames import frames_of
from allspark.spatiotemporal.pictures import draw_comparison, draw_forecast, draw_lead_times, draw_ranks
from allspark.spatiotemporal.ranks import rank_table


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tiny forecaster and a file for it."""
    folder = tmp_path_factory.mktemp("forecaster")
    data = series()
    model = UniSTD(UNISTD_TINY.changed(tasks={"waves": data.task}))
    start_from_data(model, {"waves": data})
    Forecaster(model).save(folder / "tiny")
    time = np.datetime64("2020-03-01", "ns") + np.arange(8) * np.timedelta64(1, "h")
    values = waves(8)[:, 0].numpy()
    values[7, 2:4, 2:4] = np.nan
    field = (("time", "y", "x"), values, {"units": "m"})
    xr.Dataset({"height": field}, {"time": time}).to_netcdf(folder / "in.nc", engine="netcdf4")
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["forecast", *(str(word) for word in arguments)])
    assert result.exit_code == code, result.output
    return result


def test_a_file_goes_in_and_files_come_out(saved, tmp_path):
    found = run(saved / "in.nc", "--model", saved / "tiny", "--horizon", 2, "--out", tmp_path / "out.nc",
                "--figure", tmp_path / "out.gif", "--json")  # fmt: skip
    told = json.loads(found.stdout)
    assert told["time"] == ["2020-03-01T08:00:00.000000000", "2020-03-01T09:00:00.000000000"]
    assert told["fields"][0]["units"] == "m"
    back = read_cube(tmp_path / "out.nc")
    assert back["height"].shape == (2, 12, 10)
    assert float(back["height"].mean()) == pytest.approx(told["fields"][0]["mean"], rel=1e-5)
    with Image.open(tmp_path / "out.gif") as picture:
        assert picture.n_frames == 4  # two that came, two ahead
    told = run(
        saved / "in.nc", "--model", saved / "tiny", "--out", tmp_path / "out.zarr", "--figure", tmp_path / "a.png"
    )
    assert "3 frames" in " ".join(told.stdout.split())  # a long path breaks the title into lines
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_info_describes_a_forecaster(saved):
    found = CliRunner().invoke(app, ["info", str(saved / "tiny"), "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["tasks"] == ["waves"]


def test_pictures_have_north_above(tmp_path):
    values = waves(4)[:, 0].numpy()
    field = (("time", "lat", "lon"), values, {"units": "m"})
    upwards = xr.Dataset({"height": field}, {"time": np.arange(4), "lat": np.arange(12.0), "lon": np.arange(10.0)})
    for name, data in (("up.png", upwards), ("down.png", upwards.isel(lat=slice(None, None, -1)))):
        draw_forecast(frames_of(data), data.isel(time=slice(2)), tmp_path / name)
    assert (tmp_path / "up.png").read_bytes() == (tmp_path / "down.png").read_bytes()


def test_flat_fields_are_drawn_large(tmp_path):
    def share_drawn(height, width):
        values = np.tile(np.linspace(0, 1, width, dtype=np.float32), (6, height, 1))
        field = xr.Dataset({"height": (("time", "lat", "lon"), values, {"units": "m"})}, {"time": np.arange(6)})
        draw_forecast(frames_of(field), field.isel(time=slice(3)), tmp_path / "field.png")
        pixels = np.asarray(Image.open(tmp_path / "field.png").convert("RGB")).astype(int)
        return float((np.ptp(pixels, axis=2) > 20).mean())  # what has a colour

    assert share_drawn(8, 160) > 0.2
    assert share_drawn(40, 50) > 0.2


def test_errors_are_one_sentence_and_leave_nothing_behind(saved, tmp_path):
    for arguments, words in (
        (("--horizon", 9, "--out", tmp_path / "out.nc"), "trained for 3"),
        (("--out", tmp_path / "out.csv"), "wanted one of .nc, .zarr"),
        (("--units", "K", "--out", tmp_path / "out.nc"), "no task fits"),
        (("--task", "rain", "--out", tmp_path / "out.nc"), "there is no task 'rain'"),
    ):
        found = run(saved / "in.nc", "--model", saved / "tiny", *arguments, code=1)
        assert words in found.stderr
        assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_truth_forecast_and_error_side_by_side(tmp_path, name):
    truth = waves(5)[:, 0].numpy()
    truth[2, 3, 3] = np.nan
    path = draw_comparison(truth, truth + 1, tmp_path / name, units="m", title="waves")
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == (5 if name.endswith("gif") else 1)
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_curves_and_ranks_are_drawn(tmp_path):
    curves = {"persistence": [1.0, 2.0, 3.0], "model": [0.5, 0.8, 1.0]}
    assert draw_lead_times(curves, tmp_path / "lead.png", units="m", title="waves").stat().st_size > 5_000
    ranks = rank_table(UniSTD(UNISTD_TINY))
    assert draw_ranks(ranks, tmp_path / "ranks.png", most=4).stat().st_size > 5_000


def test_an_error_names_the_commands_own_options(tmp_path):
    np.save(tmp_path / "field.npy", np.random.default_rng(0).random((12, 37, 49)).astype(np.float32))
    done = CliRunner().invoke(app, ["forecast", str(tmp_path / "field.npy"), "--out", str(tmp_path / "out.nc")])
    assert done.exit_code == 1
    assert "--task" in done.output
    assert "task=" not in done.output
    assert not (tmp_path / "out.nc").exists()
