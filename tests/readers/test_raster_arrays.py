"""Bare arrays (.npy, .npz, .mat) and folders with one band per file."""

import json
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy.io import savemat

from allspark import readers
from allspark.readers import UnreadableFileError, raster

RGB = ("red", "green", "blue")
rng = np.random.default_rng(1)


def cube(*shape, dtype="uint16"):
    return rng.integers(1, 5000, shape).astype(dtype)


def band(path, values, size=10.0, nodata=None, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff"
    more = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(
        path,
        "w",
        driver=driver,
        count=1,
        height=values.shape[0],
        width=values.shape[1],
        nodata=nodata,
        dtype=values.dtype,
        crs="EPSG:32630",
        transform=Affine(size, 0, 5e5, 0, -size, 4e6),
        **more,
    ) as file:
        file.write(values, 1)
        if tags:
            file.update_tags(**tags)
    return path


# ---- NumPy ----


def test_npy_asks_and_reads(tmp_path):
    values = cube(4, 12, 10)
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match=r"does not say its units and its band names; give units=.*4 names"):
        raster.read(tmp_path / "a.npy")
    found = raster.read(tmp_path / "a.npy", units="reflectance x 10000", bands=("B02", "B03", "B04", "B08"))
    assert np.allclose(found.values, values / 10000)
    assert found.wavelengths is not None
    part = raster.read(tmp_path / "a.npy", units="dn", bands=("a", "b", "c", "d"), window=(2, 3, 4, 5))
    assert (part.values == values[:, 2:6, 3:8]).all()


def test_npy_with_bands_last_is_turned_by_the_number_of_bands(tmp_path):
    values = cube(12, 10, 3, dtype="uint8")
    np.save(tmp_path / "a.npy", values)
    found = raster.read(tmp_path / "a.npy", units="uint8", bands=RGB)
    assert (found.values == values.transpose(2, 0, 1)).all()


def test_npy_time_series_and_single_band(tmp_path):
    series = cube(5, 2, 6, 7)
    np.save(tmp_path / "t.npy", series)
    times = [f"2020-0{month}-01" for month in range(1, 6)]
    found = raster.read(tmp_path / "t.npy", units="dn", bands=("red", "nir"), time=times)
    assert found.values.shape == (5, 2, 6, 7)
    assert found.time[4] == np.datetime64("2020-05-01")
    with pytest.raises(ValueError, match="2 times came for 5 dates"):
        raster.read(tmp_path / "t.npy", units="dn", bands=("red", "nir"), time=times[:2])
    np.save(tmp_path / "one.npy", series[0, 0])
    assert raster.read(tmp_path / "one.npy", units="amplitude", bands="HH").values.shape == (1, 6, 7)
    with pytest.raises(ValueError, match="three or four axes"):
        raster.read(tmp_path / "one.npy", units="amplitude")


def test_npz_may_say_everything_itself(tmp_path):
    values = cube(3, 5, 6)
    np.savez(
        tmp_path / "a.npz",
        image=values,
        units="reflectance x 10000",
        bands=np.array(["a", "b", "c"]),
        wavelengths=[450.0, 550.0, 650.0],
        fwhm=[10.0, 10, 10],
        time="2020-02-03",
        gsd=20.0,
        crs="EPSG:32630",
    )
    found = raster.read(tmp_path / "a.npz")
    assert (found.units, found.bands, found.gsd, found.crs) == ("reflectance", ("a", "b", "c"), 20.0, "EPSG:32630")
    assert np.allclose(found.wavelengths, [0.45, 0.55, 0.65])
    assert np.allclose(found.fwhm, 0.01)
    assert found.time[0] == np.datetime64("2020-02-03")
    np.savez(tmp_path / "two.npz", before=values, after=values + 1)
    with pytest.raises(ValueError, match=r"several rasters \(before .*after .*variable="):
        raster.read(tmp_path / "two.npz", units="dn", bands=RGB)
    chosen = raster.read(tmp_path / "two.npz", units="dn", bands=RGB, variable="after")
    assert (chosen.values == values + 1).all()
    with pytest.raises(ValueError, match="variable='x' is not in"):
        raster.read(tmp_path / "two.npz", variable="x")


def test_broken_and_pickled_arrays(tmp_path):
    np.save(tmp_path / "cut.npy", cube(3, 50, 50))
    data = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npy").write_text("no array at all")
    (tmp_path / "text.npz").write_text("no archive at all")
    for name in ("cut.npy", "text.npy", "text.npz"):
        with pytest.raises(UnreadableFileError, match="could not be read as np"):
            raster.read(tmp_path / name, units="dn", bands=RGB)
    np.save(tmp_path / "objects.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no array"):
        raster.read(tmp_path / "objects.npy", units="dn", bands=("a",))


