"""What encoders must keep: whitened statistics of packed items, and what a row's vector answers of its columns."""

import zipfile

import encoder_stage
import known
import numpy as np
import pytest
import torch
from packed import pack, read
from torch import nn

from allspark import modality as modalities
from allspark.evaluate.sources import SOURCES
from allspark.items import Table


def test_whitened_directions_are_equally_loud_and_few():
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(400, 3)) * [10, 1, 0.5]
    features = hidden @ generator.normal(size=(3, 20)) + 1e-4 * generator.normal(size=(400, 20))
    found = known.whitened(features)
    assert found.shape[1] <= 3
    torch.testing.assert_close(found.norm(dim=1), torch.ones(400))
    spread = found.square().mean(0)
    assert spread.max() / spread.min() < 1.5


def test_statistics_follow_the_packed_items(tmp_path, capsys):
    data, source = tmp_path / "data", SOURCES["statlog_landsat"]
    path = data / source.files[0]
    path.parent.mkdir(parents=True)
    generator = np.random.default_rng(0)
    bright = np.repeat([20, 120], 30)
    rows = [" ".join(map(str, generator.integers(b, b + 40, 36))) + f" {1 + (b > 50)}" for b in bright]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sat.trn", "\n".join(rows))
        archive.writestr("sat.tst", "\n".join(rows[:4]))
    record = modalities.get("multispectral")
    packed = read(pack("statlog_landsat", "train", data, tmp_path / "packed", dict(record.input)))
    found = known.statistics(packed, data, tmp_path / "packed", dict(record.input))
    assert found.shape[0] == len(packed.samples) > 20
    light = torch.tensor([float(s["pixels"].float().mean()) for s in packed.samples])
    light = light - light.mean()
    best = torch.linalg.lstsq(found, light[:, None]).solution[:, 0]
    assert torch.corrcoef(torch.stack([found @ best, light]))[0, 1] > 0.9  # the items' brightness stands in it
    kept = tmp_path / "packed"
    again = known.statistics(packed, tmp_path / "nowhere", kept, dict(record.input))  # kept: nothing is read
    assert torch.equal(again, found)
    capsys.readouterr()
    packed.samples.pop()
    (tmp_path / "packed" / "statlog_landsat.known.safetensors").unlink()
    with pytest.raises(ValueError, match="pack it again"):
        known.statistics(packed, data, tmp_path / "packed", dict(record.input))


def test_a_row_answers_what_stands_in_its_columns():
    import pandas as pd

    record, words = modalities.get("table"), ["height", "weight", "colour", "red", "blue"]
    generator = torch.Generator().manual_seed(0)
    vectors = {word: torch.randn(16, generator=generator) for word in words}
    numbers = torch.randn(64, 2, generator=generator).tolist()
    rows = [{"height": a, "weight": b, "colour": "red" if a > b else "blue"} for a, b in numbers]
    scales = {"height": (0.0, 1.0), "weight": (0.0, 1.0)}
    samples = [record.prepare(Table(pd.DataFrame([row]), scales=scales)) for row in rows]
    source = encoder_stage.Packed("made", "table", samples, ["a"] * 64, {"a": []})
    torch.manual_seed(0)
    encoder = record.encoder(width=32, depth=1, heads=2, language_width=16)
    model = encoder_stage.Objective(encoder, [source], vectors)
    batch = model.with_vectors(record.collate(samples))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    first = None
    for _ in range(150):
        loss = model.recall(model(batch), batch)
        first = float(loss.detach()) if first is None else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3 * first
    shuffled = model.recall(model(batch).roll(1, 0), batch)  # another row's vector answers wrongly
    assert float(shuffled.detach()) > 3 * float(loss.detach())
    empty = {**batch, "kinds": torch.full_like(batch["kinds"], 3)}
    assert float(model.recall(model(batch), empty).detach()) == 0.0
    assert isinstance(model.recall, nn.Module)
