"""GRIB in, where eccodes is installed; the file is written here."""

import numpy as np
import pytest
from made_series import series, waves

from allspark.spatiotemporal import UNISTD_TINY, Forecaster, UniSTD
from allspark.spatiotemporal.fit import start_from_data

eccodes = pytest.importorskip("eccodes")
pytest.importorskip("cfgrib")


def write_grib(path, frames, start):
    """Hourly fields of 2 m temperature on a regular grid of half a degree."""
    with path.open("wb") as file:
        for number, field in enumerate(frames):
            when = start + np.timedelta64(number, "h")
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            high, wide = field.shape
            keys = {
                "dataDate": int(str(when)[:10].replace("-", "")), "dataTime": int(str(when)[11:13]) * 100,
                "Ni": wide, "Nj": high, "iDirectionIncrementInDegrees": 0.5, "jDirectionIncrementInDegrees": 0.5,
                "latitudeOfFirstGridPointInDegrees": 55.5, "latitudeOfLastGridPointInDegrees": 55.5 - 0.5 * (high - 1),
                "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 0.5 * (wide - 1),
                "shortName": "2t", "bitsPerValue": 24,
            }  # fmt: skip
            for key, value in keys.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, field.astype(np.float64).ravel())
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)


def test_a_grib_file_is_forecast_in_its_units(tmp_path):
    values = waves(8) + 270
    start = np.datetime64("2020-03-01T00", "h")
    write_grib(tmp_path / "in.grib", values[:, 0].numpy(), start)
    data = series(waves(60) + 270, units="K", channels=("t2m",), thresholds=())
    model = UniSTD(UNISTD_TINY.changed(tasks={"waves": data.task}))
    start_from_data(model, {"waves": data})
    found = Forecaster(model).forecast(tmp_path / "in.grib", 3)
    assert found["t2m"].attrs["units"] == "K"
    assert found["time"].values.tolist() == [
        start.astype("datetime64[ns]").astype(int) + h * 3600 * 10**9 for h in (8, 9, 10)
    ]
    assert np.abs(found["t2m"].values - waves(11)[8:, 0].numpy() - 270).mean() < 0.5
    np.testing.assert_allclose(found["latitude"], 55.5 - 0.5 * np.arange(12))
    assert [p.name for p in tmp_path.iterdir()] == ["in.grib"]  # no index file beside the user's data