def test_an_array_too_large_is_refused_from_its_header(tmp_path):
    path = tmp_path / "huge.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (3, 50_000, 50_000)}
        )
        file.truncate(file.tell() + 3 * 50_000**2)  # a hole: no bytes on disk
    with pytest.raises(ValueError, match=r"50,000 x 50,000 .*window="):
        raster.read(path, units="uint8", bands=RGB)
    assert raster.read(path, units="uint8", bands=RGB, window=(40_000, 0, 4, 5)).values.shape == (3, 4, 5)


# ---- MATLAB ----


def test_mat_bands_last_or_first(tmp_path):
    values = cube(9, 9, 20)
    savemat(tmp_path / "last.mat", {"data": values, "map": values[..., 0]})
    savemat(tmp_path / "first.mat", {"data": values.transpose(2, 0, 1), "wavelength": np.linspace(400, 2400, 20)})
    light = np.linspace(0.4, 2.4, 20)
    last = raster.read(tmp_path / "last.mat", units="radiance", wavelengths=light)
    first = raster.read(tmp_path / "first.mat", units="radiance")
    assert (last.values == values.transpose(2, 0, 1)).all()
    assert (first.values == last.values).all()
    assert np.allclose(first.wavelengths, light)
    savemat(tmp_path / "odd.mat", {"data": values.transpose(2, 0, 1)[:, :5]})  # 20 x 5 x 9: only the user knows
    assert raster.read(tmp_path / "odd.mat", units="dn", wavelengths=light).values.shape == (20, 5, 9)
    assert raster.read(tmp_path / "odd.mat", units="dn", wavelengths=light[:9]).values.shape == (9, 20, 5)


def test_mat_asks_which_and_refuses_matrices(tmp_path):
    savemat(tmp_path / "two.mat", {"hsi": cube(6, 6, 9), "rgb": cube(12, 12, 3, dtype="uint8")})
    with pytest.raises(ValueError, match=r"several rasters \(hsi \(6, 6, 9\), rgb \(12, 12, 3\)\).*variable="):
        raster.read(tmp_path / "two.mat")
    assert raster.read(tmp_path / "two.mat", variable="rgb", units="uint8", bands=RGB).values.shape == (3, 12, 12)
    savemat(tmp_path / "flat.mat", {"Y": cube(30, 400), "nRow": 20})
    with pytest.raises(ValueError, match=r"Y \(30, 400\).*must be reshaped"):
        raster.read(tmp_path / "flat.mat", units="dn")
    with pytest.raises(ValueError, match="must be reshaped"):
        raster.read(tmp_path / "flat.mat", units="dn", variable="Y")


def test_broken_mat(tmp_path):
    savemat(tmp_path / "a.mat", {"data": rng.normal(size=(20, 20, 9))}, do_compression=True)
    data = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableFileError, match="could not be read as mat"):
        raster.read(tmp_path / "a.mat", units="dn", wavelengths=np.linspace(0.4, 1, 9))
    (tmp_path / "new.mat").write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(124) + bytes([0, 2]) + b"IM" + b"\x89HDF\r\n\x1a\n" + bytes(600)
    )
    with pytest.raises(ValueError, match=r"7\.3 file .*-v7"):
        raster.read(tmp_path / "new.mat")


# ---- folders ----


def test_folder_is_brought_to_the_finest_grid(tmp_path):
    fine, coarse = np.full((20, 20), 1000, np.uint16), np.full((10, 10), 3000, np.uint16)
    fine[:10], coarse[:5] = 500, 2000
    band(tmp_path / "T30TVK_20200115T110000_B02.jp2", fine)
    band(tmp_path / "T30TVK_20200115T110000_B11.jp2", coarse, size=20.0)
    (tmp_path / "notes.txt").write_text("not a band")
    found = raster.read(tmp_path, units="reflectance x 10000")
    assert (found.bands, found.values.shape, found.gsd) == (("B02", "B11"), (2, 20, 20), 10.0)
    assert np.allclose(found.values[1, [2, 17], 10], [0.2, 0.3], atol=1e-4)
    assert np.allclose(found.values[0, [2, 17], 10], [0.05, 0.1])
    assert np.allclose(found.wavelengths, [0.4924, 1.6137])
    assert found.time[0] == np.datetime64("2020-01-15T11:00:00")
    part = raster.read(tmp_path, units="dn", bands=["B11"], window=(1, 2, 3, 4))
    assert part.values.shape == (1, 3, 4)
    assert part.transform.c == 500_040.0  # B11 alone lies on its own grid


