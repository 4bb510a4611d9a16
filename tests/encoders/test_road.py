"""The linear road past a transformer: what it reads, how it is standardised, and that it is added and nothing else."""

from __future__ import annotations

import pytest
import torch

from allspark.bridges import masked_mean
from allspark.encoders.road import Road, map_numbers
from allspark.modality import get
from allspark.testing import made

SMALL = {
    "rgb": {"width": 32, "depth": 1, "heads": 2},
    "sar": {"width": 32, "depth": 1, "heads": 2, "stem": (8, 16, 16)},
    "trajectory": {"width": 24, "depth": 1, "heads": 2},
    "point_cloud": {"width": 24, "depth": 1, "heads": 2, "hidden": 16, "pictures": True},
}
SETTINGS = {"rgb": {"size": 64}, "sar": {"size": 64}}


def batch_of(name: str, count: int = 4) -> dict[str, torch.Tensor]:
    items, _ = made(name, count, seed=3)
    record = get(name)
    return record.collate([record.prepare(item, **SETTINGS.get(name, {})) for item in items])


def test_numbers_are_standardised_by_training_tokens_and_bounded() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(500, 3) * torch.tensor([1.0, 10.0, 0.0]) + torch.tensor([5.0, -2.0, 7.0])
    road = Road(3, 8)
    road.fit(tokens.mean(0), tokens.square().mean(0))
    standard = road.standard(tokens)
    torch.testing.assert_close(standard[:, :2].std(0), torch.ones(2), atol=0.01, rtol=0)
    torch.testing.assert_close(standard.mean(0), torch.zeros(3), atol=0.01, rtol=0)
    assert road.standard(torch.full((1, 3), 1e9)).abs().max() == 8
    torch.testing.assert_close(road(tokens), standard @ road.out.weight.T)
    assert 0.2 < float(Road(400, 300)(torch.randn(50, 400)).detach().std()) < 0.8


def test_maps_are_read_under_every_cell_and_valid_places_alone() -> None:
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 3, 16, 16), torch.randn(2, 5, 4, 4)
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[1, :, 12:] = False  # a cell and a half remain of a row of four
    found = map_numbers([fine, coarse], valid, (4, 4))
    assert found.shape == (2, 16, 3 + 3 + 5)
    cell = fine[0, :, 4:8, 8:12]
    torch.testing.assert_close(found[0, 1 * 4 + 2, :3], cell.mean((1, 2)))
    torch.testing.assert_close(found[0, 1 * 4 + 2, 3:6], cell.std((1, 2), correction=0))
    torch.testing.assert_close(found[0, 6, 6:], coarse[0, :, 1, 2])
    half = fine[1, :, 4:8, 4:6]
    torch.testing.assert_close(found[1, 1 * 4 + 1, :3], half.mean((1, 2)), atol=1e-5, rtol=0)
    assert (found[1].view(4, 4, -1)[:, 2:] == 0).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_road_is_added_to_the_tokens_and_nothing_else_changes(name: str) -> None:
    torch.manual_seed(0)
    encoder = get(name).encoder(**SMALL[name], moments=True).eval()  # type: ignore[misc]
    batch = batch_of(name)
    with torch.no_grad():
        whole = encoder(**batch)
        numbers, mask = encoder.road_numbers(**batch)
        road, encoder.moments = encoder.moments, None
        alone = encoder(**batch)
    assert isinstance(road, Road)
    # what the recipe learns the road from: the mean over tokens of what is added is what it says of the mean numbers
    added = masked_mean(whole.features, whole.mask) - masked_mean(alone.features, alone.mask)
    torch.testing.assert_close(road(masked_mean(numbers, mask)), added, atol=1e-3, rtol=1e-3)
    if name == "point_cloud":  # what holds of a whole cloud is told by its own token alone
        assert torch.equal(whole.features[:, 1:], alone.features[:, 1:])
    else:
        assert torch.equal(mask, whole.mask)
        torch.testing.assert_close(whole.features, alone.features + road(numbers))


@pytest.mark.parametrize("name", ["rgb", "sar"])
def test_what_stands_in_invalid_pixels_reaches_no_road(name: str) -> None:
    torch.manual_seed(0)
    encoder = get(name).encoder(**SMALL[name], moments=True).eval()  # type: ignore[misc]
    batch = batch_of(name, 2)
    batch["valid"] = batch["valid"].clone()
    batch["valid"][:, :40] = False
    found = []
    for fill in (0.0, float("nan")):
        pixels = batch["pixels"].masked_fill(~batch["valid"][:, None], fill)
        with torch.no_grad():
            found.append(encoder(**{**batch, "pixels": pixels}).features)
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


def test_only_our_own_tower_has_a_road() -> None:
    encoder = get("rgb").encoder(tower="vit", width=32, depth=1, heads=2, moments=True)  # type: ignore[misc]
    assert encoder.moments is None
    with pytest.raises(ValueError, match="efficientnet_lite0"):
        encoder.road_numbers(**batch_of("rgb", 1))
