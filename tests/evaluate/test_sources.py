"""The sources on made miniature look-alikes of their archives: rules that hold for all, pictures and spectra."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from made_archives import RNG, archive, everything, geotiff, image, mat
from PIL import Image

from allspark.evaluate import sources
from allspark.evaluate.sources.__main__ import main
from allspark.evaluate.sources.base import Entry, draw, fold, split_of
from allspark.evaluate.sources.cubes import window
from allspark.evaluate.sources.images import AID_KEPT_OUT, AID_LABELS
from allspark.items import Raster, Text


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
    assert item.units == "reflectance"
    np.testing.assert_allclose(1_000 * item.values[0, :, 0, 0], [4.5, 1004.5, 2004.5], rtol=1e-5)
    np.testing.assert_allclose(1_000 * item.values[-1, 0, 0, 0], np.arange(140, 149).mean(), rtol=1e-5)


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
    item = sources.load("jasper_ridge", tmp_path, "train")[0].item
    assert isinstance(item, Raster)
    centre = item.values[:, 4, 4] * 5000
    assert (np.abs(cube.reshape(-1, bands) - centre).max(1) < 0.5).sum() == 1  # a spectrum of the scene, in order


def test_the_table_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive(tmp_path, "rsscn7", {f"Grass/a{i:03d}.webp": image("WEBP", 8, 8) for i in range(3)})
    assert main(["--data", str(tmp_path), "rsscn7"]) == 0
    assert "rsscn7" in capsys.readouterr().out
    assert main(["--data", str(tmp_path), "rsscn7", "aid"]) == 1
    assert "wants" in capsys.readouterr().out
