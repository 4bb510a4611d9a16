"""Packs are small, and what they hold comes back."""

import lean
import pytest
import torch


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.int64, torch.bool, torch.uint8])
def test_numbers_come_back_bit_for_bit(kind):
    torch.manual_seed(0)
    value = (torch.randn(3, 40, 7) * 100).to(kind)
    blob, facts = lean.deflate(value.transpose(0, 1))
    again = lean.widen(blob, facts)
    assert again.dtype == kind
    assert torch.equal(again, value.transpose(0, 1))
    again[0] = 0  # memory of its own


def test_what_says_nothing_weighs_nothing():
    mask, planes = torch.ones(128, 128, dtype=torch.bool), torch.zeros(5, 128, 128, dtype=torch.float16)
    planes[2] = torch.randint(0, 256, (128, 128)).half() / 7  # eight bits, whatever they were scaled by
    assert lean.deflate(mask)[0].numel() < 100
    assert lean.deflate(planes)[0].numel() < 1.5 * 128 * 128  # of ten bytes a pixel


def test_a_picture_comes_back_nearly():
    torch.manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 16, 16)).float()
    values = torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 255).round()[0]
    mean, std = [127.0, 110.0, 90.0], [128.0, 64.0, 50.0]
    pixels = (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    blob, facts = lean.to_webp(pixels, mean, std)
    assert blob.numel() < values.numel() / 4
    again = lean.widen(blob, facts)
    assert again.dtype == torch.float16
    error = (again.float() - pixels) * torch.tensor(std)[:, None, None]
    assert float(error.square().mean()) < 20  # of the 255 levels: above 35 dB
