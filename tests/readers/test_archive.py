import zipfile

import pytest

from allspark.readers import UnreadableFileError
from allspark.readers.archive import local, members, split


@pytest.fixture
def archive(tmp_path):
    """outer.zip with inner.zip with deep/a.txt and deep/a.hdr."""
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("deep/a.txt", "words")
        inner.writestr("deep/a.hdr", "header")
        inner.writestr("empty.txt", "")
        inner.writestr("../../escape.txt", "words")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(tmp_path / "inner.zip", "inner.zip")
    return tmp_path


def test_members_are_copied_and_removed(archive):
    with local(f"zip://deep/a.txt::{archive}/inner.zip", also=["a.hdr", "a.img"]) as path:
        assert path.name == "a.txt"
        assert path.read_text() == "words"
        assert {file.name for file in path.parent.iterdir()} == {"a.txt", "a.hdr"}
    assert not path.exists()


def test_an_archive_in_an_archive(archive):
    with local(f"zip://deep/a.txt::zip://inner.zip::{archive}/outer.zip") as path:
        assert path.read_text() == "words"
    assert "deep/a.txt" in members(f"zip://inner.zip::{archive}/outer.zip")


def test_a_hostile_name_stays_in_its_folder(archive):
    with local(f"zip://../../escape.txt::{archive}/inner.zip") as path:
        assert path.name == "escape.txt"
        assert path.parent.name.startswith("allspark-")
    assert not (archive.parent.parent / "escape.txt").exists()


def test_a_plain_path_is_itself(archive):
    with local(archive / "inner.zip") as path:
        assert path == archive / "inner.zip"
    with local(archive) as path:  # a folder of bands
        assert path == archive
    assert split("a/b.tif") is None


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("zip://b.txt::{}/inner.zip", FileNotFoundError, r"no member 'b.txt'; it holds deep/a\.txt"),
        ("zip://empty.txt::{}/inner.zip", UnreadableFileError, "0 bytes"),
        ("zip://b.txt::{}/none.zip", FileNotFoundError, "is not there"),
        ("zip://b.txt", ValueError, "INNER_NAME::ARCHIVE"),
    ],
)
def test_errors(archive, path, error, message):
    with pytest.raises(error, match=message), local(path.format(archive)):
        pass


def test_damaged_archives(archive):
    content = (archive / "inner.zip").read_bytes()
    (archive / "inner.zip").write_bytes(content[:100])
    with pytest.raises(UnreadableFileError, match="whole zip"), local(f"zip://deep/a.txt::{archive}/inner.zip"):
        pass
    with pytest.raises(UnreadableFileError, match="zip archive"):
        members(archive / "inner.zip")
