"""The commands, run in this process on files made here and a tiny random model: what they print and how they end."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import allspark
from allspark.cli import app
from allspark.cli.inputs import places


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    allspark.build("allspark-tiny").save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of pictures in sub-folders: dark blue and bright yellow, noisy."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name, colour in {"sea": (10, 30, 90), "sand": (240, 220, 130)}.items():
        (folder / name).mkdir()
        for number in range(8):
            noise = generator.normal(0, 6, (40, 40, 3))
            Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def note(tmp_path):
    """A short text: the tiny model reads letters."""
    path = tmp_path / "note.txt"
    path.write_text("The river rose in the night.", encoding="utf-8")
    return path


def run(*arguments, code=0, **extra):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], **extra)
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments, code=0):
    """The one JSON document of a command's stdout."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def one_sentence(result) -> str:
    """stderr of a failed command: one line, no traceback."""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_help_names_every_command():
    words = run("--help").stdout
    for command in ("list", "info", "read", "classify", "embed", "ask", "segment", "bench", "doctor"):
        assert command in words
    assert "few-shot" in run("bench", "--help").stdout


def test_the_package_runs_as_a_module(monkeypatch, capsys):
    import runpy
    import sys

    monkeypatch.setattr(sys, "argv", ["allspark", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("allspark", run_name="__main__")
    assert not ended.value.code
    assert "classify" in capsys.readouterr().out


def test_list_and_info(tiny):
    found = run_json("list")
    assert len(found["modalities"]) >= 10
    assert found["modalities"]["point_cloud"] == "PointCloud"
    assert "allspark-base" in found["models"]
    assert run_json("info", "trajectory")["item"] == "Trajectory"
    facts = run_json("info", tiny)
    assert set(facts["modalities"]) == set(found["modalities"])
    assert facts["language"]["hidden_size"] == 32
    assert "hidden_size" in run("info", tiny).stdout
    assert "nonsense" in one_sentence(run("info", "nonsense", code=1))


def test_read_says_what_was_understood():
    facts = run_json("read", allspark.sample("multispectral_flood"))
    assert facts["modality"] == "multispectral"
    assert facts["units"] == "reflectance"
    assert facts["bands"][:2] == ["B01", "B02"]
    assert facts["crs"] == "EPSG:4326"
    assert 0 < facts["valid_share"] <= 1
    assert facts["wavelengths_um"][0] == pytest.approx(0.443, abs=0.01)
    cloud = run_json("read", allspark.sample("point_cloud_town"))
    assert cloud["points"] == 20000
    assert "2154" in cloud["crs"]
    table = run_json("read", allspark.sample("table_weather"), "--modality", "table")
    assert (table["rows"], table["modality"]) == (74, "table")
    track = run_json("read", allspark.sample("trajectory_katrina"))
    assert (track["fixes"], track["modality"]) == (34, "trajectory")
    assert "units" in run("read", allspark.sample("sar_flood")).stdout


def test_read_takes_what_the_file_does_not_say(tmp_path):
    path = tmp_path / "bands.npy"
    np.save(path, np.random.default_rng(0).uniform(0, 0.5, (3, 9, 9)).astype(np.float32))
    assert "units" in one_sentence(run("read", path, "--modality", "multispectral", code=1))
    told = ["--units", "reflectance", "--wavelengths", "0.49,0.56,0.66", "--bands", "B02,B03,B04"]
    facts = run_json("read", path, "--modality", "multispectral", *told)
    assert facts["wavelengths_um"] == [0.49, 0.66]
    assert facts["bands"] == ["B02", "B03", "B04"]
    refused = run("read", path, "--wavelengths", "blue,green", code=1)
    assert "--wavelengths" in one_sentence(refused)


@pytest.mark.parametrize("name", ["missing.tif", "empty.tif", "broken.laz", "strange.xyz123"])
def test_a_bad_file_is_one_sentence_and_exit_code_1(tmp_path, name):
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"not what its name says" * 40)
    result = run("read", tmp_path / name, code=1)
    assert result.stdout == ""
    assert name in one_sentence(result) or Path(name).suffix in one_sentence(result)


def test_a_traceback_is_shown_when_asked_for(tmp_path):
    result = CliRunner().invoke(app, ["read", str(tmp_path / "missing.tif")], env={"ALLSPARK_TRACEBACK": "1"})
    assert isinstance(result.exception, OSError)


def test_wrong_calls_end_with_2(tiny, tmp_path):
    picture = str(allspark.sample("rgb_lake"))
    run("classify", picture, code=2)
    run("classify", picture, "--labels", "a,b", "--examples", tmp_path, code=2)
    run("classify", picture, "--labels", "a,b", "--abstain-below", "7", code=2)
    run("classify", "--labels", "a,b", code=2)
    run("embed", picture, code=2)
    run("ask", picture, " ", code=2)
    run("no-such-command", code=2)


def test_classify_answers_good_files_and_names_bad_ones(tiny, tmp_path):
    good, bad = allspark.sample("rgb_lake"), tmp_path / "gone.tif"
    found = run_json("classify", good, bad, allspark.sample("rgb_fields"), "-m", tiny, "-l", "lake, field", code=1)
    first, second, third = found["results"]
    assert first["label"] in ("lake", "field")
    assert sum(first["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert first["inputs_used"] == ["rgb"]
    assert "gone.tif" in second["error"]
    assert third["error"] is None
    shown = run("classify", good, bad, "-m", tiny, "-l", "lake,field", code=1)
    assert "gone.tif" in one_sentence(shown)
    assert "rgb" in shown.stdout


def test_classify_by_examples_in_folders(tiny, pictures):
    files = sorted((pictures / "sea").iterdir())[:2] + sorted((pictures / "sand").iterdir())[:2]
    found = run_json("classify", *files, "--examples", pictures, "--at", "encoder", "-m", tiny)
    assert [result["label"] for result in found["results"]] == ["sea", "sea", "sand", "sand"]
    one_class = one_sentence(run("classify", files[0], "--examples", pictures / "sea", "-m", tiny, code=1))
    assert "sub-folders" in one_class


def test_files_asked_together_are_answered_like_in_python(tiny, pictures, tmp_path):
    shown = tmp_path / "shown"
    for name in ("sea", "sand"):
        (shown / name).mkdir(parents=True)
        (shown / name / "0.png").write_bytes((pictures / name / "0.png").read_bytes())
    files = sorted(pictures.glob("*/[1-7].png"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    options = ["--examples", shown, "--together", "--at", "encoder", "-m", tiny]
    found = run_json("classify", *files[:3], broken, *files[3:], *options, code=1)["results"]
    assert "broken.png" in found.pop(3)["error"]
    assert [result["label"] for result in found] == [path.parent.name for path in files]
    assert all(result["inputs_used"] == ["rgb"] for result in found)
    spark = allspark.load(tiny)
    examples = {name: [allspark.read(shown / name / "0.png")] for name in ("sand", "sea")}
    told = spark.classify([allspark.read(path) for path in files], examples=examples, at="encoder", transductive=True)
    for one, other in zip(found, told, strict=True):
        assert one["scores"] == pytest.approx(other.scores, abs=1e-5)
    assert "--together" in run("classify", files[0], "-l", "sea,sand", "--together", "-m", tiny, code=2).output
    abstained = run_json("classify", *files, *options, "--abstain-below", "1")["results"]
    assert {result["label"] for result in abstained} == {None}


def test_classify_by_examples_of_a_manifest(tiny, pictures, tmp_path):
    manifest = tmp_path / "examples.csv"
    rows = [f"{path},{path.parent.name}" for path in sorted(pictures.glob("*/*.png"))]
    manifest.write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    files = [pictures / "sand" / "0.png", pictures / "sea" / "0.png"]
    found = run_json("classify", *files, "--examples", manifest, "--at", "encoder", "-m", tiny)
    assert [result["label"] for result in found["results"]] == ["sand", "sea"]


def test_abstention_gives_no_label(tiny):
    found = run_json("classify", allspark.sample("rgb_lake"), "-l", "a,b,c", "--abstain-below", "1", "-m", tiny)
    assert found["results"][0]["abstained"] is True
    assert found["results"][0]["label"] is None


def test_several_modalities_of_one_place():
    assert places(["a.tif", "rgb=b.png", "sar=b.tif", "rgb=c.png"]) == [
        "a.tif",
        {"rgb": "b.png", "sar": "b.tif"},
        {"rgb": "c.png"},
    ]


def test_classify_two_modalities_at_once(tiny):
    pair = [f"multispectral={allspark.sample('multispectral_flood')}", f"sar={allspark.sample('sar_flood')}"]
    found = run_json("classify", *pair, "-l", "water,land", "-m", tiny)["results"]
    assert len(found) == 1
    assert set(found[0]["inputs_used"]) == {"multispectral", "sar"}
    unknown = one_sentence(run("classify", f"radar={pair[0][14:]}", "-l", "a,b", "-m", tiny, code=1))
    assert "radar" in unknown


def test_each_row_of_a_table_is_an_answer(tiny):
    path = allspark.sample("table_weather")
    found = run_json("classify", path, "--modality", "table", "-l", "rain,sun", "-m", tiny)["results"]
    assert len(found) == 74
    assert found[3]["file"] == f"{path}#3"


def test_embed_writes_what_can_be_read_back(tiny, note, tmp_path):
    import geopandas
    from pyarrow import parquet

    files = [allspark.sample("rgb_lake"), allspark.sample("trajectory_katrina"), note]
    done = run_json("embed", *files, "-m", tiny, "--out", tmp_path / "a.geoparquet")
    assert done["width"] == 32
    frame = geopandas.read_parquet(tmp_path / "a.geoparquet")
    assert frame.crs.to_epsg() == 4326 or frame.crs.to_string() == "OGC:CRS84"
    assert frame.geometry.iloc[0].geom_type == "Polygon"
    assert frame.geometry.iloc[0].centroid.x == pytest.approx(-99.15, abs=0.1)
    assert frame.geometry.iloc[1].geom_type == "LineString"
    assert frame.geometry.iloc[2] is None

    run("embed", *files, "-m", tiny, "--out", tmp_path / "a.npz")
    arrays = np.load(tmp_path / "a.npz", allow_pickle=False)
    assert arrays["embeddings"].shape == (3, 32)
    np.testing.assert_allclose(np.stack(frame["embedding"]), arrays["embeddings"], atol=1e-6)
    assert list(arrays["names"]) == [str(path) for path in files]

    run("embed", files[2], "-m", tiny, "--out", tmp_path / "b.parquet")
    assert parquet.read_table(tmp_path / "b.parquet").column_names == ["name", "embedding"]
    assert "geometry" in one_sentence(run("embed", files[2], "-m", tiny, "-o", tmp_path / "b.geoparquet", code=1))
    assert ".npz" in one_sentence(run("embed", files[0], "-m", tiny, "-o", tmp_path / "b.xlsx", code=1))
    printed = run_json("embed", files[0], "-m", tiny)
    np.testing.assert_allclose(printed["embeddings"][0], arrays["embeddings"][0], atol=1e-5)


def test_ask_answers_each_file(tiny, note):
    files = [allspark.sample("rgb_lake"), note]
    found = run_json("ask", *files, "What is this?", "-m", tiny, "--max-new-tokens", "3")
    assert found["question"] == "What is this?"
    assert [result["file"] for result in found["results"]] == [str(path) for path in files]
    assert all(isinstance(result["answer"], str) and result["error"] is None for result in found["results"])


def test_what_cannot_be_prepared_is_named_among_what_can(tiny, note, tmp_path):
    long = tmp_path / "long.txt"
    long.write_text("word " * 3000, encoding="utf-8")
    for command, *more in (["classify", "-l", "a,b"], ["embed"], ["ask", "Why?"]):
        files = [note, long, allspark.sample("rgb_lake")]
        found = run_json(command, *files, *more, "-m", tiny, code=1)
        rows = found["errors"] if command == "embed" else [row for row in found["results"] if row["error"]]
        assert [row["file"] for row in rows] == [str(long)]
        assert rows[0]["error"].startswith("the text has 3000 words")


def test_segment_writes_a_map_in_its_place(tiny, tmp_path):
    import rasterio

    scene, labels = allspark.sample("multispectral_flood"), allspark.sample("flood_labels")
    zero_shot = run_json("segment", scene, "-l", "water,land", "-m", tiny, "--out", tmp_path / "a.tif")
    assert sum(zero_shot["shares"].values()) == pytest.approx(1)
    with rasterio.open(tmp_path / "a.tif") as written, rasterio.open(scene) as source:
        assert (written.shape, written.crs) == (source.shape, source.crs)
        assert written.transform.almost_equals(source.transform)
        assert set(np.unique(written.read(1))) <= {-1, 0, 1}
    few = ["--labelled", labels, "-l", "dry,water", "-m", tiny, "--out", tmp_path / "b.tif"]
    assert run_json("segment", scene, *few)["shares"]["water"] > 0
    with rasterio.open(tmp_path / "b.tif") as written, rasterio.open(labels) as source:
        answer, truth = written.read(1), source.read(1)
    known = (truth >= 0) & (answer >= 0)
    assert (answer == truth)[known].mean() > 0.6  # 60 % of the scene is dry
    assert ".laz" in one_sentence(run("segment", scene, "-l", "a,b", "-m", tiny, "-o", tmp_path / "b.doc", code=1))


def test_bench_few_shot_over_a_manifest(tiny, pictures, tmp_path):
    manifest = tmp_path / "data.csv"
    rows = [f"{path},{path.parent.name}" for path in sorted(pictures.glob("*/*.png"))]
    manifest.write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    short = ["--ways", "2", "--shots", "1,3", "--queries", "4", "--episodes", "20"]
    found = run_json("bench", "few-shot", "--data", manifest, *short, "--at", "encoder", "-m", tiny)
    assert found["items"] == 16
    methods = {row["features"] for row in found["results"]}
    assert len(methods) > 1  # the model, and cheap baselines beside it
    assert {row["shots"] for row in found["results"]} == {1, 3}
    for row in found["results"]:
        assert 0 <= row["accuracy"] <= 1
        assert row["interval"] >= 0
    best = max(row["accuracy"] for row in found["results"] if row["shots"] == 3)
    assert best > 0.9  # dark blue against bright yellow


def test_doctor_ends_as_it_finds(tiny):
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    names = {check["what"] for check in found["checks"]}
    assert {"torch", "transformers", "rasterio", "threads", "bfloat16 on this CPU", "network"} <= names
    assert all(check["do"] for check in found["checks"] if not check["ok"])