def test_nodata_survives_resampling(tmp_path):
    coarse = np.full((10, 10), 4000, np.int16)
    coarse[0] = -9999
    band(tmp_path / "red.tif", np.full((20, 20), 1000, np.int16), nodata=-9999)
    band(tmp_path / "nir.tif", coarse, size=20.0, nodata=-9999)
    found = raster.read(tmp_path, units="reflectance x 10000")
    assert found.bands == ("nir", "red")
    assert not found.valid[0].any()
    assert found.valid[2:].all()
    assert np.nanmin(found.values) >= 0.099


MTL = """GROUP = L1_METADATA_FILE
    SPACECRAFT_ID = "{spacecraft}"
    SENSOR_ID = "{sensor}"
    PROCESSING_LEVEL = "{level}"
    DATE_ACQUIRED = 2020-01-15
    SCENE_CENTER_TIME = "13:00:47.3750190Z"
    REFLECTANCE_MULT_BAND_4 = 2.75e-05
    REFLECTANCE_ADD_BAND_4 = -0.2
    REFLECTANCE_MULT_BAND_5 = 2.75e-05
    REFLECTANCE_ADD_BAND_5 = -0.2
    TEMPERATURE_MULT_BAND_ST_B10 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B10 = 149.0
    REFLECTANCE_MULT_BAND_4 = 9
END_GROUP = L1_METADATA_FILE
END
"""


