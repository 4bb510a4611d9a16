"""The sources on made miniature look-alikes of their archives: same names, same columns, a few made values."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allspark.evaluate import sources
from allspark.evaluate.sources.__main__ import main
from allspark.evaluate.sources.base import Entry, draw, fold, split_of
from allspark.evaluate.sources.cubes import window
from allspark.evaluate.sources.images import AID_KEPT_OUT, AID_LABELS
from allspark.evaluate.sources.words import body
from allspark.items import Code, Graph, PointCloud, Raster, Table, Text, Trajectory

RNG = np.random.default_rng(0)


def archive(root: Path, name: str, members: dict[str, bytes | str]) -> None:
    path = root / sources.get(name).files[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in members.items():
            opened.writestr(member, content)


def tar(members: dict[str, str], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as opened:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content.encode("latin-1"))
            opened.addfile(info, io.BytesIO(content.encode("latin-1")))
    return buffer.getvalue()


def image(kind: str, height: int, width: int, bands: int = 3) -> bytes:
    pixels = RNG.integers(0, 256, (height, width, bands), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels if bands == 3 else pixels[..., 0]).save(buffer, kind)
    return buffer.getvalue()


def geotiff(values: np.ndarray, west: float, north: float) -> bytes:
    from rasterio.io import MemoryFile
    from rasterio.transform import from_origin

    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype,
            crs="EPSG:32721", transform=from_origin(west, north, 10, 10),
        ) as opened:  # fmt: skip
            opened.write(values)
        return memory.read()


def mat(**arrays: np.ndarray) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, arrays)
    return buffer.getvalue()


def everything(name: str, root: Path) -> dict[str, list[sources.Record]]:
    """The records of every split, after checks that hold for every source."""
    source = sources.get(name)
    found = {split: sources.load(source, root, split) for split in sources.SPLITS}
    trained = found["train"] + found["val"]
    assert not {r.label for r in trained} & set(source.kept_out)
    assert {r.label for records in found.values() for r in records} <= set(source.labels) | {""}
    for split in ("val", "test", "seen"):
        assert not {r.group for r in found[split]} & {r.group for r in found["train"]}, split
    assert not {r.group for r in found["val"]} & {r.group for r in found["test"] + found["seen"]}
    return found


def test_every_source_is_described() -> None:
    assert len(sources.SOURCES) >= 30
    for name, source in sources.SOURCES.items():
        assert name == source.name
        assert source.licence
        assert source.citation
        assert set(source.kept_out) <= set(source.labels)
        assert bool(source.labels) == (source.task == "classify")
        for names in source.labels.values():
            assert len(names) == len(set(names))
            assert all(word.strip() == word and word for word in names)
        firsts = [names[0] for names in source.labels.values() if names]
        assert len(firsts) == len(set(firsts)), name


def test_unknown_names_and_missing_archives_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'nosuch' is not known; wanted one of .*aid"):
        sources.get("nosuch")
    with pytest.raises(ValueError, match="split 'all' is not known"):
        sources.load("made_graphs", tmp_path, "all")
    with pytest.raises(FileNotFoundError, match=r"'aid' wants rgb/aid_128px_webp.zip"):
        sources.load("aid", tmp_path, "train")


def test_a_group_falls_into_one_part_and_all_parts_are_met() -> None:
    parts = [split_of(str(i), test=0.3, val=0.2) for i in range(2000)]
    assert parts == [split_of(str(i), test=0.3, val=0.2) for i in range(2000)]
    assert parts.count("test") / 2000 == pytest.approx(0.3, abs=0.04)
    assert parts.count("val") / 2000 == pytest.approx(0.14, abs=0.03)
    salted = np.array([[fold(str(i), "a"), fold(str(i), "b")] for i in range(2000)])
    assert abs(np.corrcoef(salted.T)[0, 1]) < 0.1  # two draws from one group do not depend on each other


def test_draw_takes_few_of_each_class_and_makes_no_other_item() -> None:
    made: list[int] = []

    def make(i: int) -> Text:
        made.append(i)
        return Text(str(i))

    entries = [Entry(lambda i=i: make(i), "ab"[i % 5 == 0], str(i), "train") for i in range(50)]
    few = draw(entries, None, 3, seed=1)
    assert sorted(e.label for e in few) == ["a"] * 3 + ["b"] * 3
    assert [e.group for e in few] == [e.group for e in draw(entries, None, 3, seed=1)]
    assert {e.group for e in few} != {e.group for e in draw(entries, None, 3, seed=2)}
    assert len(draw(entries, 4, 3, seed=1)) == 4
    assert [e.record().item.words for e in few] == [e.group for e in few]  # type: ignore[union-attr]
    assert len(made) == 6


def test_aid_trains_on_twenty_classes_and_tests_on_ten(tmp_path: Path) -> None:
    names = [f"{c}/{c.lower()}_{i}.webp" for c in AID_LABELS for i in (1, 15, 21, 38, 44, 52, 61)]
    archive(tmp_path, "aid", {n: image("WEBP", 16, 16) for n in names})
    found = everything("aid", tmp_path)
    assert {r.label for r in found["test"]} == set(AID_KEPT_OUT)
    assert {r.label for r in found["train"]} == set(AID_LABELS) - set(AID_KEPT_OUT)
    assert found["val"]
    item = found["train"][0].item
    assert isinstance(item, Raster)
    assert item.values.shape == (3, 16, 16)
    assert item.values.dtype == np.uint8
    assert len(sources.load("aid", tmp_path, "test", per_class=2)) == 20


def test_mstar_is_cropped_never_resized(tmp_path: Path) -> None:
    whole = np.arange(192 * 193, dtype=np.uint32).reshape(192, 193) % 251
    buffer = io.BytesIO()
    Image.fromarray(whole.astype(np.uint8)).save(buffer, "PNG")  # lossless: the crop can be compared pixel by pixel
    members: dict[str, bytes | str] = {}
    for part in ("train", "test"):
        members |= {f"{part}/ZIL131/hb{i}.jpeg": buffer.getvalue() for i in range(3)}
        members |= {f"{part}/2S1/hb{i}.jpeg": image("JPEG", 100, 158, 1) for i in range(3)}
    archive(tmp_path, "mstar10", members)
    found = everything("mstar10", tmp_path)
    assert {r.label for r in found["test"]} == {"ZIL131"}
    assert {r.label for r in found["seen"]} == {"2S1"}
    crop, small = found["test"][0].item, found["seen"][0].item
    assert isinstance(crop, Raster)
    assert isinstance(small, Raster)
    np.testing.assert_array_equal(crop.values[0], whole[32:160, 32:160])
    assert small.values.shape == (1, 100, 128)
    assert (crop.units, crop.bands) == ("amplitude", ("HH",))


def test_slum_patches_lose_an_absent_band_and_share_cells(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    labels = ["ID,Class"]
    for i in range(40):
        values = RNG.integers(100, 3000, (4, 8, 8)).astype(np.uint16)
        if i % 2:
            values[3] = 0
        members[f"images/image{i}.tif"] = geotiff(values, 300_000 + 2_600 * (i // 2), 6_000_000)
        labels.append(f"{i},{i % 2}")
    members["images/image40.tif"] = geotiff(np.zeros((4, 8, 8), np.uint16), 0, 0)
    members["gold_labels.csv"] = "\n".join([*labels, "40,1"])
    archive(tmp_path, "satlab_slum", members)
    found = everything("satlab_slum", tmp_path)
    records = [r for part in found.values() for r in part]
    assert len(records) == 40  # the patch of zeros is left out
    assert found["train"]
    assert found["test"]
    for record in records:
        assert isinstance(record.item, Raster)
        assert record.item.bands == (("B02", "B03", "B04") if record.label == "1" else ("B02", "B03", "B04", "B8A"))
        assert record.item.values.max() < 1
        assert record.item.mask.all()


def test_landsat_rows_become_three_by_three_pixels(tmp_path: Path) -> None:
    row = list(range(36))
    lines = "\t".join(map(str, range(1, 38))) + "\n" + "\t".join(map(str, [*row, 7])) + "\n"
    archive(tmp_path, "statlog_landsat", {"sat.trn": lines, "sat.tst": lines})
    record = everything("statlog_landsat", tmp_path)["test"][0]
    assert isinstance(record.item, Raster)
    assert record.label == "7"
    assert record.item.values.shape == (4, 3, 3)
    assert record.item.values[:, 0, 1].tolist() == [4, 5, 6, 7]  # the second pixel of the first row


def test_crop_series_are_in_order_of_time(tmp_path: Path) -> None:
    header = ",".join(["one name too many"] * 23)
    rows = [",".join([*(str(100 * c) for c in range(20)), "22", f"parcel-{p}"]) for p in range(30) for _ in range(2)]
    from allspark.evaluate.sources.spectra import CROP_FILE

    archive(tmp_path, "denmark_crops", {CROP_FILE: "\n".join([header, *rows])})
    found = everything("denmark_crops", tmp_path)
    assert all(found[split] for split in ("train", "val", "test"))
    item = found["train"][0].item
    assert isinstance(item, Raster)
    assert item.values.shape == (2, 6, 1, 1)
    np.testing.assert_allclose(item.values[:, 0, 0, 0], [0.06, 0.0], atol=1e-6)  # 11 April stands after 8 May there
    assert item.time is not None
    assert (np.diff(item.time) > np.timedelta64(0)).all()


def test_long_series_are_thinned_by_averaging(tmp_path: Path) -> None:
    values = np.repeat(np.arange(149.0), 3) + np.tile([0, 1000, 2000], 149)
    line = ",".join(["4", "77", *map(str, values)])
    archive(tmp_path, "tempcnn_formosat2", {"train_dataset.csv": line, "test_dataset.csv": line})
    found = everything("tempcnn_formosat2", tmp_path)
    assert len(found["test"]) == 2
    item = found["test"][0].item
    assert isinstance(item, Raster)
    assert item.values.shape == (15, 3, 1, 1)
    np.testing.assert_allclose(item.values[0, :, 0, 0], [4.5, 1004.5, 2004.5])
    np.testing.assert_allclose(item.values[-1, 0, 0, 0], np.arange(140, 149).mean())


def test_a_window_shows_nothing_of_another_block() -> None:
    cube = np.arange(2 * 20 * 20).reshape(2, 20, 20)
    pixels, valid = window(cube, 9, 10, block=10)
    assert valid.sum() == 5 * 5  # the last row and first column of a block: half the window is cut on two sides
    np.testing.assert_array_equal(pixels[:, 4, 4], cube[:, 9, 10])
    assert (pixels[:, ~valid] == 0).all()
    assert set(np.unique(pixels[0][valid])) <= set(np.unique(cube[0, :10, 10:]))


def test_houston_labels_pure_pixels_by_block(tmp_path: Path) -> None:
    cube = RNG.integers(100, 9000, (64, 64, 6)).astype(np.uint16)
    labels = np.zeros((256, 256), np.uint8)
    labels[:, :128], labels[:, 128:] = 5, 12
    labels[0:2, 0:4] = 0  # half of the label pixels of the first pixel: not pure
    content = mat(hyprImg=cube, clasLabs=labels)
    archive(tmp_path, "houston2018", {"houston_dataset.mat": content})
    found = everything("houston2018", tmp_path)
    records = [r for part in found.values() for r in part]
    assert len(records) == 64 * 64 - 1
    assert {r.label for r in found["test"]} == {"class 5", "class 12"}
    item = records[-1].item
    assert isinstance(item, Raster)
    assert item.values.shape == (6, 9, 9)
    np.testing.assert_allclose(np.asarray(item.wavelengths)[[0, -1]], [0.38, 1.05])


def test_jasper_ridge_is_unfolded_by_columns(tmp_path: Path) -> None:
    height, width, bands = 40, 30, 5
    cube = RNG.integers(0, 5000, (height, width, bands)).astype(np.uint16)
    shares = np.zeros((height, width, 2))
    shares[..., 0] = 1
    shares[:, 20:] = [0.05, 0.95]
    shares[0] = 0.5
    names = np.empty((2, 1), object)
    names[:, 0] = [np.array(["1-tree"]), np.array(["2-water"])]
    content = mat(
        Y=cube.transpose(2, 1, 0).reshape(bands, -1), A=shares.transpose(2, 1, 0).reshape(2, -1), nRow=height,
        nCol=width, cood=names, SlectBands=np.array([4, 5, 6, 100, 219]),
    )  # fmt: skip
    archive(tmp_path, "jasper_ridge", {"jasperRidge2_R198.mat": content})
    found = everything("jasper_ridge", tmp_path)
    records = found["train"] + found["val"]
    assert len(records) == (height - 1) * width
    assert [r.label for r in records].count("water") == (height - 1) * 10
    by_place = dict(zip([(r, c) for r in range(1, height) for c in range(width)], [None] * len(records)))
    assert len(by_place) == len(records)
    item = sources.load("jasper_ridge", tmp_path, "train")[0].item
    assert isinstance(item, Raster)
    centre = item.values[:, 4, 4] * 5000
    assert (np.abs(cube.reshape(-1, bands) - centre).max(1) < 0.5).sum() == 1  # a spectrum of the scene, in order


def test_modelnet_objects_are_of_one_size(tmp_path: Path) -> None:
    head = "# .PCD v0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 50\nHEIGHT 1\nPOINTS 50\nDATA binary\n"
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
        cells = {tuple(c) for c in (record.item.xyz[:, :2] // 25.001).astype(int).tolist()}
        assert len(cells) == 1


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
    gml += " node [\n id 71\n label \"1\"\n ]\n edge [\n source 70\n target 90\n ]\n]\n"
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
    path.write_bytes(tar({f"samples/javascript/apidocs/ee-image-{i}.js": script for i in range(30)}))
    found = everything("earthengine_js", tmp_path)
    assert found["train"][0].item.source == "print(ee.Image(1));"  # type: ignore[union-attr]
    assert found["val"]


def test_the_table_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive(tmp_path, "rsscn7", {f"Grass/a{i:03d}.webp": image("WEBP", 8, 8) for i in range(3)})
    assert main(["--data", str(tmp_path), "rsscn7"]) == 0
    assert "rsscn7" in capsys.readouterr().out
    assert main(["--data", str(tmp_path), "rsscn7", "aid"]) == 1
    assert "wants" in capsys.readouterr().out
