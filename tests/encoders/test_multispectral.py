import numpy as np
import pytest
import torch

from allspark.bridges import masked_mean
from allspark.encoders.multispectral import MultispectralEncoder, own_numbers, prepare, recognises
from allspark.encoders.spectra import collate
from allspark.evaluate.episodes import run_episodes
from allspark.evaluate.sources import made_series
from allspark.items import Raster
from allspark.modality import get
from allspark.testing import made

SMALL = {"width": 32, "depth": 2, "heads": 2, "rank": 12}
WAVES = np.array([0.49, 0.56, 0.665, 0.842, 1.61])


def scene(shape=(5, 9, 13), units="reflectance", seed=0, **kwargs):
    values = np.random.default_rng(seed).uniform(0.02, 0.5, shape)
    return Raster(values, units, **{"wavelengths": WAVES[: shape[-3]], **kwargs})


@pytest.fixture(params=[0, 8], ids=["without moments", "with moments"])
def encoder(request):
    torch.manual_seed(0)
    return MultispectralEncoder(**SMALL, moments=request.param).eval()


def encode(encoder, *items, **kwargs):
    with torch.no_grad():
        return encoder(**get("multispectral").collate([prepare(item, **kwargs) for item in items]))


def test_recognises_few_bands_of_known_wavelengths():
    assert recognises(scene())
    assert recognises(Raster(np.zeros((2, 3, 3)), "dn", bands=("red", "nir")))
    assert not recognises(Raster(np.zeros((2, 3, 3)), "dn", bands=("a", "b")))
    assert not recognises(Raster(np.zeros((40, 3, 3)), "reflectance", wavelengths=np.linspace(0.4, 1, 40)))
    assert not recognises(Raster(np.zeros((3, 3, 3), np.uint8), "uint8", bands=("red", "green", "blue")))
    assert not recognises(Raster(np.zeros((1, 3, 3)), "amplitude"))


SIZES = [((1, 1), (1, 1)), ((3, 3), (1, 1)), ((9, 13), (3, 4)), ((200, 100), (16, 8))]


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_a_pixel_a_chip_and_a_scene(encoder, size, grid):
    tokens = encode(encoder, scene((5, *size)))
    assert tokens.grid == grid
    assert tokens.features.shape == (1, grid[0] * grid[1], 32)
    assert tokens.mask.all()
    assert torch.isfinite(tokens.features).all()


def test_standardised_by_units():
    sample = prepare(Raster(np.full((1, 2, 2), 0.45), "reflectance", wavelengths=[0.5]))
    torch.testing.assert_close(sample["pixels"], torch.full((1, 1, 2, 2), 2.0))
    warm = prepare(Raster(np.full((1, 2, 2), 310.0), "kelvin", wavelengths=[10.9]))
    torch.testing.assert_close(warm["pixels"], torch.ones(1, 1, 2, 2))


def test_a_batch_of_all_sizes_changes_no_item(encoder):
    dates = np.array(["2021-03-01", "2021-07-01", "2022-01-15"], "datetime64[D]")
    items = [
        scene((5, 9, 13)),
        scene((2, 1, 1)),
        scene((3, 3, 4, 4), time=dates),
        scene((2, 5, 8, 5)),
        scene((5, 40, 40), valid=np.arange(1600).reshape(40, 40) > 700),
    ]
    together = encode(encoder, *items)
    for row, item in enumerate(items):
        alone = encode(encoder, item)
        a, b = alone.features[0][alone.mask[0]], together.features[row][together.mask[row]]
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_bands_and_dates_in_any_order(encoder):
    dates = np.array(["2021-03-01", "2021-07-01", "2022-01-15"], "datetime64[D]")
    item = scene((3, 5, 4, 4), time=dates)
    bands, steps = [3, 0, 4, 2, 1], [2, 0, 1]
    turned = Raster(item.values[steps][:, bands], "reflectance", wavelengths=WAVES[bands], time=dates[steps])
    a, b = encode(encoder, item), encode(encoder, turned)
    torch.testing.assert_close(a.features, b.features, atol=1e-5, rtol=0)
    reversed_in_time = Raster(item.values[::-1], "reflectance", wavelengths=WAVES, time=dates)
    assert (encode(encoder, reversed_in_time).features - a.features).abs().max() > 1e-3


def test_the_season_and_the_order_count(encoder):
    item = scene((2, 5, 4, 4))
    summer, winter = (
        Raster(item.values, "reflectance", wavelengths=WAVES, time=np.array(days, "datetime64[D]"))
        for days in (["2021-06-01", "2021-07-01"], ["2021-12-01", "2022-01-01"])
    )
    sample = prepare(summer)
    np.testing.assert_allclose(sample["time"], [21 + 151 / 365, 21 + 181 / 365], rtol=1e-6)
    assert sample["has_time"]
    assert not prepare(item)["has_time"]
    a, b, c = (encode(encoder, i).features for i in (summer, winter, item))
    assert (a - b).abs().max() > 1e-3
    assert (a - c).abs().max() > 1e-3
    turned = Raster(item.values[::-1], "reflectance", wavelengths=WAVES)
    assert (encode(encoder, turned).features - c).abs().max() > 1e-4


