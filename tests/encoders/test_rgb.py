import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from allspark.encoders.lite import CACHED, LiteFeatures, LiteTower, SameConv2d
from allspark.encoders.rgb import RgbEncoder, input_for, load_tower, prepare, pretrained
from allspark.encoders.towers import checkpoint_file, split_tower, tower_input
from allspark.items import Raster
from allspark.modality import get, stack

RGB = ("red", "green", "blue")
VIT = {"tower": "vit", "width": 32, "depth": 2, "heads": 2}


def picture(h=40, w=60, **kwargs):
    values = np.random.default_rng(0).integers(0, 256, (3, h, w), dtype=np.uint8)
    return Raster(values, "uint8", bands=RGB, **kwargs)


def test_prepare_normalises_and_orders_by_name():
    values = np.stack([np.full((50, 50), v, np.uint8) for v in (10, 127, 255, 99)])
    sample = prepare(Raster(values, "uint8", bands=("Blue", "green", "RED", "nir")), size=32)
    assert sample["pixels"].shape == (3, 32, 32)
    assert sample["valid"].all()
    expected = (torch.tensor([255.0, 127.0, 10.0]) - 127) / 128
    torch.testing.assert_close(sample["pixels"].mean((1, 2)), expected)


def test_prepare_keeps_shape_by_cropping_the_middle():
    values = np.zeros((3, 20, 100), np.uint8)
    values[:, :, 40:60] = 200
    sample = prepare(Raster(values, "uint8", bands=RGB), size=20, mean=[0] * 3, std=[1] * 3)
    assert (sample["pixels"] == 200).all()


def test_invalid_pixels_are_the_mean_and_marked():
    valid = np.ones((32, 32), bool)
    valid[:16] = False
    a = picture(32, 32, valid=valid)
    changed = a.values.copy()
    changed[:, :16] = 255
    b = Raster(changed, "uint8", bands=RGB, valid=valid)
    one, two = prepare(a, size=32), prepare(b, size=32)
    assert (one["pixels"][:, :16] == 0).all()
    assert not one["valid"][:16].any()
    assert torch.equal(one["pixels"], two["pixels"])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Raster(np.zeros((3, 4, 4)), "reflectance", bands=RGB), "reflectance came"),
        (Raster(np.zeros((4, 4, 4), np.uint8), "uint8"), "4 bands without names"),
        (Raster(np.zeros((3, 4, 4), np.uint8), "uint8", bands=("nir", "red", "green")), "bands nir, red, green came"),
        (Raster(np.zeros((2, 3, 4, 4), np.uint8), "uint8", bands=RGB), "2 dates"),
        (Raster(np.zeros((3, 4, 4), np.uint8), "uint8", bands=RGB, valid=np.zeros((4, 4))), "no valid pixel"),
    ],
)
def test_bad_pictures_give_a_sentence(item, words):
    with pytest.raises(ValueError, match=words):
        prepare(item)


def test_recognises_display_pictures_alone():
    assert recognises_rgb(picture())
    assert not recognises_rgb(Raster(np.zeros((1, 4, 4), np.uint8), "uint8"))
    assert not recognises_rgb(Raster(np.zeros((3, 4, 4)), "reflectance", bands=RGB))


def recognises_rgb(item):
    return get("rgb").recognises(item)


def test_the_default_encoder_is_the_promised_one():
    modality = get("rgb")
    encoder = modality.encoder(**modality.config)
    net = encoder.tower.net.state_dict()
    assert len(net) == 288  # of ImageNet's 296, all but the head's, in their order
    assert next(iter(net)) == "conv_stem.weight"
    assert any(isinstance(m, SameConv2d) and m.slow_in_bf16 for m in encoder.modules())
    assert 4e6 < sum(p.numel() for p in encoder.parameters()) < 5.2e6
    batch = stack([prepare(picture(), **modality.input)] * 2)
    tokens = encoder.train()(**batch)
    assert tokens.features.shape == (2, 64, 256)
    assert tokens.grid == (8, 8)
    assert tokens.mask.all()
    tokens.features.square().mean().backward()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(encoder.eval()(**batch).features).all()


def test_the_stem_is_timms_tensor_for_tensor():
    import timm

    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3, 4), pretrained=False).eval()
    torch.manual_seed(0)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    ours = LiteFeatures().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        for size in (64, 97):
            pixels = torch.randn(2, 3, size, size)
            for left, right in zip(ours(pixels)[-2:], theirs(pixels), strict=True):
                torch.testing.assert_close(left, right, atol=1e-5, rtol=0)


