import pytest

from allspark.items import Code, Text
from allspark.readers import UnreadableFileError
from allspark.readers.text import SUFFIXES, read


def put(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_encodings(tmp_path, encoding):
    item = read(put(tmp_path, "a.txt", "Ein Fluß in der Höhe.\r\nZwei.".encode(encoding)))
    assert item == Text("Ein Fluß in der Höhe.\nZwei.")


def test_programs_have_a_language(tmp_path):
    for suffix, language in ((".py", "python"), (".F90", "fortran"), (".h", "c"), (".m", "matlab"), (".R", "r")):
        item = read(put(tmp_path, f"a{suffix}", b"x = 1\n"))
        assert isinstance(item, Code)
        assert item.language == language
    assert read(tmp_path / "a.m", language="objective-c").language == "objective-c"
    assert read(put(tmp_path, "Makefile", b"all:\n"), language="make").language == "make"
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


def test_programs_are_not_run(tmp_path):
    path = put(tmp_path, "a.py", b"raise SystemExit('run')\n")
    assert read(path).source.startswith("raise")


def test_html_gives_what_a_browser_shows(tmp_path):
    page = b"<html><head><title>t</title></head><body><p>Rain &amp;  wind</p><script>x()</script>on <b>hills</b>"
    assert read(put(tmp_path, "a.html", page)).words == "Rain & wind\non hills"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", UnreadableFileError, "0 bytes"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", UnreadableFileError, "binary"),
        (bytes(range(128, 160)) * 4, UnreadableFileError, "no text"),
        ("Höhe".encode("utf-16")[:-1], UnreadableFileError, "cut off"),
        (b" \n\t\n", ValueError, "empty"),
    ],
)
def test_bad_text(tmp_path, content, error, message):
    with pytest.raises(error, match=message):
        read(put(tmp_path, "a.txt", content))


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"a \.qqq file came.*language="):
        read(put(tmp_path, "a.qqq", b"words"))
