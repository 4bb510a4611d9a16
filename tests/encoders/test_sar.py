import numpy as np
import pytest
import torch

from allspark.encoders.sar import PLANES, SarEncoder, prepare, recognises
from allspark.items import Raster
from allspark.modality import get, stack
from allspark.testing import made

SMALL = {"width": 32, "depth": 1, "heads": 2, "stem": (8, 16, 16)}


def radar(units="db", bands=("VV", "VH"), size=(40, 40), seed=0, **kwargs):
    values = np.random.default_rng(seed).normal(-12, 3, (len(bands) if bands else 1, *size))
    if units == "linear":
        values = 10 ** (values / 10)
    if units == "amplitude":
        values = 10 ** (values / 20)
    return Raster(values, units, bands=bands, **kwargs)


def test_decibels_and_power_of_one_scene_are_one_sample():
    a, b = prepare(radar("db")), prepare(radar("linear"))
    torch.testing.assert_close(a["pixels"], b["pixels"], atol=1e-4, rtol=0)
    x = a["pixels"][0][a["valid"]]
    assert abs(x.mean() * 5.5) < 0.3  # VV: mean −12 dB, std 5.5 dB
    assert abs(x.std() * 5.5 - 3) < 0.3


def test_order_of_bands_does_not_matter():
    item = radar(bands=("vh", "VV"))
    turned = Raster(item.values[::-1], "db", bands=("VV", "VH"))
    one, two = prepare(item), prepare(turned)
    assert torch.equal(one["pixels"], two["pixels"])
    assert dict(zip(PLANES, one["polarisations"].tolist())) == {
        "VV": True,
        "VH": True,
        "HH": False,
        "HV": False,
        "unknown": False,
    }
    assert (one["pixels"][2:] == 0).all()


def test_amplitude_has_no_scale():
    chip = np.random.default_rng(0).integers(0, 200, (1, 64, 64)).astype(np.uint8)
    a = prepare(Raster(chip, "amplitude"), size=64)
    b = prepare(Raster(chip * 3.7, "amplitude"), size=64)
    torch.testing.assert_close(a["pixels"], b["pixels"], atol=1e-4, rtol=0)
    assert abs(a["pixels"][4].mean()) < 1e-4
    assert abs(a["pixels"][4].std() - 1) < 1e-2
    assert a["polarisations"].tolist() == [False] * 4 + [True]
    assert torch.equal(prepare(Raster(chip, "uint8"), size=64)["pixels"], a["pixels"])
    assert torch.isfinite(prepare(Raster(np.zeros((1, 8, 8)), "amplitude"))["pixels"]).all()


def test_chips_keep_their_scale():
    values = np.full((1, 158, 193), -30.0)
    values[:, 78:80, 96] = 0.0  # a scatterer of two pixels
    sample = prepare(Raster(values, "db", bands=("HH",)), size=128)
    assert sample["valid"].all()
    assert (sample["pixels"][2] > 0).sum() == 2
    small = prepare(radar(size=(40, 30)), size=128)
    assert small["valid"].sum() == 1200
    assert small["valid"][44:84, 49:79].all()


def test_large_scenes_are_averaged_in_power():
    values = np.full((1, 512, 512), -20.0)
    values[:, ::2, ::2] = 0.0  # a quarter of the pixels at power 1
    sample = prepare(Raster(values, "db", bands=("VV",)), size=128, mean=[0] * 4, std=[1] * 4)
    expected = 10 * np.log10(0.25 + 0.75 * 0.01)
    torch.testing.assert_close(sample["pixels"][0], torch.full((128, 128), expected), atol=1e-3, rtol=0)


def test_missing_pixels_and_negative_power():
    values = np.full((1, 20, 20), 0.1)
    values[0, 0] = np.nan
    values[0, 1] = -0.01  # noise was subtracted
    sample = prepare(Raster(values, "linear", bands=("VV",)), size=32, mean=[0] * 4, std=[1] * 4)
    assert not sample["valid"][6].any()
    assert (sample["pixels"][0, 6] == 0).all()
    assert (sample["pixels"][0, 7, 6:26] == -50).all()
    torch.testing.assert_close(sample["pixels"][0, 8, 6:26], torch.full((20,), -10.0))


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Raster(np.zeros((2, 4, 4)), "reflectance"), "reflectance came"),
        (Raster(np.zeros((2, 4, 4)), "db"), "2 bands without names"),
        (Raster(np.zeros((2, 4, 4)), "db", bands=("VV", "angle")), "VV, angle came"),
        (Raster(np.zeros((2, 4, 4)), "db", bands=("VV", "vv")), "at most once"),
        (Raster(np.zeros((3, 1, 4, 4)), "db", bands=("VV",)), "3 dates"),
        (Raster(np.full((1, 4, 4), np.nan), "db", bands=("VV",)), "no valid pixel"),
    ],
)
def test_bad_rasters_give_a_sentence(item, words):
    with pytest.raises(ValueError, match=words):
        prepare(item)


def test_recognises_polarisations_and_nameless_amplitude():
    assert recognises(radar())
    assert recognises(radar(bands=("hh",)))
    assert recognises(Raster(np.zeros((1, 4, 4)), "amplitude"))
    assert not recognises(Raster(np.zeros((1, 4, 4)), "db"))
    assert not recognises(Raster(np.zeros((1, 4, 4)), "db", bands=("B02",)))
    assert not recognises(Raster(np.zeros((2, 4, 4)), "reflectance", bands=("VV", "VH")))


def test_absent_planes_and_invalid_pixels_are_not_read():
    torch.manual_seed(0)
    encoder = SarEncoder(**SMALL).eval()
    batch = stack([prepare(radar(size=(40, 20)), size=64)])
    with torch.no_grad():
        clean = encoder(**batch)
        read = batch["valid"][:, None] & batch["polarisations"][..., None, None]
        dirty = encoder(**{**batch, "pixels": batch["pixels"].masked_fill(~read, float("nan"))})
    torch.testing.assert_close(clean.features, dirty.features, atol=1e-5, rtol=0)
    assert clean.grid == (4, 4)
    assert 0 < clean.mask.sum() < 16


def test_the_default_encoder():
    modality = get("sar")
    encoder = modality.encoder(**modality.config)
    assert 1.5e6 < sum(p.numel() for p in encoder.parameters()) < 2.3e6
    tokens = encoder(**stack([prepare(radar(), **modality.input)] * 2))
    assert tokens.features.shape == (2, 64, 192)


def test_learns_open_water_from_fields():
    items, labels = made("sar", 96, classes=3, seed=5)
    chosen = [i for i, label in enumerate(labels) if label != 1]
    batch = stack([prepare(items[i], size=64) for i in chosen])
    target = torch.tensor([labels[i] // 2 for i in chosen])
    torch.manual_seed(0)
    encoder, head = SarEncoder(**SMALL), torch.nn.Linear(32, 2)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 2e-3)
    train, test = slice(0, 40), slice(40, 64)
    classify = lambda rows: head(encoder(**{k: v[rows] for k, v in batch.items()}).features.mean(1))  # noqa: E731
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(classify(train), target[train]).backward()
        optimiser.step()
    with torch.no_grad():
        assert (classify(test).argmax(1) == target[test]).float().mean() >= 0.9