def test_batch_norms_merged_into_convolutions_say_the_same():
    torch.manual_seed(0)
    tower = LiteTower().eval()
    for module in tower.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    pixels, valid = torch.randn(CACHED, 3, 64, 64), torch.rand(CACHED, 64, 64) < 0.9
    normed = []
    for module in tower.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda *_: normed.append(1))

    def alike(plain, merged):
        for left, right in zip(plain, merged):
            torch.testing.assert_close(left, right, atol=1e-4 * float(left.abs().max()), rtol=0)

    plain = [part.detach() for part in tower.read(pixels, valid)]
    with torch.no_grad():
        assert len(normed) == 48, "where gradients are wanted the norms stay"
        alike(plain, tower.read(pixels, valid))
        assert len(normed) == 48
        one = tower.read(pixels[:1], valid[:1])
        assert len(normed) == 96, "one picture is not worth it"
        alike([part[:1] for part in plain], one)
        last = tower.net.blocks[-1][0]
        last.bn3.running_mean.data += 1.0  # no version counter sees this
        changed = tower.read(pixels, valid)[0]
        assert not torch.allclose(changed[:, -320:], plain[0][:, -320:], atol=0.1)
        last.conv_pwl = torch.nn.Sequential(last.conv_pwl)  # somebody's layer around ours
        alike([changed], tower.read(pixels, valid)[:1])
        assert len(normed) == 97


def test_float32_depthwise_gradients_equal_the_plain_ones():
    torch.manual_seed(0)
    for kernel, stride in ((3, 2), (5, 2), (5, 1)):
        from timm.layers import create_conv2d

        plain = create_conv2d(8, 8, kernel, stride=stride, padding="same" if stride > 1 else "", depthwise=True)
        ours = SameConv2d(8, 8, kernel, stride, groups=8)
        assert ours.slow_in_bf16
        ours.load_state_dict(plain.state_dict())
        x = torch.randn(2, 8, 13, 13, requires_grad=True)
        a = torch.autograd.grad(plain(x).square().sum(), (x, plain.weight))
        b = torch.autograd.grad(ours(x).square().sum(), (x, ours.weight))
        for left, right in zip(a, b):
            torch.testing.assert_close(left, right)
        with torch.autocast("cpu", torch.bfloat16):
            assert ours(x.bfloat16()).dtype == torch.bfloat16


def test_what_stands_in_invalid_pixels_reaches_no_token():
    torch.manual_seed(0)
    for config in (VIT, {"width": 32, "depth": 1, "heads": 2}):
        encoder = RgbEncoder(**config).eval()
        pixels, valid = torch.randn(1, 3, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool)
        valid[:, :, 32:] = False
        with torch.no_grad():
            clean = encoder(pixels, valid)
            dirty = encoder(pixels.masked_fill(~valid[:, None], float("nan")), valid)
        assert clean.mask.view(4, 4).tolist() == [[True, True, False, False]] * 4
        torch.testing.assert_close(clean.features, dirty.features, atol=1e-5, rtol=0)


def test_frozen_norms_keep_their_statistics():
    encoder = RgbEncoder(width=32, depth=0, freeze_norm=True).train()
    before = encoder.tower.net.bn1.running_mean.clone()
    encoder(torch.randn(1, 3, 32, 32), torch.ones(1, 32, 32, dtype=torch.bool))
    assert torch.equal(encoder.tower.net.bn1.running_mean, before)
    assert encoder.head.training


def test_learns_two_classes_of_texture():
    rng = np.random.default_rng(0)
    labels = torch.arange(160) % 2
    along = np.arange(32) + rng.uniform(0, 32, (160, 1))
    waves = np.sin(2 * np.pi * along / np.where(labels[:, None] == 0, 16, 4))
    values = 127 + 90 * waves[:, None, None] + rng.normal(0, 15, (160, 3, 32, 32))
    items = [Raster(np.clip(v, 0, 255).astype(np.uint8), "uint8", bands=RGB) for v in values]
    batch = stack([prepare(item, size=32) for item in items])
    torch.manual_seed(0)
    encoder, head = RgbEncoder(width=64, depth=1, heads=2), torch.nn.Linear(64, 2)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 1e-3)
    classify = lambda rows: head(encoder(batch["pixels"][rows], batch["valid"][rows]).features.mean(1))  # noqa: E731
    for step in range(30):  # seeds 0 to 3 reach 0.94 and more
        rows = slice(32 * (step % 4), 32 * (step % 4) + 32)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(classify(rows), labels[rows]).backward()
        optimiser.step()
    with torch.no_grad():
        assert (classify(slice(128, 160)).argmax(1) == labels[128:]).float().mean() >= 0.9


