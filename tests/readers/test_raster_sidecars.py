"""Rasters whose metadata lie in a file beside them: ENVI headers and STAC items."""

import json

import numpy as np
import pytest
from affine import Affine

from allspark.readers import UnreadableFileError, raster

UTM = {"crs": "EPSG:32630", "transform": Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 4200000.0)}

# ---- ENVI ----

HEADER = """ENVI
samples = 4
lines = 3
bands = 2
header offset = 0
file type = ENVI Standard
data type = 12
interleave = {interleave}
byte order = 0
{more}
"""


def envi(folder, values, name="cube", suffix=".img", interleave="bsq", more=""):
    order = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    (folder / f"{name}{suffix}").write_bytes(np.ascontiguousarray(values.transpose(order)).astype("<u2").tobytes())
    (folder / f"{name}.hdr").write_text(HEADER.format(interleave=interleave, more=more))
    return folder / f"{name}{suffix}"


@pytest.mark.parametrize(
    ("suffix", "interleave"),
    [(".img", "bsq"), (".dat", "bil"), (".bip", "bip"), (".bil", "bil"), (".bsq", "bsq"), ("", "bsq")],
)
def test_envi_in_every_order_by_data_or_header(tmp_path, numbers, suffix, interleave):
    values = numbers(2, 3, 4)
    more = (
        "wavelength units = Nanometers\nwavelength = {450.5, 2100}\nfwhm = {10, 12}\nreflectance scale factor = 10000\n"
        f"data ignore value = {values[0, 0, 0]}\nband names = {{blue one, swir two}}\n"
        "acquisition time = 2013-04-06T10:00:00Z"
    )
    values[1, 0, 0] = values[0, 0, 0]
    data = envi(tmp_path, values, suffix=suffix, interleave=interleave, more=more)
    for path in (data, data.with_suffix(".hdr")):
        found = raster.read(path)
        assert (found.units, found.bands) == ("reflectance", ("blue one", "swir two"))
        assert np.allclose(found.values[:, 2, 3], values[:, 2, 3] / 10000)
        assert np.allclose(found.wavelengths, [0.4505, 2.1])
        assert np.allclose(found.fwhm, [0.010, 0.012])
        assert not found.valid[0, 0]
        assert found.time[0] == np.datetime64("2013-04-06T10:00:00")


def test_envi_that_says_less(tmp_path, numbers):
    values = numbers(2, 3, 4)
    data = envi(tmp_path, values, more="wavelength = {0.45, 2.1}")
    with pytest.raises(ValueError, match="does not say its units; give units="):
        raster.read(data)
    assert np.allclose(raster.read(data, units="radiance").wavelengths, [0.45, 2.1])
    gain = envi(tmp_path, values, "gain", more="data gain values = {0.5, 2}\nband names = {a, b}")
    assert np.allclose(raster.read(gain, units="radiance").values, values * np.array([0.5, 2])[:, None, None])


def test_envi_that_is_incomplete(tmp_path, numbers):
    data = envi(tmp_path, numbers(2, 3, 4), suffix=".dat")
    data.with_suffix(".hdr").rename(tmp_path / "kept.hdr")
    with pytest.raises(FileNotFoundError, match="no header beside it"):
        raster.read(data)
    with pytest.raises(FileNotFoundError, match=r"data of .* is not beside it"):
        raster.read(tmp_path / "kept.hdr")
    (tmp_path / "kept.hdr").write_text("nrows 5")
    with pytest.raises(UnreadableFileError, match="does not begin with ENVI"):
        raster.read(tmp_path / "kept.hdr")
    short = envi(tmp_path, numbers(2, 3, 4), "short")
    short.write_bytes(short.read_bytes()[:20])
    with pytest.raises(UnreadableFileError, match="could not be read"):
        raster.read(short, units="dn", bands=("a", "b"))


# ---- STAC beside the file ----


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_stac_item_beside_the_file(tmp_path, numbers, version, write):
    values = numbers(2, 4, 4)
    values[:, 0, 0] = 0
    path = write(tmp_path / "scene.tif", values, photometric="minisblack")
    eo = [{"name": "B4", "common_name": "red", "center_wavelength": 0.655, "full_width_half_max": 0.03},
          {"name": "B8", "common_name": "nir", "center_wavelength": 0.842, "full_width_half_max": 0.1}]  # fmt: skip
    rows = [{"nodata": 0, "scale": 0.0001, "offset": -0.1, "unit": "reflectance"}] * 2
    if version == "1.0":
        bands = {"eo:bands": eo, "raster:bands": rows}
    else:
        law = {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1, "unit": "reflectance"}
        bands = {"bands": [{**law, "name": b["name"], "eo:center_wavelength": b["center_wavelength"],
                            "eo:full_width_half_max": b["full_width_half_max"]} for b in eo]}  # fmt: skip
    item = {"type": "Feature", "properties": {"datetime": "2021-06-01T10:00:00Z", "gsd": 10, "platform": "sentinel-2a"},
            "assets": {"data": {"href": "./scene.tif", **bands}}}  # fmt: skip
    (tmp_path / "scene.json").write_text(json.dumps(item))
    found = raster.read(path)
    assert (found.units, found.bands, found.gsd) == ("reflectance", ("B4", "B8"), 10.0)
    assert np.allclose(found.values[:, 2, 2], values[:, 2, 2] * 0.0001 - 0.1, atol=1e-6)
    assert np.allclose(found.wavelengths, [0.655, 0.842])
    assert np.allclose(found.fwhm, [0.03, 0.1])
    assert found.time[0] == np.datetime64("2021-06-01T10:00:00")
    assert not found.valid[0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "{broken",
        '{"type": "Feature", "assets": {"a": 3}}',
        '{"type": "Feature", "assets": {"a": {"href": "other.tif"}, "b": {"href": "x.tif"}}}',
        '{"type": "Feature", "properties": [], "assets": {"a": {"href": "scene.tif", "bands": [7], "roles": 3}}}',
    ],
)
def test_other_json_beside_the_file_is_left_alone(tmp_path, numbers, text, write):
    path = write(tmp_path / "scene.tif", numbers(1, 4, 4), ("red",), ("dn",), **UTM)
    (tmp_path / "scene.json").write_text(text)
    assert raster.read(path).units == "dn"
