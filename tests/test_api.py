"""The public face: load, classify, few-shot, embed, ask, segment, on a tiny random model."""

import json
import shutil

import numpy as np
import pytest
import torch

import allspark
from allspark.testing import made

MODALITIES = (
    "code", "graph", "hyperspectral", "language", "multispectral", "point_cloud", "rgb", "sar", "table", "trajectory",
)  # fmt: skip


def picture(seed=0, size=40):
    values = np.random.default_rng(seed).integers(0, 255, (3, size, size + 8), dtype=np.uint8)
    return allspark.Raster(values, units="uint8", bands=("red", "green", "blue"))


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_is_classified_embedded_and_asked(tiny, name):
    items, _ = made(name, 3, seed=3)
    predictions = tiny.classify(items, ["water", "land"])
    assert [p.inputs_used for p in predictions] == [(name,)] * 3
    assert all(abs(sum(p.scores.values()) - 1) < 1e-5 for p in predictions)
    assert all(p.label == max(p.scores, key=p.scores.get) for p in predictions)
    width = tiny.config.language_width
    assert tiny.embed(items).shape == (3, width)
    assert tiny.embed(items, at="bridge").shape == (3, width)
    assert len(tiny.embed(items, at="encoder")) == 3
    assert len(tiny.ask(items[0], "What is it?", max_new_tokens=3)) == 1


@pytest.mark.parametrize("name", MODALITIES)
def test_batching_never_changes_an_answer(tiny, name):
    items, _ = made(name, 5, seed=4)
    together = tiny.embed(items)
    alone = torch.cat([tiny.embed(item) for item in items])
    assert (together - alone).abs().max() < 1e-4


KINDS = {"sar": (0, 2)}  # open water and fields; of the others the first two of the made classes


@pytest.mark.parametrize("name", [name for name in MODALITIES if name != "table"])
def test_the_shipped_weights_tell_two_made_classes_apart(base, name):
    kinds = KINDS.get(name, (0, 1))
    pairs = [(i, y) for i, y in zip(*made(name, 90, classes=max(kinds) + 1, seed=5)) if y in kinds]
    support, query = pairs[:36], pairs[36:56]
    examples = {f"class {k}": [i for i, y in support if y == k] for k in kinds}
    accuracies = {}
    for at in ("encoder", "bridge", "language"):
        predictions = base.classify([i for i, _ in query], examples=examples, at=at)
        accuracies[at] = np.mean([p.label == f"class {y}" for p, (_, y) in zip(predictions, query)])
    assert max(accuracies.values()) >= 0.95, accuracies


