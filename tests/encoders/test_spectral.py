import numpy as np
import pytest
import torch

from allspark.encoders.spectra import COMMON_NAMES, collate, has_wavelengths, sample_of, scale_of, wavelengths_of
from allspark.encoders.spectral import SpectralPatchEmbedding, StepPool, wavelength_features
from allspark.items import Raster

SCALE = {"mean": 0.15, "std": 0.15, "kelvin": [290.0, 20.0], "dn_scale": None}


@pytest.fixture
def embedding():
    torch.manual_seed(0)
    return SpectralPatchEmbedding(32, patch=4, rank=12, hidden=24).eval()


def inputs(C=5, H=8, W=8, T=1, B=2):
    return {
        "pixels": torch.randn(B, T, C, H, W),
        "valid": torch.ones(B, T, H, W, dtype=torch.bool),
        "band_mask": torch.ones(B, T, C, dtype=torch.bool),
        "wavelengths": torch.linspace(0.4, 12, C).expand(B, 1, C),
        "fwhm": torch.linspace(0.02, 1, C).expand(B, 1, C),
    }


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("C", [1, 3, 13, 400])
def test_any_number_of_bands_in_any_order(embedding, C):
    batch = inputs(C)
    features, mask, grid = embedding(**batch)
    assert features.shape == (2, 1, 4, 32)
    assert mask.all()
    assert grid == (2, 2)
    order = torch.randperm(C)
    turned = {
        "pixels": batch["pixels"][:, :, order],
        "valid": batch["valid"],
        "band_mask": batch["band_mask"],
        "wavelengths": batch["wavelengths"][..., order],
        "fwhm": batch["fwhm"][..., order],
    }
    close(embedding(**turned)[0], features)


def test_missing_bands_are_as_good_as_absent(embedding):
    batch = inputs(6)
    batch["band_mask"][..., 4:] = False
    batch["pixels"][:, :, 4:] = float("nan")
    batch["wavelengths"] = batch["wavelengths"].clone()
    batch["wavelengths"][..., 4:] = 1.0
    short = {key: value if key == "valid" else value[:, :, :4] for key, value in batch.items()}
    short["wavelengths"], short["fwhm"] = batch["wavelengths"][..., :4], batch["fwhm"][..., :4]
    close(embedding(**batch)[0], embedding(**short)[0])


def test_invalid_pixels_are_not_read_and_edges_are_padded(embedding):
    batch = inputs(3, 5, 6)
    batch["valid"][:, :, 2:, :4] = False
    clean, mask, grid = embedding(**batch)
    batch["pixels"] = batch["pixels"].masked_fill(~batch["valid"][:, :, None], float("nan"))
    close(embedding(**batch)[0], clean)
    assert grid == (2, 2)
    assert mask[0, 0].tolist() == [True, True, False, True]


def test_the_wavelength_decides_what_a_band_means(embedding):
    batch = inputs(3)
    moved = {**batch, "wavelengths": batch["wavelengths"] * 1.05}
    assert (embedding(**batch)[0] - embedding(**moved)[0]).abs().max() > 0.05


def test_features_resolve_narrow_bands_and_thermal_ones():
    waves = torch.tensor([0.550, 0.555, 2.200, 2.210, 10.9, 12.0])
    features = wavelength_features(waves, waves / 50)
    assert features.shape == (6, 48)
    assert features.abs().max() <= 1
    assert (torch.cdist(features, features) + 10 * torch.eye(6)).min() > 0.3


def test_pooling_over_steps_ignores_masked_ones():
    torch.manual_seed(0)
    pool = StepPool(8, 2)
    x, mask = torch.randn(1, 3, 2, 8), torch.ones(1, 3, 2, dtype=torch.bool)
    mask[:, 2] = False
    close(pool(x, mask)[0], pool(x[:, :2], mask[:, :2])[0])
    mask[:, :, 1] = False
    features, some = pool(x, mask)
    assert some.tolist() == [[True, False]]
    assert (features[:, 1] == 0).all()


