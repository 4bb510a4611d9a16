"""allspark.readers.read: which reader a file goes to, and what it says when none can take it."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from allspark import readers
from allspark.items import Graph, PointCloud, Raster, Table, Trajectory
from allspark.readers import UnreadableFileError, read, suffix_of

TRACK = "time,lon,lat\n2020-01-01T00:00:00,5.0,50.0\n2020-01-01T00:10:00,5.1,50.1\n2020-01-01T00:20:00,5.2,50.2\n"
LINKS = "source,target\n0,1\n1,2\n2,0\n"
ROWS = "city,people\nUlm,126000\nBonn,331000\n"


def test_suffix_of():
    assert suffix_of("a/b.TIF") == ".tif"
    assert suffix_of("zip://a/b.Laz::c.zip") == ".laz"
    assert suffix_of("zip://folder::c.zip") == ""


@pytest.mark.parametrize(("text", "kind"), [(TRACK, Trajectory), (LINKS, Graph), (ROWS, Table)])
def test_csv_goes_by_its_columns(tmp_path, text, kind):
    (tmp_path / "a.csv").write_text(text)
    assert isinstance(read(tmp_path / "a.csv"), kind)


def test_npy_goes_by_its_shape(tmp_path):
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(100, 3)))
    assert isinstance(read(tmp_path / "cloud.npy"), PointCloud)
    np.save(tmp_path / "image.npy", np.ones((3, 8, 8), np.uint8))
    assert isinstance(read(tmp_path / "image.npy", units="uint8", bands=("red", "green", "blue")), Raster)


def test_a_modality_decides(tmp_path):
    (tmp_path / "a.csv").write_text(TRACK)
    assert isinstance(read(tmp_path / "a.csv", modality="table"), Table)
    assert isinstance(read(tmp_path / "a.csv", modality="trajectory"), Trajectory)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert isinstance(read(tmp_path / "a.png", modality="rgb"), Raster)
    with pytest.raises(ValueError, match="read as a raster; modality 'table' takes Table, from "):
        read(tmp_path / "a.png", modality="table")
    with pytest.raises(ValueError, match="'smell' is not known"):
        read(tmp_path / "a.png", modality="smell")


def test_options_that_a_reader_does_not_take(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(
        TypeError, match=r"colour= came for a.png, which is read as a raster; wanted among units=, bands="
    ):
        read(tmp_path / "a.png", colour=3)


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there"):
        read(tmp_path / "none.tif")
    with pytest.raises(FileNotFoundError, match="is not there"):
        read(f"zip://a.tif::{tmp_path / 'none.zip'}")
    (tmp_path / "empty.tif").touch()
    with pytest.raises(UnreadableFileError, match=r"empty \(0 bytes\)"):
        read(tmp_path / "empty.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/empty.tif", b"")
        archive.writestr("x/full.txt", b"words")
    with pytest.raises(UnreadableFileError, match="is empty"):
        read(f"zip://x/empty.tif::{tmp_path / 'a.zip'}")
    with pytest.raises(FileNotFoundError, match=r"has no member 'y.tif'; it holds x/empty.tif"):
        read(f"zip://y.tif::{tmp_path / 'a.zip'}")
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:60])
    with pytest.raises(UnreadableFileError, match="not a readable zip archive"):
        read(f"zip://x/full.txt::{tmp_path / 'b.zip'}", modality=None)


def test_kinds_that_nobody_reads(tmp_path):
    (tmp_path / "a.rds").write_text("x")
    with pytest.raises(ValueError, match=r"kind '.rds' are not known; wanted one of .*\.tif") as error:
        read(tmp_path / "a.rds")
    assert len(str(error.value)) < 1000
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "words")
    with pytest.raises(ValueError, match="is an archive; wanted a file in it; name it as zip://"):
        read(tmp_path / "a.zip")
    with pytest.raises(ValueError, match="is an address"):
        read("https://example.org/a.tif")


def test_every_reader_keeps_the_shape_of_the_contract():
    import importlib

    seen = {}
    for name in readers._MODULES:
        module = importlib.import_module(f"allspark.readers.{name}")
        assert isinstance(module.SUFFIXES, frozenset)
        assert callable(module.read)
        for suffix in module.SUFFIXES:
            seen.setdefault(suffix, []).append(module)
    for suffix, modules in seen.items():  # whoever is asked before the last must be able to answer
        for module in modules[:-1]:
            assert callable(module.claims), suffix