def test_landsat_levels(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    stem = "LT05_L1TP_224063_19880814_20200917_02_T1"
    values = cube(6, 6, dtype="uint8")
    for number in (10, 4, 2):
        band(one / f"{stem}_B{number}.TIF", values)
    band(one / f"{stem}_QA_PIXEL.TIF", values)
    found = raster.read(one, bands=("B4", "B2"), units="dn")
    assert np.allclose(found.wavelengths, [0.83, 0.56])  # the product's name says which Landsat
    assert found.time[0] == np.datetime64("1988-08-14")
    assert raster.read(one, units="dn").bands == ("B2", "B4", "B10")
    with pytest.raises(ValueError, match="does not say its units"):
        raster.read(one)
    (one / f"{stem}_MTL.txt").write_text(MTL.format(spacecraft="LANDSAT_5", sensor="TM", level="L1TP"))
    assert raster.read(one).units == "dn"
    assert raster.read(one / f"{stem}_B4.TIF").bands == ("B4",)
    stem = "LC08_L2SP_224063_20200115_20200823_02_T1"
    stored = cube(6, 6) + np.uint16(9000)
    stored[0, 0] = 0
    for name in ("SR_B4", "SR_B5", "ST_B10"):
        band(two / f"{stem}_{name}.TIF", stored)
    (two / f"{stem}_MTL.txt").write_text(MTL.format(spacecraft="LANDSAT_8", sensor="OLI_TIRS", level="L2SP"))
    with pytest.raises(ValueError, match=r"several units .*bands="):
        raster.read(two)
    found = raster.read(two, bands=("SR_B4", "SR_B5"))
    assert found.units == "reflectance"
    assert np.allclose(found.values[0, 1:], stored[1:] * 2.75e-05 - 0.2, atol=1e-6)
    assert np.allclose(found.wavelengths, [0.6545, 0.865])
    assert found.time[0] == np.datetime64("2020-01-15T13:00:47")
    assert not found.valid[0, 0]
    heat = raster.read(two, bands="ST_B10")
    assert heat.units == "kelvin"
    assert np.allclose(heat.values[0, 1:], stored[1:] * 0.00341802 + 149, atol=1e-3)


def test_sentinel2_product(tmp_path):
    safe = tmp_path / "S2A_MSIL2A_20230115T110000.SAFE"
    data = safe / "GRANULE" / "L2A_T30TVK" / "IMG_DATA"
    stored = cube(8, 8) + np.uint16(1000)
    stored[0, 0] = 0
    band(data / "R10m" / "T30TVK_20230115T110000_B04_10m.jp2", stored)
    band(data / "R20m" / "T30TVK_20230115T110000_B04_20m.jp2", stored[:4, :4], size=20.0)
    band(data / "R20m" / "T30TVK_20230115T110000_B8A_20m.jp2", stored[:4, :4], size=20.0)
    band(data.parent / "QI_DATA" / "MSK_QUALIT_B04.jp2", stored)
    (safe / "MTD_MSIL2A.xml").write_text(
        "<a><PRODUCT_START_TIME>2023-01-15T11:00:00.024Z</PRODUCT_START_TIME>"
        '<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
        '<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="8">-1000</BOA_ADD_OFFSET></a>'
    )
    found = raster.read(safe)
    assert (found.units, found.bands, found.gsd) == ("reflectance", ("B04", "B8A"), 10.0)
    assert np.allclose(found.values[0, 1:], (stored[1:] - 1000.0) / 10000, atol=1e-6)
    assert not found.valid[0, 0]
    assert found.time[0].astype("datetime64[s]") == np.datetime64("2023-01-15T11:00:00")


def test_folder_with_a_stac_item(tmp_path):
    band(tmp_path / "scene_red.tif", cube(4, 4))
    band(tmp_path / "scene_nir.tif", cube(4, 4))
    entry = {"roles": ["data", "reflectance"], "bands": [{"raster:scale": 0.0001}]}
    assets = {name: {"href": f"https://x.org/scene_{name}.tif", **entry} for name in ("red", "nir")}
    (tmp_path / "item.json").write_text(
        json.dumps({"type": "Feature", "assets": assets, "properties": {"datetime": "2021-01-01"}})
    )
    found = raster.read(tmp_path)
    assert (found.units, found.bands) == ("reflectance", ("nir", "red"))
    assert found.values.max() <= 0.5
    assert found.time[0] == np.datetime64("2021-01-01")


def test_folders_that_are_no_raster(tmp_path):
    photos, twice, deep = tmp_path / "photos", tmp_path / "twice", tmp_path / "many"
    band(photos / "img_0001.tif", cube(4, 4))
    with pytest.raises(ValueError, match="none named after a band"):
        raster.read(photos)
    band(twice / "may_B02.tif", cube(4, 4))
    band(twice / "june_B02.tif", cube(4, 4))
    with pytest.raises(ValueError, match=r"two files of band B02 .*own folder"):
        raster.read(twice)
    deep.mkdir()
    with rasterio.open(
        deep / "x_red.tif",
        "w",
        driver="GTiff",
        count=2,
        height=2,
        width=2,
        dtype="uint8",
        crs="EPSG:32630",
        transform=Affine(10, 0, 0, 0, -10, 0),
    ) as file:
        file.write(np.ones((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="holds 2 bands; wanted one band per file"):
        raster.read(deep)


def test_everything_also_from_inside_an_archive(tmp_path):
    source = tmp_path / "source"
    values = cube(6, 7)
    band(source / "scene" / "a_B02.tif", values, UNITS="reflectance x 10000")
    band(source / "scene" / "a_B03.tif", values, UNITS="reflectance x 10000")
    np.save(source / "x.npy", cube(3, 5, 5))
    savemat(source / "x.mat", {"data": cube(5, 5, 3)})
    (source / "e.img").write_bytes(cube(2, 3, 4).astype("<u2").tobytes())
    (source / "e.hdr").write_text(
        "ENVI\nsamples = 4\nlines = 3\nbands = 2\nheader offset = 0\nfile type = ENVI Standard\ndata type = 12\n"
        "interleave = bsq\nbyte order = 0\nwavelength units = nm\nwavelength = {500, 600}\n"
        "reflectance scale factor = 10000"
    )
    outer = tmp_path / "odd {name}.zip"
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in source.rglob("*.*"):
            archive.write(path, path.relative_to(source))
    single = readers.read(f"zip://scene/a_B02.tif::{outer}")
    assert np.allclose(single.values[0], values / 10000)
    folder = readers.read(f"zip://scene::{outer}")
    assert folder.bands == ("B02", "B03")
    assert np.allclose(folder.values[1], values / 10000)
    for name in ("e.img", "e.hdr"):
        assert np.allclose(readers.read(f"zip://{name}::{outer}").wavelengths, [0.5, 0.6])
    for name in ("x.npy", "x.mat"):
        assert readers.read(f"zip://{name}::{outer}", units="dn", bands=RGB).values.shape == (3, 5, 5)
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        archive.write(outer, "inner.zip")
    nested = readers.read(f"zip://scene/a_B02.tif::zip://inner.zip::{tmp_path / 'nested.zip'}")
    assert (nested.values == single.values).all()