def test_the_table_encoder_learns_a_rule_of_two_columns():
    # the made rule is a difference of two columns: nothing that a frozen encoder would hold ready
    from allspark.bridges import masked_mean
    from allspark.modality import get
    from allspark.testing import stand_in_words

    record = get("table")
    items, labels = made("table", 300, seed=5)
    samples, target = [record.prepare(item, **record.input) for item in items], torch.tensor(labels)
    torch.manual_seed(0)
    encoder = record.encoder(**{**record.config, "width": 32, "depth": 2, "heads": 2, "language_width": 16})
    head = torch.nn.Linear(32, 2)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 3e-3)

    def logits(rows):
        tokens = encoder(**stand_in_words(record.collate([samples[i] for i in rows]), 16))
        return head(masked_mean(tokens.features, tokens.mask))

    for step in range(150):
        rows = [(step * 64 + i) % 220 for i in range(64)]
        loss = torch.nn.functional.cross_entropy(logits(rows), target[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        assert (logits(range(220, 300)).argmax(1) == target[220:]).float().mean() >= 0.95


def test_one_pass_gives_every_level(tiny):
    for name in ("rgb", "table", "language"):
        items, _ = made(name, 4, seed=8)
        found = tiny.embed_levels(items)
        assert list(found) == ["encoder", "bridge", "language"]
        for level, vectors in found.items():
            assert torch.allclose(vectors, tiny.embed(items, at=level), atol=1e-5)
        both = tiny.embed(items, at="encoder+language")
        unit = torch.nn.functional.normalize(found["encoder"], dim=-1)
        assert torch.allclose(both, torch.cat([unit, found["language"]], 1), atol=1e-5)
    (sar,), (points,) = made("sar", 1)[0], made("point_cloud", 1)[0]
    pair = tiny.embed_levels([{"sar": sar, "point_cloud": points}], levels=("encoder",))["encoder"]
    parts = [tiny.embed(item, at="encoder") for item in (points, sar)]  # in slot order
    assert torch.allclose(pair, torch.cat([torch.nn.functional.normalize(p, dim=-1) for p in parts], 1), atol=1e-5)
    with pytest.raises(ValueError, match="encoder, bridge, language"):
        tiny.embed_levels(sar, levels=("head",))


def test_texts_of_like_length_share_a_batch(tiny):
    seen = []
    run = tiny.model.forward
    words = ["word " * (1 + 7 * i % 60) for i in range(40)]
    try:
        tiny.model.forward = lambda **batch: seen.append(tuple(batch["input_ids"].shape)) or run(**batch)
        vectors = tiny.embed(words, modality="language")
    finally:
        del tiny.model.forward
    assert [shape[0] for shape in seen] == [32, 8]
    assert seen[0][1] < seen[1][1]  # the longest stand together
    assert torch.allclose(vectors[5], tiny.embed(words[5], modality="language")[0], atol=1e-4)


def test_save_and_load_give_the_same_answers(tiny, tiny_folder):
    again = allspark.load(tiny_folder)
    for name in ("rgb", "table", "graph"):
        items, _ = made(name, 2)
        assert torch.equal(again.embed(items), tiny.embed(items))
    assert not list(tiny_folder.glob("*.bin"))
    assert again.processor.order == tiny.processor.order


def test_auto_classes_know_the_model(tiny_folder):
    from transformers import AutoConfig, AutoModel, AutoProcessor

    assert AutoConfig.from_pretrained(tiny_folder).model_type == "allspark"
    assert type(AutoModel.from_pretrained(tiny_folder)).__name__ == "AllSparkModel"
    assert type(AutoProcessor.from_pretrained(tiny_folder)).__name__ == "AllSparkProcessor"


def test_several_modalities_of_one_place_are_read_together(tiny):
    (sar,), _ = made("sar", 1)
    (points,), _ = made("point_cloud", 1)
    both = tiny.classify({"sar": sar, "point_cloud": points}, ["a", "b"])[0]
    assert set(both.inputs_used) == {"sar", "point_cloud"}
    one, two = tiny.embed({"sar": sar, "point_cloud": points}), tiny.embed({"sar": sar})
    assert (one - two).abs().max() > 1e-3
    mixed = tiny.classify([{"sar": sar, "point_cloud": points}, sar, points], ["a", "b"])
    assert [len(p.inputs_used) for p in mixed] == [2, 1, 1]
    assert mixed[0].scores == pytest.approx(both.scores, abs=1e-4)


def test_a_list_answers_the_good_and_names_the_bad(tiny, tmp_path):
    empty = tmp_path / "empty.tif"
    empty.touch()
    dark = allspark.Raster(np.full((3, 8, 8), np.nan), units="reflectance", wavelengths=[0.5, 0.6, 0.7])
    with pytest.warns(UserWarning, match=r"3 of 5 inputs.*empty\.tif.*no\.tif") as seen:
        out = tiny.classify([picture(1), empty, tmp_path / "no.tif", dark, picture(2)], ["a", "b"])
    assert len(seen) == 1
    assert [bool(p.label) for p in out] == [True, False, False, False, True]
    assert "empty.tif" in out[1].error
    assert out[1].abstained
    with pytest.warns(UserWarning, match="left out"):
        vectors = tiny.embed([picture(1), empty])
    assert vectors[1].isnan().all()
    assert vectors[0].isfinite().all()
    with pytest.raises(ValueError, match="none of the 2 inputs"):
        tiny.classify([empty, tmp_path / "no.tif"], ["a", "b"])


def test_likelihood_prefers_what_the_language_model_prefers(tiny):
    scores = tiny.classify(picture(), ["a", "b b b"], by="likelihood")[0].scores
    assert abs(sum(scores.values()) - 1) < 1e-5
    batch = tiny.processor([{"rgb": picture()}], answers=["a"])
    labels = batch.pop("labels")
    with torch.no_grad():
        output = tiny.model(**batch)
        a = tiny.model.word_log_probabilities(output, labels)
        logits = tiny.model.language.get_output_embeddings()(output.last_hidden_state)[0].log_softmax(-1)
    at = (labels[0] != -100).nonzero()[:, 0]
    assert float(a) == pytest.approx(float(logits[at - 1, labels[0, at]].mean()), abs=1e-5)


def test_abstention(tiny):
    sure = tiny.classify(picture(), ["a", "b"], abstain_below=0.0)[0]
    unsure = tiny.classify(picture(), ["a", "b"], abstain_below=1.0)[0]
    assert not sure.abstained
    assert unsure.abstained
    assert unsure.label == sure.label


def test_few_shot_is_saved_and_read(tiny, tmp_path):
    items, labels = made("rgb", 12)
    few = tiny.few_shot({f"c{k}": [i for i, y in zip(items, labels) if y == k] for k in (0, 1)})
    few.save(tmp_path / "few")
    again = allspark.FewShot.load(tmp_path / "few")
    one, two = tiny.classify(items, examples=few), tiny.classify(items, examples=again)
    assert [p.scores for p in one] == [p.scores for p in two]
    assert few.modality == "rgb"


def test_a_table_is_a_list_of_its_rows(tiny):
    import pandas as pd

    frame = pd.DataFrame({"height": [1.0, 2.0, np.nan], "kind": ["oak", "pine", "oak"]})
    assert len(tiny.classify(frame, ["a", "b"])) == 3
    assert tiny.embed(allspark.Table(frame)[1]).shape[0] == 1


def test_dense_vectors_lie_on_the_grid(tiny):
    for at in ("encoder", "bridge", "language"):
        (dense,) = tiny.embed(picture(), at=at, output="dense")
        assert dense.ndim == 3
    (points,), _ = made("point_cloud", 1)
    (dense,) = tiny.embed(points, at="encoder", output="dense")
    assert dense.ndim == 2


def test_wrong_calls_say_what_was_wanted(tiny):
    for call, words in [
        (lambda: tiny.classify(picture()), r"no head for classification; give labels= .* or examples="),
        (lambda: tiny.classify(picture(), ["a", "b"], examples={"a": [picture()]}), "either labels"),
        (lambda: tiny.classify(picture(), "water"), "wanted a list"),
        (lambda: tiny.classify(picture(), ["one"]), "at least two"),
        (lambda: tiny.classify(picture(), ["a", "a"]), "different"),
        (lambda: tiny.classify(picture(), ["a", "b"], by="magic"), "similarity"),
        (lambda: tiny.classify(picture(), ["a", "b"], abstain_below=2), "probability"),
        (lambda: tiny.embed(picture(), at="head"), "encoder, bridge, language"),
        (lambda: tiny.embed(picture(), output="all"), "dense"),
        (lambda: tiny.embed(picture(), modality="smell"), "not known"),
        (lambda: tiny.embed([]), "empty list"),
        (lambda: tiny.embed({}), "empty dictionary"),
        (lambda: tiny.embed(np.zeros((3, 4, 4))), "modality="),
        (lambda: tiny.embed(np.zeros((2, 4, 4)), modality="sar"), "Raster"),
        (lambda: tiny.embed(picture(), modality="point_cloud"), "takes a PointCloud"),
        (lambda: tiny.embed({"graph": picture()}), "takes a Graph"),
        (lambda: tiny.ask(picture(), " "), "question is empty"),
        (lambda: tiny.embed(42), "wanted a path"),
        (lambda: tiny.embed("word " * 100_000), "100000 words"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(FileNotFoundError, match=r"scen\.tif"):
        tiny.embed("scen.tif")


def test_a_text_is_cut_only_where_that_was_allowed(tiny):
    assert tiny.embed(allspark.Text("word " * 1000, truncate=True)).isfinite().all()


def test_arrays_with_a_modality(tiny):
    picture_ = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert torch.allclose(
        tiny.embed(picture_, modality="rgb"), tiny.embed(np.moveaxis(picture_, -1, 0), modality="rgb"), atol=1e-6
    )
    assert tiny.embed(np.random.default_rng(0).normal(size=(100, 3)), modality="point_cloud").isfinite().all()


def test_long_lists_are_read_in_chunks(tiny, monkeypatch):
    from allspark import running

    held = []
    whole = running.as_items
    items = [picture(i, 16) for i in range(300)]
    monkeypatch.setattr(running, "as_items", lambda *a, **k: held.append(len(a[0])) or whole(*a, **k))
    vectors = tiny.embed(items)
    monkeypatch.undo()
    assert len(vectors) == 300
    assert max(held) <= 256
    assert torch.allclose(vectors[299], tiny.embed(items[299])[0], atol=1e-4)


class TestFolders:
    def test_missing_and_corrupt_files(self, tiny_folder, tmp_path):
        def copy(name):
            return shutil.copytree(tiny_folder, tmp_path / name)

        with pytest.raises(allspark.WeightsNotFoundError, match="allspark-tiny"):
            allspark.load("no-such-model")
        for file in ("config.json", "processor_config.json", "model.safetensors", "tokenizer.json"):
            folder = copy(f"no-{file}")
            (folder / file).unlink()
            with pytest.raises(allspark.WeightsNotFoundError, match="safetensors" if "model" in file else file):
                allspark.load(folder)
        folder = copy("short")
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        with pytest.raises(allspark.UnreadableFileError, match="corrupt"):
            allspark.load(folder)
        weights.write_bytes(b"\x80\x02 not safetensors at all")
        with pytest.raises(allspark.UnreadableFileError, match="corrupt"):
            allspark.load(folder)
        folder = copy("garbled")
        (folder / "config.json").write_text("{")
        with pytest.raises(allspark.UnreadableFileError, match="not JSON"):
            allspark.load(folder)

    def test_weights_of_another_shape(self, tiny_folder, tmp_path):
        folder = shutil.copytree(tiny_folder, tmp_path / "other")
        config = json.loads((folder / "config.json").read_text())
        config["heads"] = {"cover": {"kind": "classification", "labels": ["a", "b"]}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match="2 missing"):
            allspark.load(folder)


class TestSegment:
    def scene(self):
        generator = np.random.default_rng(0)
        half = np.zeros((64, 96), bool)
        half[:, 48:] = True
        values = generator.integers(0, 40, (3, 64, 96)) + np.where(half, 200, 20)
        return allspark.Raster(values.astype(np.uint8), units="uint8", bands=("red", "green", "blue")), half

    def test_pixels_from_labelled_pixels(self, tiny, tmp_path):
        scene, half = self.scene()
        (out,) = tiny.segment(scene, examples={"dark": (scene, ~half), "bright": (scene, half)})
        assert out.classes.shape == (64, 96)
        assert (out.classes == half).mean() > 0.85
        assert np.allclose(out.scores.sum(0), 1, atol=1e-4)
        import rasterio

        with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(out.write(tmp_path / "m.tif")) as f:
            assert (f.read(1) == out.classes).all()
        assert list(tmp_path.iterdir()) == [tmp_path / "m.tif"]

    def test_labels_in_words_and_no_data(self, tiny):
        scene, _ = self.scene()
        valid = np.ones((64, 96), bool)
        valid[:8] = False
        holed = allspark.Raster(scene.values, units="uint8", bands=scene.bands, valid=valid)
        (out,) = tiny.segment(holed, ["dark", "bright"])
        assert (out.classes[:8] == -1).all()
        assert set(np.unique(out.classes[8:])) <= {0, 1}

    def test_points(self, tiny, tmp_path):
        generator = np.random.default_rng(0)
        xyz = generator.uniform(0, 10, (800, 3))
        high = xyz[:, 2] > 5
        cloud = allspark.PointCloud(xyz)
        (out,) = tiny.segment(cloud, examples={"low": (cloud, ~high), "high": (cloud, high)})
        assert out.classes.shape == (800,)
        assert (out.classes == high).mean() > 0.8
        import laspy

        las = laspy.read(out.write(tmp_path / "c.laz"))
        assert (np.asarray(las.classification) == out.classes + 64).all()

    def test_wrong_calls(self, tiny, tmp_path):
        scene, half = self.scene()
        for examples, words in [
            ({"a": (scene, half[:5]), "b": (scene, half)}, "mask of 'a' has shape"),
            ({"a": (scene, half & False), "b": (scene, half)}, "no place"),
            ({"a": scene, "b": (scene, half)}, r"wanted \(item, mask\)"),
        ]:
            with pytest.raises(ValueError, match=words):
                tiny.segment(scene, examples=examples)
        with pytest.raises(ValueError, match="dense answers"):
            tiny.segment(allspark.Text("a river"), ["a", "b"])
        (out,) = tiny.segment(scene, ["a", "b"])
        with pytest.raises(ValueError, match=r"\.tif"):
            out.write(tmp_path / "x.jpg")
