import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from allspark.items import Code, PointCloud, Raster, Table, Text
from allspark.readers import UnreadableFileError
from allspark.readers.manifest import load_row, read_manifest


@pytest.fixture
def folder(tmp_path):
    """Point clouds a.xyz and b.xyz, a table t.csv, two-band s.npy, and c.zip with tiles/d.xyz."""
    rows = "0.5 1.5 2.5\n3.5 4.5 5.5\n"
    for name in "ab":
        (tmp_path / f"{name}.xyz").write_text(rows)
    (tmp_path / "t.csv").write_text("rain,kind\n1.5,wet\n")
    np.save(tmp_path / "s.npy", np.full((2, 8, 8), -12.0, np.float32))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("tiles/d.xyz", rows)
    return tmp_path


def put(folder, text, name="m.csv"):
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_paths_labels_and_splits(folder):
    text = "path,label,split,group,note\na.xyz,01,train,g1,hm\nb.xyz,NA,test,g2,\nzip://tiles/d.xyz::c.zip,01,test,,\n"
    manifest = read_manifest(put(folder, text))
    assert len(manifest) == 3
    assert manifest.labels() == ["01", "NA"]  # words stay as they stand
    assert [row.line for row in manifest.split("test")] == [3, 4]
    assert manifest.rows[0].group == "g1"
    assert manifest.rows[0].extra == {"note": "hm"}
    for row in manifest:
        (item,) = load_row(row).values()
        assert isinstance(item, PointCloud)
        assert len(item.xyz) == 2
    with pytest.raises(ValueError, match="no split 'dev'; its splits are test, train"):
        manifest.split("dev")


def test_formats_agree(folder):
    records = [{"path": "a.xyz", "label": "x", "target": 1.5}, {"path": "b.xyz", "label": "y", "target": 2.5}]
    frame = pd.DataFrame(records)
    frame.to_csv(folder / "m.csv", index=False)
    frame.to_parquet(folder / "m.parquet")
    put(folder, "\n".join(map(json.dumps, records)) + "\n", "m.jsonl")
    found = [
        [(row.inputs, row.label, row.target) for row in read_manifest(folder / f"m.{kind}")]
        for kind in ("csv", "parquet", "jsonl")
    ]
    assert found[0] == found[1] == found[2]
    assert found[0][1][2] == 2.5


def test_a_column_per_modality_with_words_options_and_gaps(folder):
    text = (
        "sar,point_cloud,language,code,sar.units,sar.bands,point_cloud.max_points,question,answer\n"
        's.npy,a.xyz,"a wet, flat\nplace",x = 1,db,VV;VH,1,What?,Water\n'
        's.npy,,words.txt,,db,"[""HH"", ""HV""]",,,\n'
    )
    (folder / "words.txt").write_text("from a file")
    first, second = read_manifest(put(folder, text))
    assert (first.question, first.answer, first.line, second.line) == ("What?", "Water", 2, 4)
    items = load_row(first)
    assert isinstance(items["sar"], Raster)
    assert items["sar"].bands == ("VV", "VH")
    assert items["sar"].units == "db"
    assert len(items["point_cloud"].xyz) == 1
    assert items["language"] == Text("a wet, flat\nplace")
    assert items["code"] == Code("x = 1")
    items = load_row(second)
    assert set(items) == {"sar", "language"}  # an empty cell: absent
    assert items["language"] == Text("from a file")
    assert items["sar"].bands == ("HH", "HV")


def test_options_of_one_input(folder):
    row = read_manifest(put(folder, "sar,units,bands\ns.npy,db,VV;VH\n")).rows[0]
    assert row.options == {"sar": {"units": "db", "bands": ["VV", "VH"]}}
    with pytest.raises(ValueError, match=r"say whose it is, as in '\w+\.units'"):
        read_manifest(put(folder, "sar,point_cloud,units\ns.npy,a.xyz,db\n"))


def test_path_column(folder):
    path = put(folder, "file,label\nt.csv,x\n")
    with pytest.raises(ValueError, match=r"columns file, label.*path_column="):
        read_manifest(path)
    (item,) = load_row(read_manifest(path, path_column="file").rows[0]).values()
    assert isinstance(item, Table)
    with pytest.raises(ValueError, match="no column 'datei'"):
        read_manifest(path, path_column="datei")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("path,label\n", ValueError, "no rows"),
        ("path,path\na.xyz,b.xyz\n", ValueError, "'path' more than once"),
        ("path,lable\na.xyz,x\n", ValueError, "'lable'; perhaps 'label' was meant"),
        ("path,label\na.xyz,x\n,y\n", ValueError, "line 3 .* has no input"),
        ("path,target\na.xyz,high\n", ValueError, "line 2 .*'high'; wanted a number"),
        ("path,sar.units\na.xyz,db\n", ValueError, "no column 'sar'"),
        ("path,label\n1.xyz,x\na.xyz,x\n2.xyz,x\n", FileNotFoundError, r"2 of the files .*1\.xyz \(line 2\)"),
        ("path,label\nzip://tiles/e.xyz::c.zip,x\n", FileNotFoundError, "1 of the files"),
        ("path,label\nzip://tiles/e.xyz::d.zip,x\n", FileNotFoundError, "1 of the files"),
    ],
)
def test_bad_manifests(folder, text, error, message):
    with pytest.raises(error, match=message):
        read_manifest(put(folder, text))


def test_bad_json_lines(folder):
    with pytest.raises(UnreadableFileError, match=r"line 2 .* no JSON"):
        read_manifest(put(folder, '{"path": "a.xyz"}\n{"path": \n', "m.jsonl"))
    with pytest.raises(ValueError, match="holds a list"):
        read_manifest(put(folder, "[1]\n", "m.jsonl"))
    with pytest.raises(ValueError, match="more than once"):
        read_manifest(put(folder, '{"path": "a.xyz", "path": "b.xyz"}\n', "m.jsonl"))
    with pytest.raises(ValueError, match=r"a .toml manifest came"):
        read_manifest(put(folder, "x = 1\n", "m.toml"))


def test_a_row_that_cannot_be_read_names_its_line(folder):
    (folder / "a.xyz").write_text("no numbers\n")
    row = read_manifest(put(folder, "path\na.xyz\n")).rows[0]
    with pytest.raises(UnreadableFileError) as caught:
        load_row(row)
    assert caught.value.__notes__ == ["while reading line 2 of the manifest"]