def test_tower_names():
    assert split_tower("efficientnet_lite0") == ("efficientnet_lite0", None)
    assert split_tower("timm:test_vit@a/b.safetensors") == ("timm:test_vit", "a/b.safetensors")
    assert split_tower("open_clip:ViT-L-14/laion2b_s32b_b82k") == ("open_clip:ViT-L-14", "laion2b_s32b_b82k")
    for wrong in ("resnet50", "timm:", "keras:vgg"):
        with pytest.raises(ValueError, match="is not known; wanted"):
            split_tower(wrong)
    with pytest.raises(ValueError, match="timm has no model"):
        RgbEncoder(tower="timm:no_such_model")
    with pytest.raises(ValueError, match="timm has no model"):
        tower_input("timm:no_such_model")
    with pytest.raises(ValueError, match="open_clip has no model"):
        RgbEncoder(tower="open_clip:no_such_model")


@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_timm_tower_from_a_checkpoint_on_disk(tmp_path, form):
    import timm

    torch.manual_seed(1)
    source = timm.create_model("test_vit", pretrained=False).eval()
    path = tmp_path / "model.safetensors"
    save_file(source.state_dict(), path)
    tower = f"timm:test_vit@{path if form == 'file' else tmp_path}"
    assert input_for({"tower": tower}) == {"size": 160, "mean": [127.5] * 3, "std": [127.5] * 3}
    encoder = RgbEncoder(tower=tower, width=None, depth=0).eval()
    kept = pretrained(encoder, {"tower": tower, "width": None, "depth": 0})
    assert kept == {"tower": "timm:test_vit", "width": None, "depth": 0}
    pixels = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        tokens = encoder(pixels, torch.ones(1, 160, 160, dtype=torch.bool))
        expected = source.forward_features(pixels)[:, 1:]
    assert tokens.grid == (10, 10)
    torch.testing.assert_close(tokens.features, expected)


def test_an_open_clip_tower_from_a_checkpoint_on_disk(tmp_path, monkeypatch):
    import open_clip
    from open_clip import factory

    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "made-ViT-8.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "made-ViT-8.json")
    torch.manual_seed(1)
    clip = open_clip.create_model("made-ViT-8", pretrained=None, load_weights=False).eval()
    weights = tmp_path / "weights" / "clip.safetensors"
    weights.parent.mkdir()
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, weights)

    tower = f"open_clip:made-ViT-8{weights}"
    assert split_tower(tower) == ("open_clip:made-ViT-8", str(weights))
    assert input_for({"tower": tower})["size"] == 32
    encoder = RgbEncoder(tower=tower, width=None, depth=0).eval()
    assert pretrained(encoder, {"tower": tower})["tower"] == "open_clip:made-ViT-8"
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = encoder(pixels, torch.ones(2, 32, 32, dtype=torch.bool))
        clip.visual.output_tokens = True
        clip.visual.proj = None
        _, expected = clip.visual(pixels)
    assert tokens.grid == (4, 4)
    torch.testing.assert_close(tokens.features, expected)
    with_blocks = RgbEncoder(tower="open_clip:made-ViT-8", width=32, depth=1, heads=2)
    assert with_blocks(pixels, torch.ones(2, 32, 32, dtype=torch.bool)).features.shape == (2, 16, 32)


def test_bad_checkpoints_give_a_sentence(tmp_path):
    encoder = RgbEncoder(tower="timm:test_vit", width=None, depth=0)
    load = lambda where: load_tower(encoder, "timm:test_vit", str(where))  # noqa: E731
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError, match=r"holds no \.safetensors"):
        load(tmp_path)
    pickle = tmp_path / "model.pth"
    pickle.write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="pickles are not read"):
        load(pickle)
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(b"not a header")
    with pytest.raises(ValueError, match="cannot be read"):
        load(corrupt)
    other = tmp_path / "other.safetensors"
    save_file({"cls_token": torch.zeros(1, 1, 64)}, other)
    with pytest.raises(ValueError, match="lacks"):
        load(other)
    shapes = {key: value.contiguous() for key, value in encoder.tower.net.state_dict().items()}
    shapes["cls_token"] = torch.zeros(1, 1, 8)
    save_file(shapes, tmp_path / "shapes.safetensors")
    with pytest.raises(ValueError, match=r"shape \(1, 1, 8\)"):
        load(tmp_path / "shapes.safetensors")
    with pytest.raises(ValueError, match="no public checkpoint"):
        load_tower(RgbEncoder(**VIT), "vit", str(other))
    assert checkpoint_file("timm:test_vit", str(other)) == other
