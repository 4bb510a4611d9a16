"""One image file to a Raster: pictures, GeoTIFF, masks, the samples, and every way a file can be wrong."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp

from allspark.readers import UnreadableFileError, raster

SAMPLES = Path(raster.__file__).parents[1] / "samples"
UTM = {"crs": "EPSG:32630", "transform": Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 4200000.0)}


# ---- pictures ----


@pytest.mark.parametrize(
    ("suffix", "options"), [(".jpg", {"quality": 95}), (".png", {}), (".webp", {"lossless": True}), (".tif", {})]
)
def test_a_picture_needs_no_options(tmp_path, numbers, suffix, options):
    pixels = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, **options)
    found = raster.read(path)
    assert (found.units, found.bands, found.values.shape) == ("uint8", ("red", "green", "blue"), (3, 20, 30))
    assert found.values.dtype == np.uint8
    assert np.abs(found.values[:, 10, 15].astype(int) - [200, 100, 50]).max() <= 3
    assert found.crs is None
    assert found.transform is None
    assert found.wavelengths is None
    assert found.valid is None


def test_transparency_becomes_valid(tmp_path):
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = raster.read(tmp_path / "a.png")
    assert found.values.shape == (3, 8, 8)
    assert (~found.valid).sum() == 16
    assert not found.valid[:2].any()


def test_a_picture_stored_by_a_colour_table_is_expanded(tmp_path):
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[:3] = (10, 200, 30)
    Image.fromarray(pixels).quantize(4).save(tmp_path / "a.png")
    found = raster.read(tmp_path / "a.png")
    assert found.bands == ("red", "green", "blue")
    assert found.values[:, 0, 0].tolist() == [10, 200, 30]
    assert found.values[:, 5, 5].tolist() == [0, 0, 0]


def test_a_colour_table_in_a_geotiff_is_not_taken_for_a_picture(tmp_path, numbers):
    path = tmp_path / "classes.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=4, width=4, dtype="uint8", **UTM) as file:
        file.write(np.ones((1, 4, 4), np.uint8))
        file.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)})
    with pytest.raises(ValueError, match="does not say its units"):
        raster.read(path)
    assert raster.read(path, units="uint8").values[:, 0, 0].tolist() == [255, 0, 0]
    assert raster.read(path, units="dn", bands=["class"]).values.max() == 1


def test_colour_order_is_the_files(tmp_path, numbers, write):
    colours = (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    path = write(
        tmp_path / "bgr.tif", numbers(3, 4, 4, dtype="uint8", high=255), colours=colours, photometric="minisblack"
    )
    assert raster.read(path).bands == ("blue", "green", "red")


def test_a_grey_chip_asks_for_units_and_band(tmp_path, numbers):
    Image.fromarray(numbers(16, 16, dtype="uint8", high=255)).save(tmp_path / "chip.png")
    with pytest.raises(ValueError, match=r"does not say its units and its band's name; give units=.*bands=") as error:
        raster.read(tmp_path / "chip.png")
    assert "\n" not in str(error.value)
    found = raster.read(tmp_path / "chip.png", units="amplitude", bands=("HH",))
    assert (found.units, found.bands, found.values.shape) == ("amplitude", ("HH",), (1, 16, 16))


def test_one_band_stored_as_grey_rgb(tmp_path, numbers):
    grey = numbers(16, 16, dtype="uint8", high=255)
    Image.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / "sar.png")
    found = raster.read(tmp_path / "sar.png", units="amplitude", bands="VH")
    assert found.values.shape == (1, 16, 16)
    assert (found.values[0] == grey).all()
    coloured = np.stack([grey, grey, grey[::-1]], -1)
    Image.fromarray(coloured).save(tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="3 bands differ"):
        raster.read(tmp_path / "rgb.png", units="amplitude", bands="VH")


def test_float_display_values_become_bytes(tmp_path, write):
    values = np.full((3, 4, 4), 99.6, np.float32)
    values[:, 0, 0] = -3.4e38
    path = write(tmp_path / "a.tif", values, nodata=-3.4e38, **UTM)
    found = raster.read(path, units="uint8", bands=("red", "green", "blue"))
    assert found.values.dtype == np.uint8
    assert found.values[0, 1, 1] == 100
    assert not found.valid[0, 0]
    with pytest.raises(ValueError, match="wanted 0 to 255"):
        raster.read(
            write(tmp_path / "b.tif", np.abs(values[:, 1:]) * 10, **UTM), units="uint8", bands=("red", "green", "blue")
        )


# ---- GeoTIFF: units, scale, nodata, place ----


def test_scaled_reflectance_with_shared_nodata(tmp_path, numbers, write):
    values = numbers(3, 6, 6, dtype="int16", high=8000)
    values[:, 0, 0] = 0  # no band has data
    values[0, 1, 1] = 0  # one band is honestly dark
    path = write(
        tmp_path / "s2.tif", values, ("B02", "B03", "B8A"), tags={"UNITS": "reflectance x 10000"}, nodata=0, **UTM
    )
    found = raster.read(path)
    assert (found.units, found.bands, found.values.dtype) == ("reflectance", ("B02", "B03", "B8A"), np.float32)
    assert np.allclose(found.values[:, 2, 2], values[:, 2, 2] / 10000)
    assert found.valid.sum() == 35
    assert not found.valid[0, 0]
    assert found.valid[1, 1]
    assert np.isnan(found.values[:, 0, 0]).all()
    assert np.allclose(found.wavelengths, [0.4924, 0.5598, 0.8647])
    assert np.allclose(found.fwhm, [0.066, 0.036, 0.021])
    assert (found.crs, found.gsd) == ("EPSG:32630", 10.0)
    assert found.transform == UTM["transform"]


def test_an_impossible_nodata_in_one_band_spoils_the_pixel(tmp_path, numbers, write):
    values = numbers(2, 4, 4, dtype="int16")
    values[1, 2, 3] = -9999
    path = write(tmp_path / "a.tif", values, ("red", "nir"), tags={"UNITS": "reflectance x 10000"}, nodata=-9999, **UTM)
    found = raster.read(path)
    assert not found.valid[2, 3]
    assert found.valid.sum() == 15


def test_scale_and_offset_of_bands_go_before_a_phrase(tmp_path, numbers, write):
    values = numbers(2, 4, 4)
    path = write(
        tmp_path / "a.tif",
        values,
        ("red", "nir"),
        tags={"UNITS": "reflectance x 10000"},
        scales=(0.0001, 0.0002),
        offsets=(-0.1, 0.0),
        **UTM,
    )
    found = raster.read(path)
    assert np.allclose(found.values[0], values[0] * 0.0001 - 0.1, atol=1e-6)
    assert np.allclose(found.values[1], values[1] * 0.0002, atol=1e-6)
    assert (raster.read(path, units="dn").values == values).all()


@pytest.mark.parametrize(
    ("unit", "name", "stored", "value"),
    [
        ("dB", "db", -12.0, -12.0),
        ("linear power", "linear", 0.1, 0.1),
        ("degC", "kelvin", 20.0, 293.15),
        ("feet", "metres", 100.0, 30.48),
        ("W/m2/sr/um", "radiance", 7.0, 7.0),
        ("reflectance (%)", "reflectance", 40.0, 0.4),
    ],
)
def test_units_of_bands(tmp_path, unit, name, stored, value, write):
    path = write(tmp_path / "a.tif", np.full((1, 3, 3), stored, np.float32), ("B02",), (unit,), **UTM)
    found = raster.read(path)
    assert found.units == name
    assert np.allclose(found.values, value, atol=1e-4)


def test_radar_names_and_units(tmp_path, write):
    values = np.full((2, 4, 4), -10, np.float32)
    bare = write(tmp_path / "bare.tif", values, ("vv", "Vh"), **UTM)
    with pytest.raises(ValueError, match="does not say its units; give units="):
        raster.read(bare)
    found = raster.read(bare, units="db")
    assert found.bands == ("VV", "VH")
    assert found.wavelengths is None
    named = raster.read(write(tmp_path / "named.tif", values, ("Sigma0_VV_db", "Sigma0_VH_db"), **UTM))
    assert (named.units, named.bands) == ("db", ("VV", "VH"))
    dates = raster.read(write(tmp_path / "two.tif", values, ("VV_may", "VV_june"), ("dB", "dB"), **UTM))
    assert dates.bands == ("VV_may", "VV_june")


def test_bands_of_several_units_are_not_mixed(tmp_path, write):
    path = write(
        tmp_path / "a.tif", np.full((2, 4, 4), 0.5, np.float32), ("red", "elevation"), ("reflectance", "m"), **UTM
    )
    with pytest.raises(ValueError, match="several units"):
        raster.read(path)
    assert raster.read(path, bands=["elevation"]).units == "metres"


def test_bands_choose_by_name_or_give_names(tmp_path, numbers, write):
    values = numbers(3, 4, 4)
    named = write(tmp_path / "named.tif", values, ("B02", "B03", "B04"), **UTM)
    found = raster.read(named, units="reflectance x 10000", bands=("B04", "b02"))
    assert found.bands == ("B04", "b02")
    assert np.allclose(found.values, values[[2, 0]] / 10000)
    with pytest.raises(ValueError, match=r"bands \['B99'\] are not in .*choose"):
        raster.read(named, units="dn", bands=("B02", "B99"))
    bare = write(tmp_path / "bare.tif", values, photometric="minisblack", **UTM)
    assert raster.read(bare, units="dn", bands=("a", "b", "c")).bands == ("a", "b", "c")
    with pytest.raises(ValueError, match="2 band names came for the 3 bands"):
        raster.read(bare, units="dn", bands=("a", "b"))


def test_wavelengths_only_where_names_leave_no_doubt(tmp_path, numbers, write):
    values = numbers(2, 4, 4)
    landsat = write(tmp_path / "l.tif", values, ("B4", "B5"), **UTM)
    assert raster.read(landsat, units="dn").wavelengths is None
    tagged = write(tmp_path / "t.tif", values, ("SR_B4", "SR_B5"), tags={"SPACECRAFT_ID": "LANDSAT_8"}, **UTM)
    assert np.allclose(raster.read(tagged, units="dn").wavelengths, [0.6545, 0.865])
    thematic = write(tmp_path / "m.tif", values, ("B4", "B5"), tags={"SENSOR": "Landsat 5 TM"}, **UTM)
    assert np.allclose(raster.read(thematic, units="dn").wavelengths, [0.83, 1.65])
    common = write(tmp_path / "c.tif", values, ("green", "nir"), **UTM)
    assert np.allclose(raster.read(common, units="dn").wavelengths, [0.56, 0.842])
    said = write(tmp_path / "w.tif", values, ("443.0 nm", "0.56 um"), **UTM)
    found = raster.read(said, units="dn")
    assert np.allclose(found.wavelengths, [0.443, 0.56])
    assert found.bands is None
    mine = raster.read(landsat, units="dn", wavelengths=[0.6, 0.7], fwhm=[0.01, 0.02])
    assert (mine.wavelengths.tolist(), mine.fwhm.tolist()) == ([0.6, 0.7], [0.01, 0.02])
    with pytest.raises(ValueError, match="divide nanometres by 1000"):
        raster.read(landsat, units="dn", wavelengths=[655, 865])


def test_place_in_degrees_and_web_mercator(tmp_path, numbers, write):
    values = numbers(1, 10, 10)
    degrees = {"crs": "EPSG:4326", "transform": Affine(0.001, 0, 5.0, 0, -0.001, 60.005)}
    found = raster.read(write(tmp_path / "d.tif", values, ("red",), **degrees), units="dn")
    assert found.gsd == pytest.approx(111.32 * np.sqrt(0.5), rel=1e-3)
    y = 6378137.0 * np.log(np.tan(np.pi / 4 + np.pi / 6))  # 60 degrees north
    web = {"crs": "EPSG:3857", "transform": Affine(20, 0, 0, 0, -20, y + 100)}
    assert raster.read(write(tmp_path / "w.tif", values, ("red",), **web), units="dn").gsd == pytest.approx(
        10, rel=1e-3
    )


def test_time_from_tags_and_options(tmp_path, numbers, write):
    values = numbers(1, 4, 4)
    stamped = write(tmp_path / "a.tif", values, ("red",), tags={"TIFFTAG_DATETIME": "2019:09:17 10:50:31"}, **UTM)
    assert raster.read(stamped, units="dn").time.astype("datetime64[s]").tolist() == [
        np.datetime64("2019-09-17T10:50:31").item()
    ]
    acquired = write(
        tmp_path / "b.tif",
        values,
        ("red",),
        **UTM,
        tags={"TIFFTAG_DATETIME": "2021:01:01 00:00:00", "ACQUISITION_DATE": "2020-05-01T12:00:00+02:00"},
    )
    assert raster.read(acquired, units="dn").time[0] == np.datetime64("2020-05-01T10:00:00")
    assert raster.read(acquired, units="dn", time="2018-03-04").time[0] == np.datetime64("2018-03-04")
    with pytest.raises(ValueError, match="ISO 8601"):
        raster.read(acquired, units="dn", time="yesterday")


def test_mask_nan_and_only_nodata(tmp_path, numbers, write):
    values = np.ones((2, 5, 5), np.float32)
    values[0, 1, 1], values[1, 2, 2] = np.nan, np.inf
    found = raster.read(write(tmp_path / "nan.tif", values, ("VV", "VH"), ("dB", "dB"), **UTM))
    assert sorted(map(tuple, np.argwhere(~found.valid))) == [(1, 1), (2, 2)]
    path = tmp_path / "mask.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", driver="GTiff", count=1, height=4, width=4, dtype="uint16", **UTM) as file:
            file.write(numbers(1, 4, 4))
            file.write_mask(np.arange(16).reshape(4, 4) > 3)
    assert raster.read(path, units="dn", bands="red").valid.sum() == 12
    empty = write(tmp_path / "empty.tif", np.zeros((2, 4, 4), np.int16), ("B02", "B03"), ("dn", "dn"), nodata=0, **UTM)
    with pytest.raises(ValueError, match="holds only nodata"):
        raster.read(empty)


def test_complex_numbers_only_as_amplitude(tmp_path, write):
    path = write(tmp_path / "slc.tif", np.full((1, 4, 4), 3 + 4j, np.complex64), ("VV",), **UTM)
    with pytest.raises(ValueError, match="complex"):
        raster.read(path, units="linear")
    assert np.allclose(raster.read(path, units="amplitude").values, 5)


def test_a_band_on_each_page(tmp_path, numbers):
    pages = numbers(4, 8, 9, dtype="uint8", high=255)
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=rest)
    found = raster.read(tmp_path / "stack.tif", units="dn", bands=("a", "b", "c", "d"), window=(1, 2, 3, 4))
    assert (found.values == pages[:, 1:4, 2:6]).all()


# ---- broken, hostile and too large ----


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp"])
def test_truncated_files(tmp_path, numbers, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(numbers(200, 200, 3, dtype="uint8", high=255)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableFileError, match="could not be read as a raster") as error:
        raster.read(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_something_else(tmp_path, numbers, write):
    (tmp_path / "a.tif").write_text("hello, not a raster")
    with pytest.raises(UnreadableFileError, match="could not be read"):
        raster.read(tmp_path / "a.tif")
    inner = write(tmp_path / "secret.tif", numbers(1, 4, 4), ("red",), ("dn",), **UTM)
    (tmp_path / "b.tif").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{inner}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(UnreadableFileError):
        raster.read(tmp_path / "b.tif")


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(150_001)))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"50,000 x 50,000 pixels .* window="):
        raster.read(tmp_path / "bomb.png")
    assert raster.read(tmp_path / "bomb.png", window=(0, 100, 1, 8)).values.shape == (3, 1, 8)


def test_windows(tmp_path, numbers, write):
    values = numbers(2, 20, 30)
    path = write(tmp_path / "a.tif", values, ("red", "nir"), ("dn", "dn"), **UTM)
    found = raster.read(path, window=(5, 7, 3, 4))
    assert (found.values == values[:, 5:8, 7:11]).all()
    assert (found.transform.c, found.transform.f) == (500070.0, 4199950.0)
    for window in [(0, 0, 21, 5), (-1, 0, 2, 2), (0, 0, 0, 4), (0, 0, 5)]:
        with pytest.raises(ValueError, match=r"wanted \(row, column, height, width\)"):
            raster.read(path, window=window)


def test_units_that_cannot_be(tmp_path, numbers, write):
    path = write(tmp_path / "a.tif", numbers(1, 8, 8), ("red",), ("reflectance",), **UTM)
    with pytest.raises(ValueError, match=r"median reflectance .* units='reflectance x 10000'"):
        raster.read(path)
    assert raster.read(path, units="reflectance x 10000").values.max() < 1
    with pytest.raises(ValueError, match="units='furlongs' came; wanted one of uint8, reflectance"):
        raster.read(path, units="furlongs")
    with pytest.raises(ValueError, match=r"only .mat and .npz"):
        raster.read(path, variable="x")


# ---- the samples ----


@pytest.mark.parametrize(
    ("name", "units", "shape", "gsd"),
    [
        ("rgb_lake.tif", "uint8", (3, 192, 192), 5.0),
        ("rgb_fields.tif", "uint8", (3, 192, 192), 5.0),
        ("multispectral_flood.tif", "reflectance", (13, 128, 128), 8.87),
        ("sar_flood.tif", "db", (2, 128, 128), 8.87),
        ("hyperspectral_jasper.img", "reflectance", (198, 32, 32), None),
    ],
)
def test_samples_need_no_options(name, units, shape, gsd):
    found = raster.read(SAMPLES / name)
    assert (found.units, found.values.shape) == (units, shape)
    assert found.gsd == (None if gsd is None else pytest.approx(gsd, abs=0.01))
    assert found.mask.mean() > 0.99
    if units == "reflectance":
        assert 0 < np.nanmedian(found.values) < 0.5
        assert found.wavelengths.min() > 0.38
        assert found.wavelengths.max() < 2.51
    if units == "db":
        assert found.bands == ("VV", "VH")
        assert -25 < np.nanmedian(found.values) < -5


def test_labels_are_not_taken_for_a_picture():
    with pytest.raises(ValueError, match="does not say its units"):
        raster.read(SAMPLES / "flood_labels.tif")
