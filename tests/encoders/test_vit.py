import pytest
import torch

from allspark.encoders.vit import PatchTransformer, Transformer, positions_1d, positions_2d, token_mask


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return Transformer(32, 3, 4).eval()


def test_garbage_in_masked_tokens_changes_nothing(transformer):
    x = torch.randn(2, 7, 32)
    mask = torch.tensor([[True] * 5 + [False] * 2, [False, True] * 3 + [True]])
    clean = transformer(x, mask)
    for garbage in (1e6, float("nan"), float("inf")):
        dirty = x.masked_fill(~mask[..., None], garbage)
        torch.testing.assert_close(transformer(dirty, mask), clean, atol=1e-5, rtol=0)


def test_masked_tokens_are_as_good_as_absent(transformer):
    x = torch.randn(1, 9, 32)
    mask = torch.arange(9)[None] < 6
    torch.testing.assert_close(transformer(x, mask)[:, :6], transformer(x[:, :6]), atol=1e-5, rtol=0)
    assert (transformer(x, mask)[:, 6:] == 0).all()


def test_a_row_without_real_tokens_is_zero_and_has_a_finite_gradient(transformer):
    x = torch.randn(2, 4, 32, requires_grad=True)
    mask = torch.tensor([[False] * 4, [True] * 4])
    y = transformer(x, mask)
    assert (y[0] == 0).all()
    assert torch.isfinite(y).all()
    y.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_mask_holds_under_bf16_autocast(transformer):
    x = torch.randn(2, 6, 32)
    mask = torch.arange(6)[None] < torch.tensor([[6], [2]])
    with torch.autocast("cpu", torch.bfloat16):
        a = transformer(x, mask)
        b = transformer(x.masked_fill(~mask[..., None], float("nan")), mask)
    torch.testing.assert_close(a, b, atol=0, rtol=0)


def test_projections_are_separate_and_start_small(transformer):
    names = dict(transformer.named_parameters())
    for part in ("q", "k", "v", "proj"):
        weight = names[f"blocks.0.attn.{part}.weight"]
        assert weight.shape == (32, 32)
        assert 0.015 < weight.std() < 0.025


def test_drop_path_grows_with_depth_and_rests_in_evaluation():
    deep = Transformer(16, 3, 2, drop_path=0.5)
    assert [block.drop_path for block in deep.blocks] == [0.0, 0.25, 0.5]
    x = torch.randn(8, 3, 16)
    assert not torch.equal(deep.train()(x), deep(x))
    assert torch.equal(deep.eval()(x), deep(x))


def test_positions_tell_every_cell_apart_and_ignore_padding():
    small, large = positions_2d(5, 6, 64), positions_2d(9, 8, 64)
    assert torch.equal(small.view(5, 6, 64), large.view(9, 8, 64)[:5, :6])
    distance = torch.cdist(small, small) + 10 * torch.eye(30)
    assert distance.min() > 0.5
    with pytest.raises(ValueError, match="multiple of 4"):
        positions_2d(2, 2, 30)
    with pytest.raises(ValueError, match="even"):
        positions_1d(torch.arange(3), 5)


def test_tokens_need_a_quarter_of_their_pixels_unless_none_has_it():
    valid = torch.zeros(2, 8, 8, dtype=torch.bool)
    valid[0, :4, :4] = True
    valid[0, 0, 4:7] = True  # 3 of 16
    valid[0, 4, :4] = True  # 4 of 16
    valid[1, 7, 7] = True  # 1 of 16, the best there is
    assert token_mask(valid, (2, 2)).tolist() == [[True, False, True, False], [False, False, False, True]]


def test_patch_transformer_shapes_and_heads():
    patches = PatchTransformer(3, 32, 1, 2, patch=4)
    x, mask, grid = patches(torch.randn(2, 3, 8, 12), torch.ones(2, 8, 12, dtype=torch.bool))
    assert x.shape == (2, 6, 32)
    assert grid == (2, 3)
    assert mask.all()
    assert patches(torch.randn(2, 3, 8, 12))[1] is None
    with pytest.raises(ValueError, match="divisor"):
        Transformer(30, 1, 4)
