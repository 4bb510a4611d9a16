"""forecast, adapt, save and load; files in and out; bad input, one sentence each."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from made_series import network, series, waves

import allspark
from allspark.presets import WeightsNotFoundError
from allspark.readers import UnreadableFileError
from allspark.readers.cube import read_cube
from allspark.spatiotemporal import UNISTD_TINY, Forecaster, UniSTD
from allspark.spatiotemporal.field_units import law
from allspark.spatiotemporal.files import write_dataset
from allspark.spatiotemporal.fit import start_from_data
from allspark.spatiotemporal.frames import frames_of
from allspark.spatiotemporal.time_axis import time_axis


@pytest.fixture(scope="module")
def forecaster():
    """Two tasks whose linear path alone is fitted: a travelling wave in metres and a sensor network in mph."""
    parts = {"waves": series(), "ring": network()}
    model = UniSTD(UNISTD_TINY.changed(tasks={name: part.task for name, part in parts.items()}))
    start_from_data(model, parts)
    return Forecaster(model)


def hours(count, start="2020-03-01"):
    return np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(1, "h")


def dataset(frames=8, units="m", time=None, **coords):
    values = waves(frames)[:, 0].numpy()
    coords = {"lat": np.linspace(50, 55.5, 12), "lon": np.linspace(0, 4.5, 10), **coords}
    coords["time"] = hours(frames) if time is None else time
    field = (("time", "lat", "lon"), values, {"units": units, "grid_mapping": "crs", "standard_name": "sea_height"})
    crs = ((), 0, {"grid_mapping_name": "latitude_longitude"})
    return xr.Dataset({"height": field, "crs": crs}, coords=coords)


def test_a_dataset_gives_a_dataset_with_time_units_and_crs(forecaster):
    found = forecaster.forecast(dataset(), 3)
    assert found["height"].dims == ("time", "lat", "lon")
    assert found["height"].attrs["units"] == "m"
    assert found["height"].attrs["grid_mapping"] == "crs"
    assert found["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
    assert found["time"].values.tolist() == hours(11)[8:].tolist()
    assert np.array_equal(found["lat"], dataset()["lat"])
    truth = waves(11)[8:, 0].numpy()
    assert np.abs(found["height"].values - truth).mean() < 0.3


@pytest.mark.parametrize("shape", ["TCHW", "THW", "tensor"])
def test_arrays_are_taken_to_be_in_the_tasks_units(forecaster, shape):
    values = waves(6)
    data = {"TCHW": values.numpy(), "THW": values[:, 0].numpy(), "tensor": values}[shape]
    found = forecaster.forecast(data)
    assert found["height"].shape == (3, 12, 10)
    assert found["time"].values.tolist() == [3600.0, 7200.0, 10800.0]


def test_units_are_converted_there_and_back(forecaster):
    assert law("degC", "K") == (1.0, 273.15)
    assert law("kg m-2 s-1", "mm/h") == (3600.0, 0.0)
    assert law("mm h-1", "mm/h") == (1.0, 0.0)
    values = network().segments[0][:8] * 1.609344
    frames = forecaster.forecast(values, task="ring", units="km/h")
    plain = forecaster.forecast(network().segments[0][:8], task="ring")
    assert frames["speed"].attrs["units"] == "km/h"
    np.testing.assert_allclose(frames["speed"], plain["speed"] * 1.609344, rtol=1e-3)


def test_nan_pixels_are_missing(forecaster):
    data = dataset()
    data["height"][{"time": 7, "lat": slice(2, 5), "lon": slice(2, 5)}] = np.nan
    assert np.isfinite(forecaster.forecast(data)["height"]).all()


def test_where_nothing_was_ever_known_nothing_is_forecast(forecaster):
    data = dataset()
    data["height"][{"lat": slice(2, 5), "lon": slice(2, 5)}] = np.nan
    for horizon in (3, 7):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = np.isfinite(forecaster.forecast(data, horizon, rollout=True)["height"].values)
        assert not found[:, 2:5, 2:5].any()
        assert found.sum() == found.size - horizon * 9


def test_another_extent_and_odd_sizes(forecaster):
    assert forecaster.forecast(waves(6, 59, 43), task="waves")["height"].shape == (3, 59, 43)


def test_a_longer_horizon_is_refused_or_rolled_out(forecaster):
    with pytest.raises(ValueError, match="trained for 3; ask for at most that, or for rollout=True"):
        forecaster.forecast(dataset(), 7)
    with pytest.warns(UserWarning, match="forecasts are fed back"):
        found = forecaster.forecast(dataset(), 7, rollout=True)
    assert found["time"].values.tolist() == hours(15)[8:].tolist()
    assert np.abs(found["height"].values - waves(15)[8:, 0].numpy()).mean() < 0.6
    np.testing.assert_allclose(found["height"][:3], forecaster.forecast(dataset(), 3)["height"])


def gap():
    return np.delete(hours(9), 5)


def backwards():
    return hours(8)[[0, 1, 2, 4, 3, 5, 6, 7]]


def without_frame(number):
    data = dataset()
    data["height"][{"time": number}] = np.nan
    return data


def infinite():
    data = dataset()
    data["height"][{"time": 7, "lat": 0, "lon": 0}] = np.inf
    return data


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dataset(3), "3 frames came; task 'waves' forecasts from 4"),
        (lambda: dataset(time=gap()), "the time axis has a gap: from 2020-03-01T04"),
        (lambda: dataset(time=backwards()), "the time axis is out of order"),
        (lambda: dataset(time=hours(8)[[0, 1, 2, 2, 3, 4, 5, 6]]), "out of order"),
        (lambda: without_frame(6), "frame 6 .* has no known value"),
        (lambda: dataset() * np.nan, "without one known value"),
        (infinite, "infinite values"),
        (lambda: dataset(units="K"), "no task fits the data .*'K'"),
        (lambda: dataset(time=hours(8)[0] + np.arange(8) * np.timedelta64(1, "D")), "frames every 86400 s came"),
        (lambda: dataset(lat=np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20.0])), "unevenly spaced"),
        (lambda: dataset().rename(lat="cell", lon="height2").isel(height2=0), "an unstructured grid must be put"),
        (lambda: dataset().drop_attrs(), "name no units"),
        (lambda: waves(6, 4, 4), "a field of 4 x 4 came; wanted from 8"),
        (lambda: waves(6, channels=2), "no task fits the data"),
        (lambda: np.array([["a"]]), "wanted numbers"),
    ],
)
def test_bad_input_gets_one_sentence(forecaster, make, words):
    with pytest.raises(ValueError, match=words) as caught:
        forecaster.forecast(make())
    assert "\n" not in str(caught.value)


def test_other_bad_calls(forecaster):
    with pytest.raises(ValueError, match="there is no task 'rain'; wanted one of waves, ring"):
        forecaster.forecast(dataset(), task="rain")
    with pytest.raises(ValueError, match="a network of 9 sensors"):
        forecaster.forecast(waves(6, 8, 1), task="ring")
    with pytest.raises(ValueError, match=r"'K' came; the task is in 'm'|'K' came, task 'waves' is in 'm'"):
        forecaster.forecast(dataset(), task="waves", units="K")
    with pytest.raises(ValueError, match="horizon is 0"):
        forecaster.forecast(dataset(), 0)
    with pytest.raises(TypeError, match="a dict came"):
        forecaster.forecast({})
    with pytest.raises(ValueError, match="there is no field 'depth'"):
        forecaster.forecast(dataset(), variables=["depth"])


def test_every_kind_of_file_goes_in(forecaster, tmp_path):
    import rasterio
    from affine import Affine

    wanted = forecaster.forecast(dataset())["height"].values
    dataset().to_netcdf(tmp_path / "in.nc", engine="netcdf4")
    dataset().to_zarr(tmp_path / "in.zarr", consolidated=False)
    values = dataset()["height"].values
    np.savez(tmp_path / "in.npz", height=values, time=dataset()["time"].values, units="m")
    np.save(tmp_path / "in.npy", values)
    (tmp_path / "stack").mkdir()
    place = {"driver": "GTiff", "height": 12, "width": 10, "count": 1, "dtype": "float32", "crs": "EPSG:32630"}
    for frame, when in zip(values, dataset()["time"].values, strict=True):
        stamp = str(when)[:13].replace("-", "").replace("T", "T") + "0000"
        with rasterio.open(
            tmp_path / "stack" / f"h_{stamp}.tif", "w", **place, transform=Affine(10, 0, 0, 0, -10, 120)
        ) as file:
            file.write(frame, 1)
            file.units = ("m",)
    with pytest.raises(ValueError, match="name no units"):
        forecaster.forecast(tmp_path / "in.npy", task="waves")
    for name in ("in.nc", "in.zarr", "in.npz", "in.npy", "stack"):
        found = forecaster.forecast(tmp_path / name, task="waves", units="m" if name == "in.npy" else None)
        field = found[next(iter(found.data_vars))]
        told = {"atol": 1e-3} if name != "in.npy" else {"atol": 0.5}  # an .npy has no clock
        np.testing.assert_allclose(field.values, wanted, **told)
    stacked = forecaster.forecast(tmp_path / "stack", task="waves")
    assert "32630" in stacked["spatial_ref"].attrs["crs_wkt"]
    assert stacked["time"].values[0] == hours(9)[8]


def test_broken_files_are_said_to_be_broken(tmp_path):
    for name, content in (("a.nc", b"CDF junk"), ("b.npz", b"PK junk"), ("c.nc", b""), ("d.grib", b"GRIB junk")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((UnreadableFileError, ImportError), match=rf"{name}"):
            read_cube(tmp_path / name)
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(ValueError, match=r"\.csv.*are not fields over time"):
        read_cube(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_cube(tmp_path / "none.nc")


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_forecasts_are_written_and_read_back(forecaster, tmp_path, name):
    found = forecaster.forecast(dataset())
    for _ in range(2):  # the second replaces the first
        write_dataset(found, tmp_path / name)
    back = read_cube(tmp_path / name)
    np.testing.assert_allclose(back["height"], found["height"])
    assert back["time"].values.tolist() == found["time"].values.tolist()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with pytest.raises(ValueError, match=r"wanted one of \.nc, \.zarr"):
        write_dataset(found, tmp_path / "out.csv")


def test_months_years_and_model_calendars_go_on():
    months = np.array(["2020-11-15", "2020-12-15", "2021-01-15"], "datetime64[ns]")
    axis = time_axis(months)
    assert [str(t)[:10] for t in axis.after(2)] == ["2021-02-15", "2021-03-15"]
    cftime = pytest.importorskip("cftime")
    years = np.array([cftime.Datetime360Day(1999 + i, 6, 30) for i in range(3)])
    assert [t.year for t in time_axis(years).after(2)] == [2002, 2003]
    assert time_axis(np.arange(3)) is None


def test_saved_and_loaded_it_forecasts_the_same(forecaster, tmp_path):
    forecaster.save(tmp_path / "mine")
    for again in (Forecaster.load(tmp_path / "mine"), allspark.load(tmp_path / "mine")):
        assert isinstance(again, Forecaster)
        assert again.tasks == forecaster.tasks
        np.testing.assert_allclose(again.forecast(dataset())["height"], forecaster.forecast(dataset())["height"])
    forecaster.save(tmp_path / "half", torch.bfloat16)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("mine", "half")]
    assert sizes[1] < 0.75 * sizes[0]
    np.testing.assert_allclose(
        Forecaster.load(tmp_path / "half").forecast(dataset())["height"],
        forecaster.forecast(dataset())["height"],
        atol=0.05,
    )
    with pytest.raises(WeightsNotFoundError, match="no model"):
        Forecaster.load(tmp_path / "nothing")
    (tmp_path / "half" / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UnreadableFileError, match="corrupt"):
        Forecaster.load(tmp_path / "half")


def test_the_weights_that_ship_or_a_sentence():
    if "unistd-base" in allspark.list_models() and (allspark.presets.WEIGHTS / "unistd-base").is_dir():
        assert "bikenyc" in allspark.load("unistd-base").tasks
    else:
        with pytest.raises(WeightsNotFoundError, match="recipes/unistd-base"):
            allspark.load("unistd-base")


def test_adapt_learns_a_new_task_and_leaves_the_old_model_alone(forecaster, tmp_path):
    before = {name: value.clone() for name, value in forecaster.model.state_dict().items()}
    data = dataset(60).rename(height="level")
    mine = forecaster.adapt(data, epochs=3, name="tide", frames_in=4, horizon=3, lr=3e-3)
    assert list(mine.tasks) == ["tide"]
    assert mine.tasks["tide"].units == "m"
    assert mine.tasks["tide"].periods == ("day",)
    assert all(torch.equal(value, before[name]) for name, value in forecaster.model.state_dict().items())
    old, new = forecaster.model.trunk[0].block, mine.model.trunk[0].block
    assert torch.equal(old.mlp.fc1.weight, new.mlp.fc1.weight)  # the trunk is frozen
    assert not torch.equal(old.attn.q.down.weight, new.attn.q.down.weight)  # its experts are not
    assert [p.requires_grad for name, p in mine.model.named_parameters() if name.endswith("ranks")].count(True) == 0
    truth = waves(63)[60:, 0].numpy()
    error = np.abs(mine.forecast(data)["level"].values - truth).mean()
    still = np.abs(waves(60)[-1, 0].numpy() - truth).mean()
    assert error < 0.3 * still
    mine.save(tmp_path / "tide")
    np.testing.assert_allclose(
        Forecaster.load(tmp_path / "tide").forecast(data)["level"], mine.forecast(data)["level"], atol=1e-5
    )


def test_adapt_refuses_what_is_too_short_or_does_not_belong_together(forecaster):
    with pytest.raises(ValueError, match="wanted at least 14 in a row"):
        forecaster.adapt(dataset(10), frames_in=4, horizon=3)
    with pytest.raises(ValueError, match="wanted the same fields and units"):
        forecaster.adapt([dataset(30), waves(30, 20, 20)])
    with pytest.raises(ValueError, match="no data came"):
        forecaster.adapt([])
    with pytest.raises(ValueError, match="say units="):
        forecaster.adapt(dataset(30).drop_attrs())


def test_frames_keep_what_they_are():
    frames = frames_of(dataset())
    assert frames_of(frames) is frames
    assert frames.values.shape == (8, 1, 12, 10)
    assert frames.channels == ("height",)
    assert frames.time.step == 3600
