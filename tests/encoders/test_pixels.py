import numpy as np
import pytest
import torch

from allspark.encoders.pixels import crop_around_valid, is_display, need_valid, one_date, pad_to_largest, resize
from allspark.items import Raster


def test_centre_crop_of_a_valid_raster():
    assert crop_around_valid(np.ones((10, 9), bool), 4, 5) == (slice(3, 7), slice(2, 7))
    assert crop_around_valid(np.ones((3, 9), bool), 4, 4)[0] == slice(0, 3)


def test_crop_follows_the_data_and_never_misses_it():
    corner = np.zeros((40, 40), bool)
    corner[:6, 30:] = True
    rows, columns = crop_around_valid(corner, 8, 8)
    assert corner[rows, columns].sum() == 48
    ring = np.ones((40, 40), bool)
    ring[5:35, 5:35] = False
    assert ring[crop_around_valid(ring, 8, 8)].any()


@pytest.mark.parametrize("mode", ["bilinear", "area"])
@pytest.mark.parametrize("size", [(8, 8), (16, 12), (40, 44)])
def test_resampling_never_mixes_in_missing_data(mode, size):
    valid = np.ones((32, 32), bool)
    valid[:, 20:] = False
    values = np.where(valid, 5.0, np.nan)[None].repeat(2, 0)
    resized, mask = resize(values, valid, size, mode)
    assert mask.any()
    assert not mask.all()
    torch.testing.assert_close(resized[:, mask], torch.full((2, int(mask.sum())), 5.0), atol=1e-4, rtol=0)
    assert (resized[:, ~mask] == 0).all()


def test_a_lonely_valid_pixel_survives():
    valid = np.zeros((64, 64), bool)
    valid[40, 10] = True
    resized, mask = resize(np.full((1, 64, 64), 3.0), valid, (8, 8))
    assert mask.any()
    torch.testing.assert_close(resized[0, mask], torch.full((int(mask.sum()),), 3.0), atol=1e-3, rtol=0)


def test_reduction_is_antialiased():
    stripes = np.zeros((1, 64, 64), np.float32)
    stripes[:, :, ::2] = 1
    resized, _ = resize(stripes, np.ones((64, 64), bool), (16, 16))
    assert (resized - 0.5).abs().max() < 0.1


def test_padding_to_the_largest_keeps_values_and_fill():
    samples = [{"x": torch.ones(2, 3), "m": torch.tensor(True)}, {"x": torch.ones(1, 5), "m": torch.tensor(False)}]
    batch = pad_to_largest(samples, {"x": 7.0})
    assert batch["x"].shape == (2, 2, 5)
    assert batch["x"][0, :, 3:].eq(7).all()
    assert batch["x"][1, 1].eq(7).all()
    assert batch["m"].tolist() == [True, False]


def test_small_sentences():
    with pytest.raises(ValueError, match="no valid pixel among its 3 × 4"):
        need_valid(np.zeros((3, 4), bool))
    series = Raster(np.zeros((3, 2, 4, 4)), "reflectance")
    with pytest.raises(ValueError, match="3 dates came; sar wants one"):
        one_date(series, "sar")
    assert one_date(Raster(np.zeros((1, 2, 4, 4)), "reflectance"), "sar").shape == (2, 4, 4)
    four = np.zeros((4, 2, 2), np.uint8)
    assert is_display(Raster(four, "uint8", bands=("nir", "Blue", "green", "red")))
    assert not is_display(Raster(four, "uint8"))
    assert not is_display(Raster(four[:3], "reflectance"))
