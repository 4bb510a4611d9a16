import numpy as np
import pytest
import torch

from allspark.bridges import masked_mean
from allspark.encoders.hyperspectral import HyperspectralEncoder, beside, own_numbers, prepare, recognises
from allspark.encoders.spectra import collate
from allspark.evaluate.episodes import run_episodes
from allspark.evaluate.sources import made_spectra
from allspark.items import Raster
from allspark.modality import get
from allspark.testing import made

SMALL = {"width": 32, "depth": 2, "heads": 2, "rank": 12}


def cube(C=48, h=9, w=9, seed=0, **kwargs):
    values = np.random.default_rng(seed).uniform(0.02, 0.5, (C, h, w))
    return Raster(values, "reflectance", **{"wavelengths": np.linspace(0.4, 2.5, C), **kwargs})


@pytest.fixture(params=[0, 8], ids=["without moments", "with moments"])
def encoder(request):
    torch.manual_seed(0)
    return HyperspectralEncoder(**SMALL, moments=request.param).eval()


def encode(encoder, *items, **kwargs):
    with torch.no_grad():
        return encoder(**get("hyperspectral").collate([prepare(item, **kwargs) for item in items]))


def test_recognises_many_bands_of_known_wavelengths():
    assert recognises(cube())
    assert not recognises(cube(31))
    assert not recognises(cube(wavelengths=None))


@pytest.mark.parametrize(("shape", "grid"), [((200, 1, 1), (1, 1)), ((48, 9, 9), (3, 3)), ((400, 70, 90), (3, 4))])
def test_a_pixel_a_window_and_a_scene(encoder, shape, grid):
    tokens = encode(encoder, cube(*shape))
    assert tokens.grid == grid
    assert tokens.features.shape == (1, grid[0] * grid[1], 32)
    assert torch.isfinite(tokens.features).all()
    h, w = prepare(cube(*shape))["pixels"].shape[1:]
    assert -(-h // 4) * -(-w // 4) * -(-shape[0] // 10) <= 768


def test_bands_in_any_order(encoder):
    item = cube()
    order = np.random.default_rng(1).permutation(48)
    turned = Raster(item.values[order], "reflectance", wavelengths=item.wavelengths[order])
    a, b = encode(encoder, item), encode(encoder, turned)
    torch.testing.assert_close(a.features, b.features, atol=1e-5, rtol=0)


def test_absorption_bands_are_left_out(encoder):
    item = cube()
    values = item.values.copy()
    values[20:24] = np.nan
    values[30] = 0
    sample = prepare(Raster(values, "reflectance", wavelengths=item.wavelengths))
    assert sample["pixels"].shape == (43, 9, 9)
    assert sample["valid"].all()
    kept = np.delete(np.arange(48), [20, 21, 22, 23, 30])
    np.testing.assert_allclose(sample["wavelengths"], item.wavelengths[kept], rtol=1e-6)


def test_a_batch_of_all_sizes_changes_no_item(encoder):
    items = [cube(), cube(200, 1, 1), cube(37, 5, 12), cube(64, 8, 8, valid=np.eye(8) > 0)]
    together = encode(encoder, *items)
    for row, item in enumerate(items):
        alone = encode(encoder, item)
        a, b = alone.features[0][alone.mask[0]], together.features[row][together.mask[row]]
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_what_stands_in_invalid_pixels_reaches_no_token(encoder):
    valid = np.ones((9, 9), bool)
    valid[4:] = False
    item = cube(valid=valid)
    values = np.where(valid, item.values, np.nan)
    other = Raster(values, "reflectance", wavelengths=item.wavelengths, valid=valid)
    a, b = encode(encoder, item), encode(encoder, other)
    assert a.mask.view(3, 3).tolist() == [[True] * 3, [False] * 3, [False] * 3]
    torch.testing.assert_close(a.features, b.features, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (cube(wavelengths=None), "without wavelengths"),
        (Raster(np.zeros((40, 2, 2)), "reflectance", wavelengths=np.linspace(0.4, 1, 40)), "nothing but zeros or NaN"),
        (cube(valid=np.zeros((9, 9), bool)), "no valid pixel"),
        (Raster(np.ones((2, 40, 2, 2)), "reflectance", wavelengths=np.linspace(0.4, 1, 40)), "2 dates"),
    ],
)
def test_bad_cubes_give_a_sentence(item, words):
    with pytest.raises(ValueError, match=words):
        prepare(item)


