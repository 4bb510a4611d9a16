import datetime
import decimal

import pandas as pd
import pytest

from allspark.readers import UnreadableFileError
from allspark.readers.table import claims, read

CSV = "place,day,rain,kind\nBern,2024-01-01,1.5,wet\nGenf,2024-01-02,NA,dry\n"


def put(folder, name, text, encoding="utf-8"):
    (folder / name).write_text(text, encoding)
    return folder / name


def test_csv(tmp_path):
    path = put(tmp_path, "a.csv", CSV)
    assert claims(path)
    table = read(path, descriptions={"rain": "rain in millimetres"})
    assert len(table) == 2
    assert table.frame["day"].dtype.kind == "M"
    assert table.frame["rain"].isna().tolist() == [False, True]
    assert table.descriptions == {"rain": "rain in millimetres"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    text = f'Ort{delimiter}"Höhe{delimiter} m"\nZürich{delimiter}408\nGenève{delimiter}375\n'
    frame = read(put(tmp_path, "a.csv", text, encoding)).frame
    assert list(frame.columns) == ["Ort", f"Höhe{delimiter} m"]
    assert frame["Ort"].tolist() == ["Zürich", "Genève"]


def test_decimal_commas_only_where_semicolons_part_the_cells(tmp_path):
    assert read(put(tmp_path, "a.csv", "ort;hoehe\nBern;540,5\n")).frame["hoehe"].tolist() == [540.5]
    assert read(put(tmp_path, "b.csv", "ort;hoehe\nBern;540.5\n")).frame["hoehe"].tolist() == [540.5]


def test_columns_and_drop(tmp_path):
    path = put(tmp_path, "a.csv", CSV)
    assert list(read(path, drop=["kind"]).frame.columns) == ["place", "day", "rain"]
    assert list(read(path, columns=["rain", "place"]).frame.columns) == ["rain", "place"]
    for options in ({"drop": ["wind"]}, {"columns": ["wind"]}):
        with pytest.raises(ValueError, match=r"no columns .*wind.*it has place, day, rain, kind"):
            read(path, **options)


def test_only_whole_columns_of_dates_become_dates(tmp_path):
    text = "a,b,c\n2024-01-01,2024-01-01T12:00:00+02:00,2024-02-30\n,2024-01-02T12:00Z,2024-01-01\n"
    path = put(tmp_path, "a.csv", text)
    frame = read(path).frame
    assert frame["a"].dtype.kind == "M"
    assert frame["b"].iloc[0] == pd.Timestamp("2024-01-01T10:00:00")
    assert frame["c"].tolist() == ["2024-02-30", "2024-01-01"]


def test_parquet_of_many_types(tmp_path):
    frame = pd.DataFrame(
        {
            "number": [1, None],
            "words": ["x", None],
            "truth": [True, None],
            "day": [datetime.date(2020, 1, 1), None],
            "money": [decimal.Decimal("1.5"), None],
            "moment": pd.to_datetime(["2020-01-01T00:00+01:00", None], utc=True),
            "span": pd.to_timedelta(["90s", None]),
            "kind": pd.Categorical(["u", "v"]),
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    read_back = read(tmp_path / "a.parquet").frame
    assert read_back["day"].dtype.kind == read_back["moment"].dtype.kind == "M"
    assert read_back["money"].iloc[0] == 1.5
    assert read_back["span"].iloc[0] == 90
    assert read_back["truth"].iloc[0] is True
    frame.assign(shape=[b"\x01", b"\x02"]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"'shape' holds bytes cells.*drop=\['shape'\]"):
        read(tmp_path / "b.parquet")
    assert len(read(tmp_path / "b.parquet", drop=["shape"])) == 2
    frame.set_index("words").to_parquet(tmp_path / "c.parquet")
    assert "words" in read(tmp_path / "c.parquet").frame


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_truncated_parquet(tmp_path, part):
    pd.DataFrame({"a": range(1000)}).to_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: int(part * len(content))])
    with pytest.raises(UnreadableFileError, match=r"truncated|0 bytes"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n,\nNA,null\n", ValueError, "all 4 cells of the table are missing"),
        ("a,b\n", ValueError, "0 rows"),
        ("1,2,3\n4,5,6\n", ValueError, "starts with numbers"),
        ("a,b\n1,2\n1,2,3\n", UnreadableFileError, "rows of equal length"),
        ("a,b\n1,2,3\n1,2,3\n", UnreadableFileError, "rows of equal length"),
        ("\n \n", UnreadableFileError, "no line of text"),
        ("a,b\n\0\0\0,1\n", UnreadableFileError, "binary"),
    ],
)
def test_bad_csv(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        read(put(tmp_path, "a.csv", text))


def test_names_for_a_file_without_them(tmp_path):
    path = put(tmp_path, "a.csv", "1,2\n3,4\n")
    assert read(path, names=["low", "high"]).frame["high"].tolist() == [2, 4]
    with pytest.raises(ValueError, match="1 names came for the 2 columns"):
        read(path, names=["low"])