def test_wavelengths_come_from_the_item_its_spacing_or_common_names():
    named = Raster(np.zeros((2, 2, 2)), "reflectance", bands=("NIR", "red"))
    assert wavelengths_of(named)[0].tolist() == [COMMON_NAMES["nir"][0], COMMON_NAMES["red"][0]]
    few = Raster(np.zeros((2, 2, 2)), "reflectance", wavelengths=[0.5, 2.0])
    np.testing.assert_allclose(wavelengths_of(few)[1], [0.04, 0.16])
    waves = np.linspace(2.4, 0.4, 201)
    many = Raster(np.zeros((201, 2, 2)), "reflectance", wavelengths=waves)
    np.testing.assert_allclose(wavelengths_of(many)[1], 0.01, rtol=1e-6)
    unknown = Raster(np.zeros((2, 2, 2)), "reflectance", bands=("a", "red"))
    assert not has_wavelengths(unknown)
    with pytest.raises(ValueError, match="bands a, red came without wavelengths; give wavelengths="):
        wavelengths_of(unknown)
    with pytest.raises(ValueError, match="bands without names"):
        wavelengths_of(Raster(np.zeros((2, 2, 2)), "reflectance"))


def test_each_unit_has_its_own_scale():
    values = np.linspace(0, 1000, 8).reshape(2, 2, 2)
    valid = np.ones((2, 2), bool)
    scale = lambda units, **kw: scale_of(Raster(values, units), valid, **{**SCALE, **kw})  # noqa: E731
    assert scale("reflectance") == (0.15, 0.15)
    assert scale("kelvin") == (290.0, 20.0)
    assert scale("uint8") == (255 * 0.15, 255 * 0.15)
    assert scale("dn", dn_scale=10_000) == (1500, 1500)
    offset, divisor = scale("dn")
    assert (np.percentile(values, 98) - offset) / divisor == pytest.approx(2)
    with pytest.raises(ValueError, match="a raster in metres came"):
        scale("metres")
    with pytest.raises(ValueError, match="reach only 0; wanted values above 0"):
        scale_of(Raster(values * 0, "dn"), valid, **SCALE)


def test_a_factor_on_digital_numbers_changes_nothing():
    values = np.random.default_rng(0).uniform(100, 3000, (3, 6, 6))
    a, b = (sample_of(Raster(v, "dn"), longest=8, scale=SCALE)[0] for v in (values, values * 7))
    close(a, b)


def test_missing_dates_bands_and_pixels():
    values = np.full((2, 3, 4, 4), 0.3)
    values[0, 1] = np.nan  # band 1 is missing on date 0
    values[1, :, 2] = np.nan  # a cloud on date 1
    pixels, valid, present = sample_of(Raster(values, "reflectance"), longest=8, scale=SCALE)
    assert present.tolist() == [[True, False, True], [True, True, True]]
    assert valid[0].all()
    assert not valid[1, 2].any()
    assert (pixels[0, 1] == 0).all()
    close(pixels[1][:, valid[1]], torch.ones(3, 12))
    small, mask, _ = sample_of(Raster(values, "reflectance"), longest=2, scale=SCALE)
    assert small.shape == (2, 3, 2, 2)
    close(small[1][:, mask[1]], torch.ones(3, int(mask[1].sum())))
    with pytest.raises(ValueError, match="no valid pixel"):
        sample_of(Raster(values * np.nan, "reflectance"), longest=8, scale=SCALE)


def test_collate_pads_wavelengths_with_a_number_whose_logarithm_is_finite():
    batch = collate([{"wavelengths": torch.ones(2) * 3}, {"wavelengths": torch.ones(4) * 3}])
    assert batch["wavelengths"].tolist() == [[3, 3, 1, 1], [3, 3, 3, 3]]