def test_the_default_encoder():
    modality = get("hyperspectral")
    encoder = modality.encoder(**modality.config)
    assert 0.8e6 < sum(p.numel() for p in encoder.parameters()) < 1.1e6


def test_an_absorption_feature_is_learned_from_single_pixels():
    torch.manual_seed(0)
    items, labels = made("hyperspectral", 60, seed=4)
    pixels = [Raster(i.values[:, :1, :1], i.units, wavelengths=i.wavelengths) for i in items]
    batch, target = get("hyperspectral").collate([prepare(p) for p in pixels]), torch.tensor(labels)
    encoder, head = HyperspectralEncoder(**SMALL), torch.nn.Linear(32, 2)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 2e-3)
    classify = lambda rows: head(encoder(**{k: v[rows] for k, v in batch.items()}).features.mean(1))  # noqa: E731
    for _ in range(50):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(classify(slice(0, 36)), target[:36]).backward()
        optimiser.step()
    with torch.no_grad():
        assert (classify(slice(36, 60)).argmax(1) == target[36:]).float().mean() >= 0.95


def test_untrained_moments_keep_what_tells_made_materials_apart():
    """Six tasks, five examples a class: a random projection of the spectra against a random transformer alone."""
    reached = []
    for moments in (0, 24):
        torch.manual_seed(0)
        encoder = HyperspectralEncoder(moments=moments).eval()
        found = []
        for number in (0, 1, 2, 3, 4, 5):
            items = made_spectra._task(number)
            tokens = encode(encoder, *items)
            labels = [str(place // made_spectra.ITEMS) for place in range(len(items))]
            ways, pooled = len(set(labels)), masked_mean(tokens.features, tokens.mask)
            few = run_episodes(pooled, labels, ways=ways, shots=5, queries=5, episodes=10, method="ridge")
            found.append(few.mean)
        reached.append(np.mean(found))
    assert reached[1] > reached[0] + 0.03, reached


def test_an_encoder_without_moments_has_no_road():
    batch = get("hyperspectral").collate([prepare(cube())])
    with pytest.raises(ValueError, match="moments=24"):
        HyperspectralEncoder(**SMALL).road(**batch)


def test_shade_scales_a_spectrum_and_leaves_its_own_shape_alone():
    bands, random = 40, np.random.default_rng(0)
    cube = random.uniform(0.1, 0.6, (bands, 5, 5)).astype(np.float32)
    waves = np.linspace(0.4, 2.4, bands)
    light, shade = (
        own_numbers(**collate([prepare(Raster(cube * f, "reflectance", wavelengths=waves))]))[0] for f in (1.0, 0.5)
    )
    assert light.shape == (5 * bands + 2,)
    assert not torch.allclose(light[: 3 * bands], shade[: 3 * bands], atol=0.1)
    assert torch.allclose(light[3 * bands : -2], shade[3 * bands : -2], atol=1e-4)
    assert torch.allclose(light[-2:] - shade[-2:], torch.full((2,), np.log(2.0)), atol=1e-4)
    middle = np.log(cube[:, 2, 2])
    assert torch.allclose(light[3 * bands : 4 * bands], torch.from_numpy(middle - middle.mean()), atol=1e-3)


def sketches(*items):
    return beside(**collate([prepare(item) for item in items]))


def test_the_middle_is_an_item_s_own_whatever_it_is_batched_with():
    items = [cube(48, 3, 3), cube(48, 9, 5, seed=1), cube(48, 2, 6, seed=2)]
    for said in (own_numbers, beside):
        together = said(**collate([prepare(item) for item in items]))
        for item, row in zip(items, together):
            torch.testing.assert_close(said(**collate([prepare(item)]))[0], row, equal_nan=True)
    middle = own_numbers(**collate([prepare(item) for item in items]))[1, :48]
    torch.testing.assert_close(middle, prepare(items[1])["pixels"][:, 4, 2])


def test_the_middle_is_the_window_s_however_little_of_it_is_valid():
    there = np.zeros((9, 9), bool)
    there[3:, :6] = True  # the rest belongs to another block: the window is still about the pixel (4, 4)
    cut, full = cube(valid=there), cube()
    middles = own_numbers(**collate([prepare(cut), prepare(full)]))[:, :48]
    torch.testing.assert_close(middles[0], prepare(full)["pixels"][:, 4, 4])
    torch.testing.assert_close(middles[0], middles[1])


def test_a_sketch_is_of_a_spectrum_s_shape_by_wavelength():
    waves = np.linspace(0.4, 2.5, 60)
    rng = np.random.default_rng(0)
    smooth = 0.25 + 0.05 * np.sin(3 * waves + rng.uniform(0, 6, (2, 1)))
    pixel = lambda values, order=slice(None): Raster(  # noqa: E731
        values[order, None, None], "reflectance", wavelengths=waves[order]
    )
    first, second = smooth
    found = sketches(*(pixel(v) for v in (first, 0.8 * first, first + 0.002 * rng.normal(size=60), second)))
    torch.testing.assert_close(found.norm(dim=1), torch.full((4,), 0.25))
    shaded, noisy, other = (16 * found[1:] @ found[0]).tolist()
    assert shaded > 0.9
    assert noisy > 0.9
    assert other < min(shaded, noisy) - 0.1
    order = rng.permutation(60)
    torch.testing.assert_close(sketches(pixel(first, order)), found[:1], atol=1e-5, rtol=0)
    dead = first.copy()
    dead[10:14] = np.nan  # a sample without these bands loses what they say and keeps the others in their places
    gone, whole = sketches(pixel(dead), pixel(first))  # padded to the longer one's bands
    torch.testing.assert_close(whole, found[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(gone, sketches(pixel(dead))[0], atol=1e-5, rtol=0)
    assert 0.7 < 16 * float(gone @ found[0]) < 0.999


def test_spectra_are_compared_with_their_sketch_beside_the_tokens(tiny):
    items = [cube(), cube(seed=1)]
    vectors = tiny.embed(items, modality="hyperspectral", at="encoder")
    width = tiny.model.encoders["hyperspectral"].width
    assert vectors.shape == (2, width + 512)
    torch.testing.assert_close(vectors[:, width:], sketches(*items), atol=1e-5, rtol=0)


def test_where_nothing_is_valid_in_the_middle_the_mean_still_speaks():
    there = np.ones((9, 9), bool)
    there[4, 4] = False
    found = sketches(cube(valid=there))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.norm(dim=1), torch.tensor([0.25]))


def test_a_band_that_holds_nothing_leaves_the_others_their_places():
    whole = cube(48, 3, 4)
    holed = Raster(whole.values.copy(), whole.units, wavelengths=whole.wavelengths)
    holed.values[7] = 0.0
    full, less = own_numbers(**collate([prepare(whole), prepare(holed)]))
    assert torch.equal(own_numbers(**collate([prepare(holed)]))[0].isnan(), less.isnan())  # alone as in a batch
    full, less = (row[:-2].view(5, 48) for row in (full, less))
    assert less[:, 7].isnan().all()
    assert full.isfinite().all()
    others = torch.arange(48) != 7
    torch.testing.assert_close(less[:3, others], full[:3, others])
    shape = less[3:, others] - full[3:, others]  # its own mean is that of the other 47
    torch.testing.assert_close(shape, shape[:, :1].expand_as(shape), atol=1e-5, rtol=0)
