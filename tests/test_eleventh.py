"""An eleventh modality in one file of somebody else's: registered, held to the contract, trained a step, asked."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

import allspark
from allspark import modality as modalities
from allspark.testing import check_modality

SOURCE = '''
"""Soundings: temperature and wind at rising heights, from a weather balloon."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from allspark.encoders.base import Encoder, Tokens
from allspark.modality import Modality, pad, register


@dataclass(frozen=True, eq=False)
class Sounding:
    """(L,) heights in metres, temperatures in kelvin and wind speeds in metres per second."""

    height: np.ndarray
    temperature: np.ndarray
    wind: np.ndarray


def prepare(item, *, scale):
    levels = np.stack([item.height / 10_000, (item.temperature - 273.15) / scale[0], item.wind / scale[1]], 1)
    return {"levels": torch.from_numpy(levels).float()}


class SoundingEncoder(Encoder):
    """Each level on its own through two layers."""

    def __init__(self, width):
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, levels, mask):
        return Tokens(self.layers(levels), mask)


register(
    Modality(
        name="sounding",
        item=Sounding,
        prepare=prepare,
        encoder=SoundingEncoder,
        prompt="A weather balloon measured",
        recognises=lambda item: True,
        collate=pad,
        input={"scale": [30.0, 20.0]},
        config={"width": 24},
    )
)
'''


@pytest.fixture
def sounding(tmp_path, monkeypatch):
    """The module, imported from a folder outside the package; forgotten again afterwards."""
    modalities.names()  # the package's own first, so that only this one is forgotten
    (tmp_path / "balloons.py").write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("balloons", tmp_path / "balloons.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "balloons", module)
    monkeypatch.setattr(modalities, "_REGISTRY", dict(modalities._REGISTRY))
    spec.loader.exec_module(module)
    return module


def made(module, count, seed=0):
    """Soundings with and without a warm layer at the ground, 8 to 30 levels each."""
    generator = np.random.default_rng(seed)
    items = []
    for number in range(count):
        height = np.sort(generator.uniform(0, 12_000, generator.integers(8, 30)))
        temperature = 288 - 0.0065 * height + generator.normal(0, 0.5, len(height))
        temperature += 25 * (number % 2) * np.exp(-height / 3000)
        items.append(module.Sounding(height, temperature, generator.gamma(2, 5, len(height))))
    return items


def test_it_keeps_the_contract(sounding):
    check_modality("sounding", items=made(sounding, 4))
    assert "sounding" in modalities.names()


def test_it_trains_and_answers_without_touching_a_second_file(sounding, tmp_path):
    spark = allspark.build("allspark-tiny", modality=["sounding", "language"])
    assert set(spark.modalities) == {"sounding", "language"}
    items = made(sounding, 24)
    answers = ["warm", "cold"] * 12
    samples = [spark.processor.prepare({"sounding": item}) for item in items]
    batch = spark.processor.collate(samples, answers=[answers[1 - i % 2] for i in range(len(items))])
    model = spark.model.train()
    before = {name: value.detach().clone() for name, value in model.encoders["sounding"].named_parameters()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(not torch.equal(value, before[name]) for name, value in model.encoders["sounding"].named_parameters())

    model.eval()
    examples = {"warm": items[1:17:2], "cold": items[0:16:2]}
    found = spark.classify(items[16:], examples=examples, at="encoder")
    assert [prediction.label for prediction in found] == ["cold", "warm"] * 4
    spark.save(tmp_path / "model")
    again = allspark.load(tmp_path / "model")
    torch.testing.assert_close(again.embed(items[:3]), spark.embed(items[:3]), atol=1e-5, rtol=1e-5)