def test_a_long_series_stays_within_its_tokens(encoder):
    sample = prepare(scene((40, 5, 32, 32)), max_tokens=64)
    assert sample["pixels"].shape == (40, 5, 4, 4)
    many = prepare(scene((300, 2, 1, 1)), max_tokens=100)
    assert many["pixels"].shape == (100, 2, 1, 1)
    assert encode(encoder, scene((40, 5, 32, 32)), max_tokens=64).grid == (1, 1)


def test_clouded_dates_and_bands_missing_on_a_date(encoder):
    values = scene((3, 5, 4, 4)).values.copy()
    values[1] = np.nan
    values[2, 3:] = np.nan
    tokens = encode(encoder, Raster(values, "reflectance", wavelengths=WAVES))
    assert torch.isfinite(tokens.features).all()
    sample = prepare(Raster(values, "reflectance", wavelengths=WAVES))
    assert sample["valid"].flatten(1).all(1).tolist() == [True, False, True]
    assert torch.isfinite(sample["pixels"]).all()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Raster(np.zeros((2, 4, 4)), "reflectance", bands=("x", "y")), "without wavelengths"),
        (scene(units="db"), "a raster in db came"),
        (Raster(np.full((1, 3, 3), np.nan), "reflectance", wavelengths=[0.5]), "no valid pixel"),
    ],
)
def test_bad_rasters_give_a_sentence(item, words):
    with pytest.raises(ValueError, match=words):
        prepare(item)


def test_the_default_encoder():
    modality = get("multispectral")
    encoder = modality.encoder(**modality.config)
    assert 1.5e6 < sum(p.numel() for p in encoder.parameters()) < 2.4e6


def test_single_pixels_are_learned():
    torch.manual_seed(0)
    items, labels = made("multispectral", 60, classes=3, seed=4)
    pixels = [Raster(i.values[:, :1, :1], i.units, wavelengths=i.wavelengths) for i in items]
    batch, target = get("multispectral").collate([prepare(p) for p in pixels]), torch.tensor(labels)
    encoder, head = MultispectralEncoder(**SMALL), torch.nn.Linear(32, 3)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 2e-3)
    classify = lambda rows: head(encoder(**{k: v[rows] for k, v in batch.items()}).features.mean(1))  # noqa: E731
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(classify(slice(0, 36)), target[:36]).backward()
        optimiser.step()
    with torch.no_grad():
        assert (classify(slice(36, 60)).argmax(1) == target[36:]).float().mean() >= 0.95


def test_untrained_moments_keep_what_tells_made_series_apart():
    """Six tasks, five examples a class: a random projection of the dates' sums against a random transformer alone."""
    reached = []
    for moments in (0, 24):
        torch.manual_seed(0)
        encoder = MultispectralEncoder(moments=moments).eval()
        found = []
        for number in (3, 8, 14, 17, 26, 38):
            items = made_series._task(number)
            tokens = encode(encoder, *items)
            labels = [str(place // made_series.ITEMS) for place in range(len(items))]
            ways, pooled = len(set(labels)), masked_mean(tokens.features, tokens.mask)
            few = run_episodes(pooled, labels, ways=ways, shots=5, queries=5, episodes=10, method="ridge")
            found.append(few.mean)
        reached.append(np.mean(found))
    assert reached[1] > reached[0] + 0.03, reached


def test_a_windows_own_numbers_know_its_pixels_in_order():
    values = np.random.default_rng(0).random((4, 3, 3)).astype(np.float32)
    item = Raster(values, "reflectance", bands=("blue", "green", "red", "nir"))
    turned = Raster(np.rot90(values, axes=(1, 2)).copy(), "reflectance", bands=item.bands)
    plain, other = (own_numbers(**collate([prepare(i)]))[0] for i in (item, turned))
    assert plain.shape == (4 * (9 + 9),)
    assert not torch.allclose(plain[:36], other[:36])
    assert torch.allclose(plain[36:], other[36:], atol=1e-6)
    assert torch.allclose(plain[36:].unflatten(0, (4, 9)), plain[:36].unflatten(0, (4, 9)).sort(1).values, atol=1e-6)
    holed = values.copy()
    holed[:, 0, 0] = np.nan
    found = own_numbers(**collate([prepare(Raster(holed, "reflectance", bands=item.bands))]))[0]
    assert found[36:].isfinite().all()  # quantiles of the eight that are there
    pixel = own_numbers(**collate([prepare(Raster(values[:, :1, :1], "reflectance", bands=item.bands))]))
    assert pixel.shape == (1, 4)
